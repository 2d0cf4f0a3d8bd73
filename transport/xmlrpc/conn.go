package xmlrpc

import (
	"crypto/tls"
	"io"
	"syscall"
	"time"

	"github.com/evid/evid/internal/tcp"
)

// A connection is one to a server. What it looks up and sets on its way
// allocates nothing.
type connection struct {
	stream
	calls   *tcp.Conn  // the stream, if it is one for calls; else nil
	secured *tls.Conn  // the stream, if it is one of TLS; else nil
	socket  controller // nil: nothing can be looked at
	peek    func(fd uintptr)

	dialled time.Duration // when it was, by [Transports.now]
	used    time.Duration // when the last reply had come
	served  int           // replies that came
	parts   int           // in which the last one did
	stale   bool          // what peek found
	buf     [1]byte
}

// A stream is what a connection needs of package net, or of tcp.
type stream interface {
	io.ReadWriteCloser
	SetDeadline(end time.Time) error
}

// A controller gives access to a file descriptor.
type controller interface {
	Control(f func(fd uintptr)) error
}

func newConnection(conn stream, now time.Duration) *connection {
	c := &connection{stream: conn, dialled: now}
	switch conn := conn.(type) {
	case *tcp.Conn:
		c.calls, c.socket = conn, conn
	case *tls.Conn:
		c.secured, c.socket = conn, rawOf(conn.NetConn())
	default:
		c.socket = rawOf(conn)
	}
	c.peek = func(fd uintptr) { c.stale = tcp.IsStale(fd) }
	return c
}

// rawOf gives access to the descriptor of a connection of package net; nil: there is
// none. Without it the server's reply, or none, will tell.
func rawOf(conn any) controller {
	if conn, ok := conn.(syscall.Conn); ok {
		if raw, err := conn.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// exchange sends a request and reads the reply, both up to end. If the connection is of
// no use any more it sends nothing, and the error is [tcp.ErrStale].
func (c *connection) exchange(b *buffers, end time.Time, hint tcp.Hint) (reply, error) {
	b.reply.reset()
	if c.calls == nil && c.served > 0 && c.isStale() {
		return reply{}, tcp.ErrStale
	}
	if err := c.SetDeadline(end); err != nil {
		return reply{}, err
	}
	n, err := c.ask(b.request, b.reply.room(), hint)
	if n == 0 {
		return reply{}, err
	}
	b.reply.took(n)
	c.parts = 1
	rep, err := b.reply.read(c)
	if err == nil {
		c.served++
	}
	return rep, err
}

// ask sends a request and waits for the first part of the reply.
func (c *connection) ask(request, reply []byte, hint tcp.Hint) (n int, err error) {
	if c.calls == nil {
		return tcp.Exchange(c.stream, request, reply)
	}
	c.calls.Hint = hint
	return c.calls.Exchange(request, reply)
}

// Read implements [io.Reader] for the further parts of a reply. The server may wait
// for the acknowledgement of one before it sends the next (RPC::XML writes head and body
// apart), and that would be delayed by 40 ms.
func (c *connection) Read(p []byte) (int, error) {
	c.parts++
	acked := c.parts == 2 && c.calls != nil && c.calls.Hint.Parts
	if c.socket != nil && !acked {
		_ = c.socket.Control(tcp.AckAtOnce) // without it, it is only late
	}
	return c.stream.Read(p)
}

// isStale reports whether something came that nobody has asked for: the
// connection's end, or bytes that would be taken for the reply to the next call.
func (c *connection) isStale() bool {
	if c.socket == nil {
		return false
	}
	return c.socket.Control(c.peek) != nil || c.stale || c.secured != nil && c.hasRecord()
}

// hasRecord reports whether TLS has read more than was asked for.
func (c *connection) hasRecord() bool {
	past := time.Unix(1, 0)
	if c.secured.SetReadDeadline(past) != nil {
		return true
	}
	n, err := c.secured.Read(c.buf[:])
	return n > 0 || !isTimeout(err)
}
