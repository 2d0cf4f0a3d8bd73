package delivery

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/evid/evid"
)

// The events about subscribers. Each has the parameters event, socket, reason,
// attempts, count, first_id and last_id. None is raised about a subscriber of
// these events.
const (
	// EventDown is raised when a subscriber, or its destination, is not to be
	// reached or does not answer as it should; EventUp when it has taken an event
	// again.
	EventDown = "E_EVID_SUBSCRIBER_DOWN"
	EventUp   = "E_EVID_SUBSCRIBER_UP"
	// EventDeadLetter is raised when events were given up: count of them, from the
	// one with first_id to the one with last_id.
	EventDeadLetter = "E_EVID_DEAD_LETTER"
)

// Events returns the names of the events that an [Engine] raises.
func Events() []string { return []string{EventDown, EventUp, EventDeadLetter} }

// noticeInterval is the time between two events of a kind about one subscriber.
const noticeInterval = time.Second

// failed says what a notice is about.
type failed struct {
	first, last evid.ID // zero: no event was attempted
	reason      string
	attempts    int
	count       uint64 // of events
}

// downLocked and upLocked tell that a subscriber is down, or no more.
func (s *subscriber) downLocked(f *failed) {
	if !s.down {
		s.down = true
		s.lane.engine.notices.state(s, EventDown, f)
	}
}

func (s *subscriber) upLocked(item *evid.Item) {
	if s.down {
		s.down = false
		attempts := 1 + s.attemptsOf(item.Event.ID)
		s.lane.engine.notices.state(s, EventUp, &failed{item.Event.ID, item.Event.ID, s.lastError, attempts, 1})
	}
}

// deadLocked tells that events were given up.
func (s *subscriber) deadLocked(f *failed) { s.lane.engine.notices.dead(s, f) }

// notices raise the events about subscribers: at most one of a kind for each
// subscriber in each noticeInterval, what happens meanwhile is put together. There
// is one goroutine, so that nobody in delivery waits for a raise.
type notices struct {
	raise func(ctx context.Context, event string, params ...evid.Param) (evid.ID, error)
	log   *slog.Logger
	ctx   context.Context // ends with close; only handed to raise
	stop  context.CancelFunc
	work  chan struct{} // tells the goroutine that something is due
	done  chan struct{}

	mu       sync.Mutex
	accounts map[*subscriber]*account // of those of whom something was told lately, or who are down
	due      []*account
}

// An account is what was told about a subscriber, and what is to be.
type account struct {
	owner     *subscriber
	event     string
	socket    string
	told      string // the last that was told of its state
	state     string // what it is; told, if there is nothing to tell
	stateOf   failed
	letters   failed // without count: there is nothing to tell
	waiting   bool   // for the end of the interval, or due
	forgotten bool
}

func newNotices(raise func(context.Context, string, ...evid.Param) (evid.ID, error), log *slog.Logger) *notices {
	n := &notices{raise: raise, log: log, accounts: make(map[*subscriber]*account)}
	if raise == nil {
		return n
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.work, n.done = make(chan struct{}, 1), make(chan struct{})
	go n.run()
	return n
}

// close stops the goroutine and waits for it. What is not told yet is not told.
func (n *notices) close() {
	if n.raise != nil {
		n.stop()
		<-n.done
	}
}

// state tells that a subscriber is down or up.
func (n *notices) state(s *subscriber, state string, f *failed) {
	n.note(s, func(a *account) { a.state, a.stateOf = state, *f })
}

// dead tells that events of a subscriber were given up.
func (n *notices) dead(s *subscriber, f *failed) {
	n.note(s, func(a *account) {
		if a.letters.count == 0 {
			a.letters.first = f.first
		}
		a.letters.last, a.letters.reason, a.letters.attempts = f.last, f.reason, f.attempts
		a.letters.count += f.count
	})
}

func (n *notices) note(s *subscriber, change func(*account)) {
	if n.raise == nil || slices.Contains(Events(), s.sub.Event) {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.accounts[s]
	if a == nil {
		a = &account{owner: s, event: s.sub.Event, socket: s.sub.Socket.String(), told: EventUp, state: EventUp}
		n.accounts[s] = a
	}
	change(a)
	if !a.waiting {
		a.waiting = true
		n.dueLocked(a)
	}
}

// forget is told of a subscriber that is no more: there is no state to tell, but
// maybe dead letters.
func (n *notices) forget(s *subscriber) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.accounts[s]; a != nil {
		a.forgotten = true
		a.state = a.told
		if !a.waiting {
			delete(n.accounts, s)
		}
	}
}

func (n *notices) dueLocked(a *account) {
	n.due = append(n.due, a)
	select {
	case n.work <- struct{}{}:
	default: // it has been told and not looked yet
	}
}

func (n *notices) run() {
	defer close(n.done)
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.work:
		}
		n.mu.Lock()
		due := n.due
		n.due = nil
		n.mu.Unlock()
		for _, a := range due {
			n.tell(a)
		}
	}
}

// tell raises what there is to tell of a subscriber.
func (n *notices) tell(a *account) {
	n.mu.Lock()
	state, stateOf, letters := a.state, a.stateOf, a.letters
	changed := state != a.told
	a.told = state
	a.letters = failed{}
	n.mu.Unlock()
	if changed {
		n.raiseAbout(a, state, &stateOf)
	}
	if letters.count > 0 {
		n.raiseAbout(a, EventDeadLetter, &letters)
	}
	time.AfterFunc(noticeInterval, func() { n.rest(a) })
}

// rest ends the interval after something was told.
func (n *notices) rest(a *account) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a.waiting = a.state != a.told || a.letters.count > 0
	switch {
	case n.ctx.Err() != nil:
	case a.waiting:
		n.dueLocked(a)
	case a.forgotten || a.state == EventUp:
		delete(n.accounts, a.owner)
	}
}

func (n *notices) raiseAbout(a *account, event string, f *failed) {
	_, err := n.raise(n.ctx, event,
		evid.String("event", a.event),
		evid.String("socket", a.socket),
		evid.String("reason", f.reason),
		evid.Int("attempts", int64(f.attempts)),
		evid.Int("count", int64(f.count)),
		evid.String("first_id", idText(f.first)),
		evid.String("last_id", idText(f.last)),
	)
	if err != nil && !errors.Is(err, evid.ErrNoSubscribers) && !errors.Is(err, evid.ErrClosed) {
		n.log.Warn("raise event about a subscriber", "event", event, "about", a.event, "socket", a.socket, "err", err)
	}
}

func idText(id evid.ID) string {
	if id == (evid.ID{}) {
		return ""
	}
	return id.String()
}
