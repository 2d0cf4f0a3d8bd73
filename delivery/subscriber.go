package delivery

import (
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// A subscriber is the engine's side of a cursor. The engine's lock guards it, but
// for the record, which is of the worker that serves it.
type subscriber struct {
	link   links[subscriber]
	cursor *queue.Cursor
	sub    *evid.Subscription // as it is now
	lane   *lane
	worker *worker // serving: who does

	state     state
	woken     bool // serving: more has come since
	moves     bool // serving: it has other options by now, maybe for another lane
	discarded bool // serving: it has unsubscribed, what is handed out is not wanted
	detached  bool // it is no more
	down      bool // who watches it was told so

	trouble     *trouble // of this subscriber; nil: none
	tries       *tries   // at the event that comes next; nil: none has failed
	lastError   string   // of the last attempt that failed
	lastSuccess int64    // in nanoseconds of Unix time; 0: never

	record *record // what was logged of it; nil: nothing that matters now
	lost   uint64  // events lost since it has fallen behind
}

type subscribers = chain[subscriber, *subscriber]

func (s *subscriber) links() *links[subscriber] { return &s.link }

// A state says where a subscriber is.
type state uint8

const (
	idle    state = iota // the queue has nothing for it
	ready                // in its lane's line
	serving              // with a worker
	paused               // waits for the end of a pause of its own
)

// tries are the attempts at one event that have failed.
type tries struct {
	id       evid.ID
	attempts int
	counted  int // of these: those that count against max_attempts
	first    time.Time
}

// attemptsOf returns how many attempts at an event have failed.
func (s *subscriber) attemptsOf(id evid.ID) int {
	if s.tries == nil || s.tries.id != id {
		return 0
	}
	return s.tries.attempts
}

// wakeLocked is told that events wait for a subscriber that had nothing to do. A
// raise that waits for an attempt does not wait for the end of the lane's pause.
func (s *subscriber) wakeLocked() {
	switch l := s.lane; {
	case s.state == serving:
		s.woken = true
	case s.trouble.paused():
		s.state = paused
		l.paused.push(s)
	case s.sub.Sync && l.trouble.paused():
		s.state = ready
		l.ready.pushFront(s)
		l.resumeLocked(true)
	default:
		s.readyLocked()
	}
}

// readyLocked puts the subscriber in its lane's line.
func (s *subscriber) readyLocked() {
	l := s.lane
	s.state = ready
	l.ready.push(s)
	if l.trouble.paused() && l.trouble.failures > 0 {
		s.downLocked(&l.trouble.failed)
	}
	l.scheduleLocked()
}

// outLocked takes the subscriber out of the chain it is in.
func (s *subscriber) outLocked() {
	switch s.state {
	case ready:
		s.lane.ready.remove(s)
	case paused:
		s.lane.paused.remove(s)
	case idle, serving:
	}
}

// Renew implements [queue.Reader]. Who subscribes again is alive: pauses end.
func (s *subscriber) Renew(sub *evid.Subscription) {
	e := s.lane.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	s.moves = s.moves || sub.Socket != s.sub.Socket
	s.sub = sub
	s.trouble.endLocked(e, true)
	if s.state != serving {
		s.outLocked()
		s.relocateLocked()
		if s.state != idle {
			s.readyLocked()
		}
	}
	s.lane.resumeLocked(true)
	e.dispatchLocked()
}

// relocateLocked moves the subscriber, which is in no chain, to the lane that its
// options ask for.
func (s *subscriber) relocateLocked() {
	if !s.moves {
		return
	}
	s.moves = false
	from := s.lane
	s.lane = from.engine.joinLocked(s.sub)
	from.leaveLocked()
}

// Discard implements [queue.Reader].
func (s *subscriber) Discard() {
	e := s.lane.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	s.discarded = true
	if s.worker != nil {
		s.worker.cutLocked()
	}
}

// Detach implements [queue.Reader].
func (s *subscriber) Detach() {
	l := s.lane
	e := l.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	s.outLocked()
	s.detached = true
	s.trouble.endLocked(e, true)
	if l.unanswered == s {
		l.unanswered = nil
	}
	e.notices.forget(s)
	l.leaveLocked()
}

// Report implements [queue.Reader].
func (s *subscriber) Report(status *evid.Status) {
	e := s.lane.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	status.LastError = s.lastError
	if s.lastSuccess != 0 {
		status.LastSuccess = time.Unix(0, s.lastSuccess)
	}
	pause := s.trouble
	if !pause.paused() {
		pause = s.lane.trouble
	}
	if pause.paused() {
		status.NextAttempt = e.began.Add(pause.until)
	}
	switch {
	case s.down:
		status.State = evid.Down
	case s.tries != nil:
		status.State = evid.Retrying
	}
}

// resume ends a pause whose time has come.
func (s *subscriber) resume() {
	e := s.lane.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.trouble.endLocked(e, false) && s.state == paused {
		s.outLocked()
		s.readyLocked()
		e.dispatchLocked()
	}
}
