// Package delivery takes what waits in the queue to the subscribers.
//
// All subscribers of one destination share a lane: one connection, on which
// they take turns of one event each. While a lane has work one goroutine serves
// it; an idle lane keeps what it has learned of its destination and, for a short
// time, its connection, but no goroutine.
//
// Nobody waits for another destination. Within a destination a subscriber that
// does not answer holds up the others for a quarter of a second: then they go on
// over another connection, and its own is closed when its time is up.
//
// An attempt whose verdict is [evid.Retry] is not repeated yet: the event is
// logged, counted as dead, and the next one has its turn.
package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

const (
	// patience is how long a call may keep others of its lane waiting before
	// they get another connection.
	patience = 250 * time.Millisecond
	// maxConnections is how many connections a lane has at most: that many
	// subscribers of one destination can be silent before the others wait.
	maxConnections = 4
	// linger is how long a connection stays when nothing waits: short enough for
	// servers that serve one connection at a time.
	linger = 500 * time.Millisecond
)

// An Engine delivers. It is the [queue.Deliverer]; [New] makes one.
type Engine struct {
	log     *slog.Logger
	workers sync.WaitGroup

	mu     sync.Mutex
	lanes  map[string]*lane
	busy   int           // subscribers that are with the engine, until they have nothing left
	idle   chan struct{} // closed when busy is 0, while somebody drains
	closed bool
}

var _ queue.Deliverer = (*Engine)(nil)

// New returns an engine.
func New(log *slog.Logger) *Engine {
	return &Engine{log: log, lanes: make(map[string]*lane)}
}

// Attach implements [queue.Deliverer].
func (e *Engine) Attach(c *queue.Cursor, sub evid.Subscription) queue.Reader {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &subscriber{engine: e, cursor: c, socket: sub.Socket, lane: e.joinLocked(sub)}
}

// joinLocked returns the lane of a subscription, with one subscriber more.
func (e *Engine) joinLocked(sub evid.Subscription) *lane {
	name := sub.Transport.Lane(sub.Socket)
	l := e.lanes[name]
	if l == nil {
		l = &lane{engine: e, name: name, work: make(chan struct{}, 1), abandoned: e.closed}
		e.lanes[name] = l
	}
	l.subscribers++
	return l
}

// leave ends a subscriber's share in a lane. With the last one the lane closes,
// in its own time.
func (e *Engine) leave(l *lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.subscribers--
	if l.subscribers == 0 && !e.closed {
		delete(e.lanes, l.name)
		e.workers.Go(l.abandon)
	}
}

// moveTo takes a subscriber from its lane to that of a subscription.
func (e *Engine) moveTo(s *subscriber, sub evid.Subscription) {
	e.mu.Lock()
	from := s.lane
	s.socket, s.lane = sub.Socket, e.joinLocked(sub)
	e.mu.Unlock()
	e.leave(from)
}

// cutShort ends the call to a subscriber that has unsubscribed, once others have
// waited for it long enough.
func (e *Engine) cutShort(s *subscriber) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.lane.mu.Lock()
	defer s.lane.mu.Unlock()
	for _, session := range s.lane.sessions {
		if session.serving != s {
			continue
		}
		session.unwanted = true
		if session.late {
			session.cutShortLocked()
		}
	}
}

// Drain waits until all that the engine was woken for is attempted, at most until
// ctx is done. One goroutine at a time may call it.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	idle := make(chan struct{})
	if e.busy == 0 {
		close(idle)
	} else {
		e.idle = idle
	}
	e.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain: %w", context.Cause(ctx))
	}
}

func (e *Engine) begin() {
	e.mu.Lock()
	e.busy++
	e.mu.Unlock()
}

func (e *Engine) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.busy--; e.busy == 0 && e.idle != nil {
		close(e.idle)
		e.idle = nil
	}
}

// Close stops delivering: attempts under way return at once, what waits stays
// in the queue. It waits for all goroutines.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	for _, l := range e.lanes {
		e.workers.Go(l.abandon)
	}
	e.mu.Unlock()
	e.workers.Wait()
}
