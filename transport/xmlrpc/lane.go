package xmlrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/evid/evid"
)

// A lane is a connection to one server, dialled when it is needed.
type lane struct {
	address string
	tls     *tls.Config   // nil: plain
	slots   chan struct{} // one for each draining connection
	closing chan struct{} // closed by Close

	// Of the goroutine that calls Deliver.
	request []byte
	replies replyReader
	dialled time.Time   // when the connection was
	stale   *staleCheck // of the connection

	mu       sync.Mutex
	closed   bool
	abort    context.CancelFunc    // of the dial under way; nil: there is none
	conn     net.Conn              // nil: none is open
	draining map[net.Conn]struct{} // half closed, see drain
	drains   sync.WaitGroup
}

// maxAge is when a connection that is always busy is replaced: the name may
// stand for another address by now.
const maxAge = 5 * time.Minute

// maxDraining bounds the half closed connections of a lane. When there are so
// many Deliver waits for one to end.
const maxDraining = 128

// drainGrace is what draining connections have left when the lane closes.
const drainGrace = time.Second

var errClosed = errors.New("the lane is closed")

// Deliver implements [evid.Lane]. It attempts one item.
func (l *lane) Deliver(deadline time.Time, batch []evid.Item) {
	item := &batch[0]
	s := item.Socket.(*socket)
	l.request = s.appendRequest(l.request[:0], item.Event)
	if s.opts.Confirm {
		item.Result = l.call(s, deadline)
	} else {
		item.Result = l.send(s, deadline)
	}
	if cap(l.request) > 64<<10 {
		l.request = nil // what one large event needed is not kept
	}
}

// call sends the request and reads the reply. A connection that was used before
// may have been closed by the server meanwhile: if not a byte of reply comes over
// it, the request is sent once more over a new one.
func (l *lane) call(s *socket, deadline time.Time) evid.Result {
	var end time.Time // zero: nothing was sent yet
	for {
		conn, reused, err := l.connect(s, deadline)
		if err != nil {
			result := s.judgeDial(l.address, err)
			result.Sent = !end.IsZero()
			return l.unlessClosed(result)
		}
		if end.IsZero() {
			end = earlier(time.Now().Add(s.opts.Timeout), deadline)
		}
		rep, err := l.exchange(conn, end)
		if err != nil || !rep.keepalive || !s.opts.Keepalive || time.Since(l.dialled) > maxAge {
			l.disconnect()
		}
		answered := l.replies.started()
		switch {
		case err == nil, rep.status != 0 && rep.status/100 != 2:
			return s.judge(&rep) // a status that is no success needs no whole body
		case reused && !answered && !isTimeout(err):
			continue
		case s.tls && !answered && !isTimeout(err):
			return l.unlessClosed(s.judgeRefused(err))
		default:
			return l.unlessClosed(s.judgeBroken(err, answered))
		}
	}
}

func (l *lane) exchange(conn net.Conn, end time.Time) (reply, error) {
	if err := conn.SetDeadline(end); err != nil {
		return reply{}, err
	}
	_, errWrite := conn.Write(l.request)
	rep, err := l.replies.read(conn) // also after a failed write: a server may refuse a request before its end
	if err != nil && errWrite != nil && !l.replies.started() {
		err = errWrite
	}
	return rep, err
}

// unlessClosed is the result, or none if the lane was closed: that is why there
// was no reply.
func (l *lane) unlessClosed(result evid.Result) evid.Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return evid.Result{}
	}
	return result
}

