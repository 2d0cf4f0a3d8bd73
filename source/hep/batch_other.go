//go:build !linux

package hep

import (
	"net"
	"net/netip"
)

// A batch reads one packet at a time.
type batch struct {
	conn   *net.UDPConn
	buffer []byte
	size   int
	from   netip.AddrPort
}

func newBatch(conn *net.UDPConn, _ int) (*batch, error) {
	return &batch{conn: conn, buffer: make([]byte, MaxPacket)}, nil
}

// read waits for a packet. The one before is gone.
func (b *batch) read() (packets int, err error) {
	b.size, b.from, err = b.conn.ReadFromUDPAddrPort(b.buffer)
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// packet returns the packet that was read, and who sent it.
func (b *batch) packet(int) (data []byte, from netip.AddrPort) { return b.buffer[:b.size], b.from }
