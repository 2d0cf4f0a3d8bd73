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

// A notice says what happened to a subscriber.
type notice struct {
	first, last evid.ID // zero: no event was attempted
	reason      string
	attempts    int
	count       uint64 // of events
}

// aboutEvent is a notice of an attempt at an event.
func aboutEvent(item *evid.Item, reason string) *notice {
	return &notice{item.Event.ID, item.Event.ID, reason, int(item.Attempt), 1}
}

// downLocked and upLocked tell that a subscriber is down, or no more.
func (s *subscriber) downLocked(n *notice) {
	if !s.down {
		s.down = true
		s.engine.notices.state(s, EventDown, n)
	}
}

func (s *subscriber) upLocked(item *evid.Item) {
	if s.down {
		s.down = false
		s.engine.notices.state(s, EventUp, aboutEvent(item, s.trouble.failure()))
	}
}

// deadLocked tells that events were given up.
func (s *subscriber) deadLocked(n *notice) { s.engine.notices.dead(s, n) }

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

	mu  sync.Mutex // guards the accounts of all subscribers as well
	due []*account
}

// An account is what was told about a subscriber, and what is to be. Who has none is
// up, and nothing was told of it lately.
type account struct {
	owner   *trouble // of the subscriber
	sub     *evid.Subscription
	told    string // the last that was told of its state
	state   string // what it is; told, if there is nothing to tell
	stateOf notice
	letters notice // without count: there is nothing to tell
	waiting bool   // for the end of the interval, or due
}

func newNotices(raise func(context.Context, string, ...evid.Param) (evid.ID, error), log *slog.Logger) *notices {
	n := &notices{raise: raise, log: log}
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
func (n *notices) state(s *subscriber, state string, about *notice) {
	n.note(s, func(a *account) { a.state, a.stateOf = state, *about })
}

// dead tells that events of a subscriber were given up.
func (n *notices) dead(s *subscriber, about *notice) {
	n.note(s, func(a *account) {
		if a.letters.count == 0 {
			a.letters.first = about.first
		}
		a.letters.last, a.letters.reason, a.letters.attempts = about.last, about.reason, about.attempts
		a.letters.count += about.count
	})
}

func (n *notices) note(s *subscriber, change func(*account)) {
	if n.raise == nil || slices.Contains(Events(), s.sub.Event) {
		return
	}
	t := s.troubleLocked()
	n.mu.Lock()
	defer n.mu.Unlock()
	if t.account == nil {
		t.account = &account{owner: t, sub: s.sub, told: EventUp, state: EventUp}
	}
	a := t.account
	change(a)
	if !a.waiting {
		a.waiting = true
		n.dueLocked(a)
	}
}

// forget is told of a subscriber that is no more: there is no state to tell, but
// maybe dead letters.
func (n *notices) forget(s *subscriber) {
	if s.trouble == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := s.trouble.account; a != nil {
		a.state = a.told
		s.trouble.account = nil
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
	a.letters = notice{}
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
	case a.state == EventUp && a.owner.account == a:
		a.owner.account = nil
	}
}

func (n *notices) raiseAbout(a *account, event string, about *notice) {
	_, err := n.raise(n.ctx, event,
		evid.String("event", a.sub.Event),
		evid.String("socket", a.sub.Socket.String()),
		evid.String("reason", about.reason),
		evid.Int("attempts", int64(about.attempts)),
		evid.Int("count", int64(about.count)),
		evid.String("first_id", idText(about.first)),
		evid.String("last_id", idText(about.last)),
	)
	if err != nil && !errors.Is(err, evid.ErrNoSubscribers) && !errors.Is(err, evid.ErrClosed) {
		n.log.Warn("raise event about a subscriber", "event", event, "about", a.sub.Event, "socket", a.sub.Socket, "err", err)
	}
}

func idText(id evid.ID) string {
	if id == (evid.ID{}) {
		return ""
	}
	return id.String()
}
