package delivery

import (
	"slices"
	"sync"
	"time"

	"github.com/evid/evid"
)

// A lane is the way to one destination, for all its subscribers.
type lane struct {
	engine      *Engine
	name        string
	subscribers int           // guarded by the engine's lock
	work        chan struct{} // tells the current session that there is work, or that the lane was abandoned

	mu        sync.Mutex
	ready     []*subscriber // those with something to deliver, in turn
	sessions  []*session    // those at work, at most maxConnections
	current   *session      // of these: the one that takes from ready; nil: none
	resting   evid.Lane     // kept for what it has learned while there is no session; may be nil
	abandoned bool
}

// enqueue puts a subscriber that has something to deliver at the end of the line.
func (l *lane) enqueue(s *subscriber) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = append(l.ready, s)
	if l.current == nil || l.current.late {
		l.startLocked()
		return
	}
	l.signal()
}

func (l *lane) signal() {
	select {
	case l.work <- struct{}{}:
	default: // it has been told and not looked yet
	}
}

// startLocked starts a session that takes over from the current one, if the
// lane may have one more.
func (l *lane) startLocked() {
	if l.abandoned || len(l.sessions) == maxConnections {
		return
	}
	s := &session{lane: l, conn: l.resting}
	s.timer = time.AfterFunc(patience, s.runOut)
	s.timer.Stop()
	l.resting = nil
	l.current = s
	l.sessions = append(l.sessions, s)
	l.engine.workers.Go(s.run)
}

// abandon closes the lane for good.
func (l *lane) abandon() {
	l.mu.Lock()
	l.abandoned = true
	conns := []evid.Lane{l.resting}
	for _, s := range l.sessions {
		conns = append(conns, s.conn)
	}
	l.resting = nil
	l.mu.Unlock()
	l.signal()
	for _, conn := range conns {
		if conn != nil {
			conn.Close() // its error says nothing that could be acted upon
		}
	}
}

// A session is a goroutine that serves a lane over one connection.
type session struct {
	lane  *lane
	timer *time.Timer  // of the patience of others; made once, armed by each call
	batch [1]evid.Item // the call under way

	// Guarded by the lane's lock.
	conn     evid.Lane   // nil until the first call
	since    time.Time   // when the call under way began; zero: there is none
	serving  *subscriber // whom it is for; nil: nobody
	late     bool        // it has lasted longer than the patience of the others
	unwanted bool        // its subscriber has unsubscribed
}

func (s *session) run() {
	for {
		next := s.take()
		if next == nil {
			return
		}
		s.serve(next)
	}
}

// take returns the next subscriber whose turn it is. It is nil when the session
// has ended: nothing came for a while, another session has taken over, or the lane
// was abandoned.
func (s *session) take() *subscriber {
	var lingering *time.Timer // nil while there is work
	lingered := false
	for {
		next, goesOn := s.look()
		switch {
		case next != nil:
			return next
		case !goesOn:
			s.end()
			return nil
		case lingered:
			if s.rest() {
				return nil
			}
		}
		if lingering == nil {
			lingering = time.NewTimer(linger)
			defer lingering.Stop()
		}
		select {
		case <-s.lane.work:
		case <-lingering.C:
			lingered = true
		}
	}
}

// look takes the subscriber whose turn it is; nil: nobody's. It reports whether
// the session goes on.
func (s *session) look() (next *subscriber, goesOn bool) {
	l := s.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.abandoned || !s.claimLocked() {
		return nil, false
	}
	if len(l.ready) > 0 {
		next, l.ready[0] = l.ready[0], nil
		l.ready = l.ready[1:]
	}
	return next, true
}

// claimLocked makes s the current session if there is none or if that is held
// up, and reports whether s is the current one.
func (s *session) claimLocked() bool {
	if current := s.lane.current; current == nil || current.late {
		s.lane.current = s
	}
	return s.lane.current == s
}

// end ends a session and closes its connection.
func (s *session) end() {
	l := s.lane
	l.mu.Lock()
	s.leaveLocked()
	l.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
	}
}

// rest ends a session, unless there is work by now. What its connection has
// learned stays with the lane.
func (s *session) rest() bool {
	if s.conn != nil {
		s.conn.Idle()
	}
	l := s.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.abandoned || len(l.ready) > 0 {
		return false
	}
	s.leaveLocked()
	l.resting = s.conn
	return true
}

// leaveLocked takes a session off the lane's list.
func (s *session) leaveLocked() {
	l := s.lane
	l.sessions = slices.DeleteFunc(l.sessions, func(other *session) bool { return other == s })
	if l.current == s {
		l.current = nil
	}
}

// serve attempts the next event of a subscriber.
func (s *session) serve(to *subscriber) {
	var events [1]*evid.Event
	batch := to.cursor.Next(events[:])
	to.reportDropped(batch)
	if batch.Events == 0 {
		to.engine.end()
		return
	}
	sub := batch.Subscription
	if sub.Socket != to.socket { // renewed, maybe with options that another lane is for
		to.engine.moveTo(to, sub)
	}
	if to.lane != s.lane {
		to.giveBack()
		return
	}
	s.batch[0] = evid.Item{Event: events[0], Socket: sub.Socket, Attempt: 1}
	s.call(to, sub)
	to.settle(&s.batch[0], sub)
	s.batch[0] = evid.Item{}
	to.lane.enqueue(to)
}

// call attempts the session's batch over its connection.
func (s *session) call(to *subscriber, sub evid.Subscription) {
	l := s.lane
	l.mu.Lock()
	if l.abandoned {
		l.mu.Unlock()
		return
	}
	if s.conn == nil {
		s.conn = sub.Transport.Open(sub.Socket)
	}
	conn := s.conn
	s.since, s.serving = time.Now(), to
	l.mu.Unlock()

	s.timer.Reset(patience)
	conn.Deliver(time.Time{}, s.batch[:])
	s.timer.Stop()

	l.mu.Lock()
	defer l.mu.Unlock()
	if s.late && s.unwanted {
		s.conn = nil // it was closed to cut the call short
	}
	s.since, s.serving, s.late, s.unwanted = time.Time{}, nil, false, false
}

// runOut is called when a call lasts longer than the others should wait for it.
func (s *session) runOut() {
	l := s.lane
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.since.IsZero() || time.Since(s.since) < patience {
		return // that call is over
	}
	s.late = true
	if s.unwanted {
		s.cutShortLocked()
		return
	}
	if l.current == s && len(l.ready) > 0 {
		l.startLocked()
	}
}

// cutShortLocked ends the call under way.
func (s *session) cutShortLocked() {
	conn := s.conn
	s.lane.engine.workers.Go(func() { conn.Close() })
}
