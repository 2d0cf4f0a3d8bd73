package xmlrpc

import "syscall"

// quickAck acknowledges at once what was received, and what comes next. It is
// no setting that stays: the kernel goes back to waiting.
func quickAck(fd int) {
	_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
}
