package xmlrpc

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/tcp"
)

// noProbes: connections do not stay open long enough for TCP's keep-alive.
const noProbes = -1

// dial connects to the server, with all addresses of its name and the TLS
// handshake before connect_timeout. Close aborts it.
func (l *lane) dial(s *socket, b *buffers) (*connection, error) {
	end := time.Now().Add(s.opts.ConnectTimeout)
	var ctx context.Context = &dialContext{Context: context.Background(), lane: l, end: end}
	b.mayBlock() // and takes long in any case
	if _, err := netip.ParseAddr(s.dialHost()); err != nil || s.isTLS() {
		timed, cancel := context.WithDeadline(ctx, end)
		defer cancel()
		ctx = timed
	}
	conn, err := l.dest.t.dial(ctx, s, l.hint, b.task)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.abort = nil
	if err == nil && l.closed {
		conn.Close()
		err = errClosed
	}
	if err != nil {
		return nil, err
	}
	l.conn = newConnection(conn, l.dest.t.now())
	return l.conn, nil
}

// A dialContext is the context of a dial of a lane, and is done when the lane is
// closed. It knows when it ends and leaves that to the connection, and nobody
// need wait for it: a context that is cancelled or times out by itself makes a
// connect a quarter dearer.
type dialContext struct {
	context.Context
	lane *lane
	end  time.Time
}

// Deadline implements [context.Context].
func (d *dialContext) Deadline() (time.Time, bool) { return d.end, true }

// Done implements [context.Context]. What waits for it uses AfterFunc.
func (d *dialContext) Done() <-chan struct{} { return d.lane.dest.t.never }

// Err implements [context.Context].
func (d *dialContext) Err() error {
	if d.lane.isClosed() {
		return context.Canceled
	}
	return nil
}

// AfterFunc is how [context.AfterFunc], and a context made of this one, wait for
// its end.
func (d *dialContext) AfterFunc(f func()) (stop func() bool) {
	l := d.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		go f()
		return func() bool { return false }
	}
	l.abort = f
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.abort = nil
		return !l.closed
	}
}

// dial resolves the name and tries its addresses one after the other, each for
// its share of the time that is left.
func (t *Transports) dial(ctx context.Context, s *socket, hint tcp.Hint, task evid.Task) (stream, error) {
	host := s.dialHost()
	if addr, err := netip.ParseAddr(host); err == nil {
		return t.dialAddress(ctx, s, addr, hint, task)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var first error // of the address that is preferred; there is always one
	for i, addr := range addrs {
		end, _ := ctx.Deadline()
		share, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(len(addrs)-i))
		conn, err := t.dialAddress(share, s, addr, hint, task)
		cancel()
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

// dialAddress connects to one address. What is to be half closed, or secured, is a
// connection of package net.
func (t *Transports) dialAddress(ctx context.Context, s *socket, ip netip.Addr, hint tcp.Hint, task evid.Task) (stream, error) {
	port, err := strconv.ParseUint(s.port(), 10, 16)
	if err != nil {
		return nil, err // not with a socket that was parsed
	}
	addr := netip.AddrPortFrom(ip.Unmap(), uint16(port))
	if s.opts.Confirm && !s.isTLS() {
		conn, err := t.dialer.Dial(ctx, addr, hint, task)
		if err != nil {
			return nil, err // not conn: a nil *tcp.Conn is no nil stream
		}
		return conn, nil
	}
	dialer := net.Dialer{KeepAlive: noProbes}
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil || !s.isTLS() {
		return conn, err
	}
	config := t.tls.Clone()
	config.ServerName = s.dialHost()
	config.InsecureSkipVerify = !s.opts.TLSVerify
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}
