package xmlrpc

import (
	"crypto/tls"
	"net"
	"syscall"
)

// A staleCheck looks whether something came over a connection that nobody has
// asked for: its end, or bytes that would be taken for the reply to the next
// call. It allocates nothing when it is used.
type staleCheck struct {
	conn  syscall.RawConn // nil: nothing can be looked at
	look  func(fd uintptr) bool
	stale bool // what look found
}

func newStaleCheck(conn net.Conn) *staleCheck {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	c := new(staleCheck)
	if raw, ok := conn.(syscall.Conn); ok {
		c.conn, _ = raw.SyscallConn() // without it the server's reply, or none, will tell
	}
	var b [1]byte
	c.look = func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		c.stale = err != syscall.EAGAIN && err != syscall.EINTR
		return true
	}
	return c
}

// isStale reports whether the connection is not to be used any more.
func (c *staleCheck) isStale() bool {
	if c.conn == nil {
		return false
	}
	return c.conn.Read(c.look) != nil || c.stale
}
