package xmlrpc

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/evid/evid"
)

// maxDraining bounds the half closed connections of a lane. When there are so
// many Deliver waits for one to end.
const maxDraining = 128

// drainGrace is what draining connections have left when the lane closes.
const drainGrace = time.Second

// Unconfirmed is what a lane needs besides for receivers that never answer.
type unconfirmed struct {
	slots    chan struct{} // one for each draining connection
	closing  chan struct{} // closed by Close
	draining map[net.Conn]struct{}
	drains   sync.WaitGroup
}

// send sends the request to a receiver that never answers: it is delivered when
// all bytes are written.
func (l *lane) send(s *socket, deadline time.Time, b *buffers, e *evid.Event) evid.Result {
	u := l.reserve()
	if u == nil {
		return evid.Result{}
	}
	b.request = s.appendCall(b.request[:0], e)
	conn, err := l.connect(s, deadline)
	if err != nil {
		<-u.slots
		return l.unlessClosed(s.judgeDial(err))
	}
	conn.SetDeadline(earlier(time.Now().Add(s.opts.Timeout), deadline))
	_, err = conn.Write(b.request)
	if err == nil {
		err = conn.Conn.(interface{ CloseWrite() error }).CloseWrite() // *net.TCPConn and *tls.Conn have it
	}
	if err != nil {
		<-u.slots
		l.disconnect()
		return l.unlessClosed(s.judgeUnwritten(err))
	}
	l.drain(u, conn.Conn)
	return evid.Result{Verdict: evid.Unconfirmed, Sent: true}
}

// reserve waits for a slot; nil: the lane is closed.
func (l *lane) reserve() *unconfirmed {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	if l.unconfirmed == nil {
		l.unconfirmed = &unconfirmed{
			slots:    make(chan struct{}, maxDraining),
			closing:  make(chan struct{}),
			draining: make(map[net.Conn]struct{}),
		}
	}
	u := l.unconfirmed
	l.mu.Unlock()
	select {
	case u.slots <- struct{}{}:
		return u
	case <-u.closing:
		return nil
	}
}

// drain reads and ignores what comes until the receiver closes or the
// connection's deadline: closing before it has read everything could take from
// it what it has not read yet, and its answer, if it sends one after all, could
// kill it (Frontier::Daemon). It takes over the connection and its slot.
func (l *lane) drain(u *unconfirmed, conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = nil
	if l.closed {
		<-u.slots
		conn.Close()
		return
	}
	u.draining[conn] = struct{}{}
	u.drains.Go(func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxBody))
		conn.Close()
		l.mu.Lock()
		delete(u.draining, conn)
		l.mu.Unlock()
		<-u.slots
	})
}

// closeLocked lets go of whoever waits for a slot, and hurries the connections.
func (u *unconfirmed) closeLocked() {
	close(u.closing)
	for conn := range u.draining {
		conn.SetReadDeadline(time.Now().Add(drainGrace))
	}
}
