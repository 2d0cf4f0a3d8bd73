package xmlrpc

import (
	"errors"
	"sync"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/tcp"
)

// A lane is a connection to one server, dialled when it is needed. There can be
// very many without one: what a call needs is taken from the transports.
type lane struct {
	dest *destination

	hint tcp.Hint // from the last reply

	mu          sync.Mutex
	closed      bool
	abort       func()       // ends the dial under way; nil: there is none
	conn        *connection  // nil: none is open
	unconfirmed *unconfirmed // nil: it was never needed
}

// quickTime is what a call of a server takes that answers at once.
const quickTime = 5 * time.Millisecond

// maxConnectionAge is when a connection that is always busy is replaced: the
// name may stand for another address by now.
const maxConnectionAge = 5 * time.Minute

var errClosed = errors.New("the lane is closed")

var _ evid.Suspender = (*lane)(nil)

// Deliver implements [evid.Lane]. It attempts one item, or several in one
// system.multicall.
func (l *lane) Deliver(batch []evid.Item) { l.DeliverTask(nil, batch) }

// DeliverTask implements [evid.Suspender].
func (l *lane) DeliverTask(task evid.Task, batch []evid.Item) {
	s := batch[0].Socket.(*socket)
	buffers := &l.dest.t.buffers
	b := buffers.get()
	defer buffers.put(b)
	b.task = task
	if s.isTLS() || !s.opts.Confirm {
		b.mayBlock()
	}
	if !s.opts.Confirm {
		batch[0].Result = l.send(s, b, batch[0].Event)
		return
	}
	sent := false
	if len(batch) > 1 {
		var settled bool
		if settled, sent = l.multicall(s, b, batch); settled {
			return
		}
	}
	batch[0].Result = l.call(s, b, batch[0].Event)
	if sent && batch[0].Result.Verdict != evid.NotSent {
		batch[0].Result.Sent = true // in the multicall, whatever came of it
	}
}

// call sends one event and says what came of it.
func (l *lane) call(s *socket, b *buffers, e *evid.Event) evid.Result {
	b.writeCall(s, e)
	o := l.exchange(s, b)
	switch {
	case o.dial != nil:
		return l.unlessClosed(o.judgeDial(s))
	case o.err == nil:
		l.learn(s, &o)
		return s.judge(&o.reply)
	case o.reply.status != 0 && o.reply.status/100 != 2:
		return s.judge(&o.reply) // a status that is no success needs no whole body
	case s.isTLS() && !o.answered && !isTimeout(o.err):
		return l.unlessClosed(s.judgeRefused(o.err))
	default:
		return l.unlessClosed(s.judgeBroken(o.err, o.answered))
	}
}

// learn takes from the answer to a single call what multicalls need to know.
func (l *lane) learn(s *socket, o *outcome) {
	if s.opts.Multicall && o.reply.status/100 == 2 {
		l.dest.called(s.path(), o)
	}
}

// An outcome is what came back for a request.
type outcome struct {
	reply    reply
	dial     error         // why there was no connection
	err      error         // why there is no whole reply
	sent     bool          // a byte of the request may have reached the server
	answered bool          // a byte of the reply came
	took     time.Duration // from the first byte of the request to the end of the reply
}

// exchange sends the request in b and reads the reply. A connection that was used
// before may have been closed by the server meanwhile: if not a byte of reply
// comes over it, the request is sent once more over a new one.
func (l *lane) exchange(s *socket, b *buffers) (o outcome) {
	var end time.Time
	for {
		conn, err := l.connect(s, b)
		if err != nil {
			o.dial = err
			return o
		}
		start := time.Now()
		if !o.sent {
			end = start.Add(s.opts.Timeout)
		}
		reused := conn.served > 0
		if conn.calls != nil {
			conn.calls.Task = b.task
		}
		o.reply, o.err = conn.exchange(b, end, l.hint)
		now := time.Now()
		o.took = now.Sub(start)
		o.answered = b.reply.started()
		if !errors.Is(o.err, tcp.ErrStale) {
			o.sent = true
			l.hint = tcp.Hint{Quick: o.err == nil && o.took < quickTime, Parts: conn.parts > 1}
		}
		if !l.keeps(conn, &o, s.opts.Keepalive, l.dest.t.at(now)) {
			l.disconnect()
		}
		if o.err == nil || !reused || o.answered || isTimeout(o.err) {
			return o
		}
		l.noteHangUp(conn, l.dest.t.at(start))
	}
}

// keeps reports whether a connection over which an answer came can be used for
// another call.
func (l *lane) keeps(conn *connection, o *outcome, keepalive bool, now time.Duration) bool {
	if o.err != nil || !o.reply.keepalive || !keepalive || now-conn.dialled > maxConnectionAge {
		return false
	}
	conn.used = now
	return l.dest.keeps(conn.served, now)
}

// noteHangUp notes that a connection that was used before was found to be at
// its end.
func (l *lane) noteHangUp(conn *connection, now time.Duration) {
	if conn.served == 1 && now-conn.used < hangUpTime {
		l.dest.hungUp(now)
	}
}

// isClosed reports whether Close was called: that is why there was no reply.
func (l *lane) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// unlessClosed is the result, or none if the lane was closed.
func (l *lane) unlessClosed(result evid.Result) evid.Result {
	if l.isClosed() {
		return evid.Result{}
	}
	return result
}

// connect returns the connection there is, or a new one.
func (l *lane) connect(s *socket, b *buffers) (*connection, error) {
	l.mu.Lock()
	conn, closed := l.conn, l.closed
	l.mu.Unlock()
	switch {
	case closed:
		return nil, errClosed
	case conn != nil:
		return conn, nil
	default:
		return l.dial(s, b)
	}
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

// Idle implements [evid.Lane]. The connection closes: a server that serves one
// at a time is then free for others.
func (l *lane) Idle() (keep bool) {
	l.disconnect()
	return l.isDraining() || l.dest.isSpecial(l.dest.t.now())
}

// Close implements [evid.Lane].
func (l *lane) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	conn, u, abort := l.conn, l.unconfirmed, l.abort
	l.conn = nil
	if u != nil {
		u.closeLocked()
	}
	l.mu.Unlock()
	if abort != nil {
		abort()
	}
	l.dest.t.destinations.release(l.dest)
	var err error
	if conn != nil {
		err = conn.Close()
	}
	if u != nil {
		u.drains.Wait()
	}
	return err
}
