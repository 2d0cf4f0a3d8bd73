package hep

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A batch reads several packets with one system call. With one for each, that and handing
// the socket from worker to worker are a good part of what a packet takes.
type batch struct {
	raw     syscall.RawConn
	buffers [][]byte
	parts   []unix.Iovec
	names   []unix.RawSockaddrInet6 // or, as far as it goes, RawSockaddrInet4
	headers []messageHeader
}

// A messageHeader is struct mmsghdr of recvmmsg(2).
type messageHeader struct {
	unix.Msghdr
	size uint32
}

// newBatch returns a batch of at most so many packets.
func newBatch(conn *net.UDPConn, most int) (*batch, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batch{
		raw: raw, buffers: make([][]byte, most), parts: make([]unix.Iovec, most),
		names: make([]unix.RawSockaddrInet6, most), headers: make([]messageHeader, most),
	}
	for i := range b.headers {
		b.buffers[i] = make([]byte, MaxPacket)
		b.parts[i].Base = &b.buffers[i][0]
		b.parts[i].SetLen(MaxPacket)
		b.headers[i].Iov = &b.parts[i]
		b.headers[i].SetIovlen(1)
		b.headers[i].Name = (*byte)(unsafe.Pointer(&b.names[i]))
	}
	return b, nil
}

// read waits for packets, and returns how many there are. Those before are gone.
func (b *batch) read() (packets int, err error) {
	for i := range b.headers {
		b.headers[i].Namelen = unix.SizeofSockaddrInet6
	}
	var n uintptr
	var failed unix.Errno
	err = b.raw.Read(func(fd uintptr) bool {
		n, _, failed = unix.Syscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&b.headers[0])), uintptr(len(b.headers)), unix.MSG_DONTWAIT, 0, 0)
		return failed != unix.EAGAIN
	})
	switch {
	case err != nil:
		return 0, err
	case failed == unix.EINTR:
		return 0, nil
	case failed != 0:
		return 0, failed
	}
	return int(n), nil
}

// packet returns a packet that was read, and who sent it.
func (b *batch) packet(i int) (data []byte, from netip.AddrPort) {
	data = b.buffers[i][:b.headers[i].size]
	name := &b.names[i]
	var addr netip.Addr
	switch name.Family {
	case unix.AF_INET:
		addr = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	case unix.AF_INET6:
		addr = netip.AddrFrom16(name.Addr)
	}
	var port [2]byte
	binary.NativeEndian.PutUint16(port[:], name.Port)
	return data, netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:]))
}
