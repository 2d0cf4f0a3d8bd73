package xmlrpc

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

// A staleCheck looks whether something came over a connection that nobody has
// asked for: its end, or bytes that would be taken for the reply to the next
// call. It allocates nothing when it is used.
type staleCheck struct {
	secured *tls.Conn       // nil: plain
	raw     syscall.RawConn // nil: nothing can be looked at
	look    func(fd uintptr) bool
	stale   bool // what look found
	buf     [1]byte
}

func newStaleCheck(conn net.Conn) *staleCheck {
	c := new(staleCheck)
	if secured, ok := conn.(*tls.Conn); ok {
		c.secured = secured
		conn = secured.NetConn()
	}
	if raw, ok := conn.(syscall.Conn); ok {
		c.raw, _ = raw.SyscallConn() // without it the server's reply, or none, will tell
	}
	c.look = func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), c.buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		c.stale = err != syscall.EAGAIN && err != syscall.EINTR
		return true
	}
	return c
}

// isStale reports whether the connection, which has no deadline, is not to be
// used any more.
func (c *staleCheck) isStale() bool {
	if c.raw == nil {
		return false
	}
	return c.raw.Read(c.look) != nil || c.stale || c.secured != nil && c.hasRecord()
}

// hasRecord reports whether TLS has read more than was asked for.
func (c *staleCheck) hasRecord() bool {
	past := time.Unix(1, 0)
	if c.secured.SetReadDeadline(past) != nil {
		return true
	}
	n, err := c.secured.Read(c.buf[:])
	return n > 0 || !isTimeout(err) || c.secured.SetReadDeadline(time.Time{}) != nil
}
