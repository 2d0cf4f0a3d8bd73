//go:build !linux

package tcp

import (
	"context"
	"net"
	"net/netip"
)

// A Dialer makes connections. [NewDialer] makes one.
type Dialer struct{}

// NewDialer returns a Dialer.
func NewDialer() *Dialer { return &Dialer{} }

// Dial connects to an address, until ctx is done or its deadline has passed. The task, which
// can be nil, is the connection's.
func (*Dialer) Dial(ctx context.Context, addr netip.AddrPort, hint Hint, task Task) (*Conn, error) {
	own(task)
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	return &Conn{TCPConn: conn.(*net.TCPConn), Hint: hint, Task: task}, nil
}

// A Conn is a connection. One goroutine at a time may use it, and any may close it.
type Conn struct {
	*net.TCPConn
	Hint Hint // makes no difference here
	Task Task // who calls, or nil; it is not suspended
	used bool
}

// Exchange writes the request and waits for the first bytes that come back: see the
// function of that name. If since the last call something has come that nobody asked
// for, nothing is written and the error is [ErrStale].
func (c *Conn) Exchange(request, reply []byte) (int, error) {
	own(c.Task)
	var stale bool
	if err := c.Control(func(fd uintptr) { stale = c.used && IsStale(fd) }); err != nil {
		return 0, err
	}
	if c.used = true; stale {
		return 0, ErrStale
	}
	return Exchange(c.TCPConn, request, reply)
}

// AckAtOnce does nothing: only Linux can be told.
func AckAtOnce(uintptr) {}

// Control calls f with the descriptor.
func (c *Conn) Control(f func(fd uintptr)) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(f)
}

func own(task Task) {
	if task != nil {
		task.Own()
	}
}
