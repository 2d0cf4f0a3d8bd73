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
	s.patience = time.AfterFunc(patience, s.runOut)
	s.patience.Stop()
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
	lane     *lane
	patience *time.Timer  // of the call under way
	batch    [1]evid.Item // the call under way

	// Guarded by the lane's lock.
	conn  evid.Lane // nil until the first call
	since time.Time // when the call under way began; zero: there is none
	late  bool      // the call under way has lasted longer than the patience of the others
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
// is at its end: nothing came for a while, another session has taken over, or the
// lane was abandoned.
func (s *session) take() *subscriber {
	l := s.lane
	var lingering *time.Timer
	lingered := false
	for {
		l.mu.Lock()
		switch {
		case l.abandoned || !s.currentLocked():
			s.endLocked()
			l.mu.Unlock()
			return nil
		case len(l.ready) > 0:
			next := l.ready[0]
			l.ready = slices.Delete(l.ready, 0, 1)
			l.mu.Unlock()
			return next
		case lingered:
			s.restLocked()
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()

		if lingering == nil {
			lingering = time.NewTimer(linger)
			defer lingering.Stop()
		}
		select {
		case <-l.work:
		case <-lingering.C:
			lingered = true
		}
	}
}

// currentLocked reports whether s is the session that takes from ready. A
// session that comes back while the current one is held up takes over.
func (s *session) currentLocked() bool {
	if current := s.lane.current; current == nil || current.late {
		s.lane.current = s
	}
	return s.lane.current == s
}

// endLocked ends a session and closes its connection.
func (s *session) endLocked() {
	l := s.lane
	l.sessions = slices.DeleteFunc(l.sessions, func(other *session) bool { return other == s })
	if l.current == s {
		l.current = nil
	}
	if s.conn != nil {
		s.conn.Close()
	}
}

// restLocked ends a session whose lane has no work; what its connection has
// learned stays.
func (s *session) restLocked() {
	conn := s.conn
	s.conn = nil
	s.endLocked()
	if conn != nil {
		conn.Idle()
		s.lane.resting = conn
	}
}

// serve attempts the next event of a subscriber.
func (s *session) serve(to *subscriber) {
	var events [1]*evid.Event
	sub, n := to.cursor.Next(events[:])
	if n == 0 {
		to.engine.end()
		return
	}
	if sub.Socket != to.socket { // renewed, maybe with options that another lane is for
		to.engine.moveTo(to, sub)
	}
	if to.lane != s.lane {
		to.giveBack()
		return
	}
	s.batch[0] = evid.Item{Event: events[0], Socket: sub.Socket, Attempt: 1}
	s.call(sub)
	to.settle(&s.batch[0])
	s.batch[0] = evid.Item{}
	to.lane.enqueue(to)
}

// call attempts the session's batch over its connection.
func (s *session) call(sub evid.Subscription) {
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
	s.since = time.Now()
	l.mu.Unlock()

	s.patience.Reset(patience)
	conn.Deliver(time.Time{}, s.batch[:])
	s.patience.Stop()

	l.mu.Lock()
	s.since, s.late = time.Time{}, false
	l.mu.Unlock()
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
	if l.current == s && len(l.ready) > 0 {
		l.startLocked()
	}
}
