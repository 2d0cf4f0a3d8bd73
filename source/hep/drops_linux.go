package hep

import (
	"net"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of <linux/sock_diag.h>: which number of SO_MEMINFO is which.
const (
	memInfoDrops = 8
	memInfoVars  = 9
)

// kernelDrops returns how many packets the kernel had no room for; 0 if it does not say.
func kernelDrops(conn *net.UDPConn) uint64 {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	var info [memInfoVars]uint32
	size := uint32(unsafe.Sizeof(info))
	_ = raw.Control(func(fd uintptr) { // it fails once the socket is closed
		_, _, _ = unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	})
	return uint64(info[memInfoDrops])
}
