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

// overflowed is how many datagrams the kernel has dropped as too many waited.
func overflowed(conn *net.UDPConn) uint64 {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	drops := uint64(0)
	_ = raw.Control(func(fd uintptr) {
		// SO_MEMINFO gives nine numbers, of which the drops are the last. The call that has
		// room for them takes them for a TCPInfo, where Lost stands in this place.
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.SOL_SOCKET, unix.SO_MEMINFO); err == nil {
			drops = uint64(info.Lost)
		}
	})
	return drops
}
