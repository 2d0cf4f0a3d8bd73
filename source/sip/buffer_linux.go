package sip

import (
	"net"

	"golang.org/x/sys/unix"
)

// setReadBuffer sets how much may wait in the kernel: beyond its usual limit, which is
// small, if the process may do that.
func setReadBuffer(conn *net.UDPConn, size int) {
	_ = conn.SetReadBuffer(size)
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	})
}
