package delivery

import (
	"math"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// A subscriber is the engine's side of a cursor. The engine's lock guards it.
// There can be very many: it is kept small.
type subscriber struct {
	link   links[subscriber]
	engine *Engine
	cursor *queue.Cursor
	sub    *evid.Subscription // as it is now
	lane   *lane              // nil: it is not there, or the subscriber has not needed it yet
	worker *worker            // serving: who does

	trouble     *trouble // nil: there was none yet
	lastSuccess int64    // in nanoseconds of Unix time; 0: never

	state     state
	pace      pace // of the lane that is to be made
	raising   bool // ready: a raiser waits for it
	woken     bool // serving: more has come since
	renewed   bool // serving: it has subscribed again since
	discarded bool // serving: it has unsubscribed, what is handed out is not wanted
	detached  bool // it is no more
	down      bool // who watches it was told so
}

type subscribers = chain[subscriber, *subscriber]

func (s *subscriber) links() *links[subscriber] { return &s.link }

// A state says where a subscriber is.
type state uint8

const (
	resting state = iota // the queue has nothing for it
	ready                // in its lane's line
	serving              // with a worker
	paused               // waits for the end of a pause of its own
)

// wakeLocked is told that events wait. With a synchronous subscriber a raiser waits
// for it: that is not held up by a pause.
func (s *subscriber) wakeLocked() {
	switch {
	case s.detached: // since it was to be woken
	case s.state == serving:
		s.woken = true
	case s.sub.Sync:
		s.hurryLocked()
	case s.backoff().pauses():
		s.state = paused
		s.engine.paused.push(s)
	default:
		s.readyLocked()
	}
}

// readyLocked puts the subscriber in its lane's line.
func (s *subscriber) readyLocked() {
	l := s.laneLocked()
	s.state = ready
	l.ready.push(s)
	if l.backoff.pauses() && l.backoff.failures > 0 {
		s.downLocked(&notice{reason: l.backoff.reason})
	}
	l.scheduleLocked()
}

// hurryLocked puts the subscriber, for which a raiser waits, before all others.
func (s *subscriber) hurryLocked() {
	s.backoff().endLocked(s.engine, true)
	s.state = ready
	s.raising = true
	l := s.laneLocked()
	l.ready.pushFront(s)
	l.scheduleLocked()
}

// laneLocked returns the subscriber's lane, which is there then.
func (s *subscriber) laneLocked() *lane {
	if s.lane == nil {
		s.joinLocked()
	}
	return s.lane
}

// joinLocked puts the subscriber in the lane that its options ask for.
func (s *subscriber) joinLocked() {
	l := s.lookLocked()
	if l == nil {
		connections := evid.PolicyOf(s.sub.Socket).Connections
		l = &lane{
			engine: s.engine, name: nameOf(s.sub), pace: s.pace,
			connections: int32(min(max(1, connections), math.MaxInt32/2)),
		}
		s.engine.lanes[l.name] = l
	}
	l.subscribers++
	s.lane = l
}

// lookLocked returns the lane that the subscriber's options ask for, whether it has it
// yet or not; nil: it is not there.
func (s *subscriber) lookLocked() *lane { return s.engine.lanes[nameOf(s.sub)] }

// outLocked takes the subscriber out of the chain it is in.
func (s *subscriber) outLocked() {
	switch s.state {
	case ready:
		s.lane.ready.remove(s)
		s.raising = false
		s.lane.scheduleLocked() // there may be nothing to do for it now
	case paused:
		s.engine.paused.remove(s)
	case resting, serving:
	}
}

// Renew implements [queue.Reader]. Who subscribes again is alive: pauses end.
func (s *subscriber) Renew(sub *evid.Subscription) {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	s.sub = sub
	s.renewed = true
	s.backoff().endLocked(e, true)
	if s.state != serving {
		hurries := s.raising
		s.outLocked()
		s.relocateLocked()
		switch {
		case s.state == resting:
		case hurries:
			s.hurryLocked()
		default:
			s.readyLocked()
		}
	}
	if l := s.lookLocked(); l != nil {
		l.resumeLocked(true)
	}
	e.dispatchLocked()
}

// relocateLocked moves the subscriber, which is in no chain, to the lane that its
// options ask for.
func (s *subscriber) relocateLocked() {
	if !s.renewed {
		return
	}
	s.renewed = false
	if from := s.lane; from != nil {
		s.joinLocked()
		from.leaveLocked(s)
		s.lane.recent = s
		s.lane.goLocked() // there may be nothing to do
	}
}

// Discard implements [queue.Reader].
func (s *subscriber) Discard() {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.discarded = true
	if s.worker != nil {
		s.worker.cutLocked()
	}
}

// Reads implements [queue.Reader]. Nobody else waits for the disk.
func (s *subscriber) Reads() { s.worker.task.Own() }

// Detach implements [queue.Reader].
func (s *subscriber) Detach() {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	s.outLocked()
	s.detached = true
	s.backoff().endLocked(e, true)
	e.notices.forget(s)
	if s.lane != nil {
		s.lane.leaveLocked(s)
	}
}

// Report implements [queue.Reader].
func (s *subscriber) Report(status *evid.Status) {
	e := s.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	status.LastError = s.trouble.failure()
	if s.lastSuccess != 0 {
		status.LastSuccess = time.Unix(0, s.lastSuccess)
	}
	var ofLane *backoff
	if l := s.lookLocked(); l != nil {
		ofLane = l.backoff
	}
	for _, b := range []*backoff{ofLane, s.backoff()} {
		if b.pauses() && b.failures > 0 {
			status.NextAttempt = e.began.Add(b.until)
		}
	}
	switch {
	case s.down:
		status.State = evid.Down
	case s.trouble != nil && len(s.trouble.tries) > 0:
		status.State = evid.Retrying
	}
}

// resume ends a pause whose time has come.
func (s *subscriber) resume() {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	s.resumeLocked(false)
	s.engine.dispatchLocked()
}

func (s *subscriber) resumeLocked(early bool) {
	if s.backoff().endLocked(s.engine, early) && s.state == paused {
		s.outLocked()
		s.readyLocked()
	}
}
