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

// Unconfirmed is what a lane needs besides for receivers that never answer. It is
// guarded by the lane's lock.
type unconfirmed struct {
	draining map[net.Conn]struct{}
	room     sync.Cond // one of them has ended, or the lane is closed
	drains   sync.WaitGroup
}

// send sends the request to a receiver that never answers: it is delivered when
// all bytes are written.
func (l *lane) send(s *socket, b *buffers, e *evid.Event) evid.Result {
	if !l.waitForRoom() {
		return evid.Result{}
	}
	b.writeCall(s, e)
	conn, err := l.connect(s, b)
	if err != nil {
		return l.unlessClosed(s.judgeDial(err))
	}
	if err = conn.SetDeadline(time.Now().Add(s.opts.Timeout)); err == nil {
		_, err = conn.Write(b.request)
	}
	if err == nil {
		err = conn.stream.(interface{ CloseWrite() error }).CloseWrite() // *net.TCPConn and *tls.Conn have it
	}
	if err != nil {
		l.disconnect()
		return l.unlessClosed(s.judgeUnwritten(err))
	}
	l.drain(conn.stream.(net.Conn)) // dialAddress has seen to it that it is one of package net
	return evid.Result{Verdict: evid.Unconfirmed, Sent: true}
}

// waitForRoom waits until one more connection may drain. False: the lane is
// closed.
func (l *lane) waitForRoom() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unconfirmed == nil {
		l.unconfirmed = &unconfirmed{draining: make(map[net.Conn]struct{}), room: sync.Cond{L: &l.mu}}
	}
	u := l.unconfirmed
	for len(u.draining) == maxDraining && !l.closed { // only Deliver, one at a time, adds to them
		u.room.Wait()
	}
	return !l.closed
}

// drain reads and ignores what comes until the receiver closes or the
// connection's deadline: closing before it has read everything could take from
// it what it has not read yet, and its answer, if it sends one after all, could
// kill it (Frontier::Daemon). It takes over the connection.
func (l *lane) drain(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = nil
	if l.closed {
		conn.Close()
		return
	}
	u := l.unconfirmed
	u.draining[conn] = struct{}{}
	u.drains.Go(func() {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, maxBody))
		conn.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(u.draining, conn)
		u.room.Signal()
	})
}

// isDraining reports whether connections of the lane drain.
func (l *lane) isDraining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unconfirmed != nil && len(l.unconfirmed.draining) > 0
}

// closeLocked lets go of who waits for room, and hurries the connections.
func (u *unconfirmed) closeLocked() {
	u.room.Signal()
	for conn := range u.draining {
		conn.SetReadDeadline(time.Now().Add(drainGrace))
	}
}