func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// connect returns a connection without a deadline: the one there is, or a new
// one.
func (l *lane) connect(s *socket, deadline time.Time) (conn net.Conn, reused bool, err error) {
	if conn, err := l.reuse(); conn != nil || err != nil {
		return conn, true, err
	}
	ctx, cancel := context.WithDeadline(context.Background(), earlier(time.Now().Add(s.opts.ConnectTimeout), deadline))
	defer cancel()
	l.mu.Lock()
	l.abort = cancel
	if l.closed {
		cancel()
	}
	l.mu.Unlock()

	conn, err = l.dial(ctx, s)

	l.mu.Lock()
	defer l.mu.Unlock()
	l.abort = nil
	if err == nil && l.closed {
		conn.Close()
		err = errClosed
	}
	if err != nil {
		return nil, false, err
	}
	l.conn, l.stale, l.dialled = conn, newStaleCheck(conn), time.Now()
	return conn, false, nil
}

// reuse returns the connection that was used before; nil if there is none that
// can be used.
func (l *lane) reuse() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errClosed
	}
	if l.conn == nil {
		return nil, nil
	}
	if l.conn.SetDeadline(time.Time{}) != nil || l.stale.isStale() {
		l.conn.Close()
		l.conn = nil
	}
	return l.conn, nil
}

// dial resolves the name and tries its addresses one after the other, each for
// its share of the time that is left.
func (l *lane) dial(ctx context.Context, s *socket) (net.Conn, error) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", s.host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i, addr := range addrs {
		conn, err := l.dialAddress(ctx, net.JoinHostPort(addr.Unmap().String(), s.port), len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errs[0] // the address that is preferred; there is always one
}

func (l *lane) dialAddress(ctx context.Context, address string, left int) (net.Conn, error) {
	end, _ := ctx.Deadline()
	ctx, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
	defer cancel()
	dialer := net.Dialer{KeepAlive: -1} // connections do not stay open long enough for probes
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil || l.tls == nil {
		return conn, err
	}
	secured := tls.Client(conn, l.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// disconnect closes the connection.
func (l *lane) disconnect() {
	l.mu.Lock()
	conn := l.conn
	l.conn = nil
	l.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// send sends the request to a receiver that never answers: it is delivered when
// all bytes are written.
func (l *lane) send(s *socket, deadline time.Time) evid.Result {
	select {
	case l.slots <- struct{}{}:
	case <-l.closing:
		return evid.Result{}
	}
	conn, _, err := l.connect(s, deadline)
	if err != nil {
		<-l.slots
		return l.unlessClosed(s.judgeDial(l.address, err))
	}
	conn.SetDeadline(earlier(time.Now().Add(s.opts.Timeout), deadline))
	_, err = conn.Write(l.request)
	if err == nil {
		err = conn.(interface{ CloseWrite() error }).CloseWrite() // *net.TCPConn and *tls.Conn have it
	}
	if err != nil {
		<-l.slots
		l.disconnect()
		return l.unlessClosed(s.judgeUnwritten(err))
	}
	l.drain(conn)
	return evid.Result{Verdict: evid.Unconfirmed, Sent: true}
}

// drain reads and ignores what comes until the receiver closes or the
// connection's deadline: closing before it has read everything could take from
// it what it has not read yet, and its answer, if it sends one after all, could
// kill it (Frontier::Daemon). It takes over the connection and its slot.
func (l *lane) drain(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = nil
	if l.closed {
		<-l.slots
		conn.Close()
		return
	}
	l.draining[conn] = struct{}{}
	l.drains.Go(func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxBody))
		conn.Close()
		l.mu.Lock()
		delete(l.draining, conn)
		l.mu.Unlock()
		<-l.slots
	})
}

// Idle implements [evid.Lane]. The connection closes: a server that serves one
// at a time is then free for others.
func (l *lane) Idle() {
	l.disconnect()
	l.request, l.replies.buf = nil, nil
}

// Close implements [evid.Lane].
func (l *lane) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.closing)
	if l.abort != nil {
		l.abort()
	}
	conn := l.conn
	l.conn = nil
	for c := range l.draining {
		c.SetReadDeadline(time.Now().Add(drainGrace))
	}
	l.mu.Unlock()
	var err error
	if conn != nil {
		err = conn.Close()
	}
	l.drains.Wait()
	return err
}
