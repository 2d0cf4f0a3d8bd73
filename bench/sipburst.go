package main

import (
	"fmt"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A burst sends many datagrams with one system call: a sender that takes one for each is
// slower than who reads them.
type burst struct {
	raw     syscall.RawConn
	packets []*numbered
	parts   []unix.Iovec
	headers []messageHeader
}

// A messageHeader is struct mmsghdr of sendmmsg(2).
type messageHeader struct {
	unix.Msghdr
	_ uint32 // how many octets were sent
}

// newBurst returns a burst of at most so many packets.
func newBurst(conn *net.UDPConn, most int) (*burst, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("use socket: %w", err)
	}
	b := &burst{raw: raw, parts: make([]unix.Iovec, most), headers: make([]messageHeader, most)}
	for i := range most {
		p := newPacket()
		b.packets = append(b.packets, p)
		b.parts[i].Base = &p.data[0]
		b.parts[i].SetLen(len(p.data))
		b.headers[i].Iov = &b.parts[i]
		b.headers[i].SetIovlen(1)
	}
	return b, nil
}

// send sends the first packets.
func (b *burst) send(packets int) error {
	for sent := 0; sent < packets; {
		var n uintptr
		var failed unix.Errno
		err := b.raw.Write(func(fd uintptr) bool {
			n, _, failed = unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.headers[sent])), uintptr(packets-sent), 0, 0, 0)
			return failed != unix.EAGAIN
		})
		if err != nil {
			return fmt.Errorf("send packets: %w", err)
		}
		if failed != 0 && failed != unix.EINTR {
			return fmt.Errorf("send packets: %w", failed)
		}
		if failed == 0 {
			sent += int(n)
		}
	}
	return nil
}
