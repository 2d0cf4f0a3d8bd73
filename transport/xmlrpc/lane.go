package xmlrpc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/evid/evid"
)

// A lane is a connection to one server, dialled when it is needed.
type lane struct {
	address string
	tls     *tls.Config // nil: plain
	log     *slog.Logger

	// Of the goroutine that calls Deliver.
	request []byte
	replies replyReader
	silent  map[string]int // events in a row without a byte of reply, by socket key
	dialled time.Time      // when the connection was

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

// maxDraining bounds the connections of receivers that do not answer. Beyond it
// Deliver waits until that of its own event has ended.
const maxDraining = 128

var errClosed = errors.New("the lane is closed")

// Deliver implements [evid.Lane]. It attempts one item.
func (l *lane) Deliver(deadline time.Time, batch []evid.Item) {
	item := &batch[0]
	s := item.Socket.(*socket)
	l.request = s.appendRequest(l.request[:0], item.Event)
	if s.opts.Confirm {
		item.Result = l.call(s, deadline)
		l.noteSilence(s, &item.Result)
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
	for {
		conn, reused, err := l.connect(s, deadline)
		if err != nil {
			return l.unlessClosed(s.judgeDial(l.address, err))
		}
		rep, err := l.exchange(conn, s, deadline)
		if err != nil || !rep.keepalive || !s.opts.Keepalive || time.Since(l.dialled) > maxAge {
			l.disconnect()
		}
		switch {
		case err == nil, rep.status != 0 && rep.status/100 != 2:
			return s.judge(&rep) // a status that is no success needs no whole body
		case reused && !l.replies.started() && !isTimeout(err):
			continue
		default:
			return l.unlessClosed(s.judgeBroken(err, l.replies.started()))
		}
	}
}

func (l *lane) exchange(conn net.Conn, s *socket, deadline time.Time) (reply, error) {
	conn.SetDeadline(earlier(time.Now().Add(s.opts.Timeout), deadline))
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

// noteSilence tells the operator of a receiver that may never answer.
func (l *lane) noteSilence(s *socket, result *evid.Result) {
	const enough = 3
	if result.Code != 0 || !result.Sent || l.replies.started() {
		delete(l.silent, s.key)
		return
	}
	l.silent[s.key]++
	if l.silent[s.key] == enough {
		l.log.Warn("no byte of reply to 3 events: if this receiver never answers, subscribe it with the option ;confirm=0",
			"socket", s)
	}
}

// connect returns the connection, dialling if there is none.
func (l *lane) connect(s *socket, deadline time.Time) (conn net.Conn, reused bool, err error) {
	l.mu.Lock()
	if l.conn != nil || l.closed {
		defer l.mu.Unlock()
		if l.closed {
			return nil, false, errClosed
		}
		return l.conn, true, nil
	}
	ctx, cancel := context.WithDeadline(context.Background(), earlier(time.Now().Add(s.opts.ConnectTimeout), deadline))
	defer cancel()
	l.abort = cancel
	l.mu.Unlock()

	conn, err = l.dial(ctx)
	l.dialled = time.Now()

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
	l.conn = conn
	return conn, false, nil
}

// dial resolves the name and tries all addresses.
func (l *lane) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{KeepAlive: -1} // connections do not stay open long enough for probes
	conn, err := dialer.DialContext(ctx, "tcp", l.address)
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
	conn, _, err := l.connect(s, deadline)
	if err != nil {
		return l.unlessClosed(s.judgeDial(l.address, err))
	}
	conn.SetDeadline(earlier(time.Now().Add(s.opts.Timeout), deadline))
	_, err = conn.Write(l.request)
	if err == nil {
		err = conn.(interface{ CloseWrite() error }).CloseWrite() // *net.TCPConn and *tls.Conn have it
	}
	if err != nil {
		l.disconnect()
		return l.unlessClosed(s.judgeBroken(err, false))
	}
	l.drain(conn)
	return evid.Result{Verdict: evid.Unconfirmed, Sent: true}
}

// drain reads and ignores what comes until the receiver closes or the
// connection's deadline: closing before it has read everything could take from
// it what it has not read yet, and its answer, if it sends one after all, could
// kill it (Frontier::Daemon).
func (l *lane) drain(conn net.Conn) {
	l.mu.Lock()
	l.conn = nil
	if l.closed {
		l.mu.Unlock()
		conn.Close()
		return
	}
	l.draining[conn] = struct{}{}
	ended := make(chan struct{})
	full := len(l.draining) > maxDraining
	l.drains.Go(func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxBody))
		conn.Close()
		l.mu.Lock()
		delete(l.draining, conn)
		l.mu.Unlock()
	})
	l.mu.Unlock()
	if full {
		<-ended
	}
}

// Idle implements [evid.Lane]. The connection closes: a server that serves one
// at a time is then free for others.
func (l *lane) Idle() { l.disconnect() }

// Close implements [evid.Lane].
func (l *lane) Close() error {
	l.mu.Lock()
	l.closed = true
	if l.abort != nil {
		l.abort()
	}
	conn := l.conn
	l.conn = nil
	for c := range l.draining {
		c.Close()
	}
	l.mu.Unlock()
	var err error
	if conn != nil {
		err = conn.Close()
	}
	l.drains.Wait()
	return err
}
