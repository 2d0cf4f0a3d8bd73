package xmlrpc

import (
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

// A connection is one to a server. What it looks up and sets on its way
// allocates nothing.
type connection struct {
	net.Conn
	secured *tls.Conn       // nil: plain
	raw     syscall.RawConn // of TCP; nil: nothing can be looked at
	peek    func(fd uintptr)
	ack     func(fd uintptr)

	dialled time.Duration // when it was, by [Transports.now]
	used    time.Duration // when the last reply had come
	served  int           // replies that came
	begun   bool          // a part of the reply has been read
	stale   bool          // what peek found
	buf     [1]byte
}

func newConnection(conn net.Conn, now time.Duration) *connection {
	c := &connection{Conn: conn, dialled: now}
	if secured, ok := conn.(*tls.Conn); ok {
		c.secured = secured
		conn = secured.NetConn()
	}
	if raw, ok := conn.(syscall.Conn); ok {
		c.raw, _ = raw.SyscallConn() // without it the server's reply, or none, will tell
	}
	c.peek = func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), c.buf[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		c.stale = err != syscall.EAGAIN && err != syscall.EINTR
	}
	c.ack = func(fd uintptr) { quickAck(int(fd)) }
	return c
}

// exchange sends a request and reads the reply, both up to end.
func (c *connection) exchange(b *buffers, end time.Time) (reply, error) {
	if err := c.SetDeadline(end); err != nil {
		return reply{}, err
	}
	c.begun = false
	_, errWrite := c.Write(b.request)
	rep, err := b.reply.read(c) // also after a failed write: a server may refuse a request before its end
	if err != nil && errWrite != nil && !b.reply.started() {
		err = errWrite
	}
	if err == nil {
		c.served++
	}
	return rep, err
}

// Read implements [io.Reader] for the reply. If it comes in parts the server may
// wait for the acknowledgement of the first before it sends the next (RPC::XML
// writes head and body apart), and that would be delayed by 40 ms.
func (c *connection) Read(p []byte) (int, error) {
	if c.begun && c.raw != nil {
		_ = c.raw.Control(c.ack) // without it, it is only late
	}
	c.begun = true
	return c.Conn.Read(p)
}

// isStale reports whether something came that nobody has asked for: the
// connection's end, or bytes that would be taken for the reply to the next call.
func (c *connection) isStale() bool {
	if c.raw == nil {
		return false
	}
	return c.raw.Control(c.peek) != nil || c.stale || c.secured != nil && c.hasRecord()
}

// hasRecord reports whether TLS has read more than was asked for.
func (c *connection) hasRecord() bool {
	past := time.Unix(1, 0)
	if c.SetReadDeadline(past) != nil {
		return true
	}
	n, err := c.secured.Read(c.buf[:])
	return n > 0 || !isTimeout(err)
}
