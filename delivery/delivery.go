package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// Options configure an [Engine].
type Options struct {
	Log *slog.Logger // nil: no log
	// Raise raises the events about subscribers: see [Events]. nil: they are not
	// raised.
	Raise func(ctx context.Context, event string, params ...evid.Param) (evid.ID, error)
	// MaxConnections is how many connections are open at a time, about; 0: as many
	// as the process may have files, but for some that are left for others.
	MaxConnections int
}

// An Engine delivers. It is the [queue.Deliverer]; [New] makes one.
type Engine struct {
	log        *slog.Logger
	notices    *notices
	maxOpen    int // connections
	began      time.Time
	goroutines sync.WaitGroup

	mu     sync.Mutex
	closed bool
	idle   chan struct{} // closed when nothing is under way, while somebody drains; nil: nobody does
	lanes  map[string]*lane
	crew   crew
	watch  watch

	lingering lanes // those with an open connection and nothing to do, the longest first
	open      int   // lanes that have, or may have, an open connection
	scarcity  time.Duration
}

var _ queue.Deliverer = (*Engine)(nil)

// New returns an engine.
func New(opts Options) *Engine {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.MaxConnections == 0 {
		opts.MaxConnections = defaultMaxConnections()
	}
	e := &Engine{
		log:      opts.Log,
		maxOpen:  opts.MaxConnections,
		began:    time.Now(),
		lanes:    make(map[string]*lane),
		scarcity: -scarcityInterval,
	}
	e.notices = newNotices(opts.Raise, opts.Log)
	e.watch.init(e)
	return e
}

// now is the time since the engine was made.
func (e *Engine) now() time.Duration { return time.Since(e.began) }

// Attach implements [queue.Deliverer].
func (e *Engine) Attach(c *queue.Cursor, sub *evid.Subscription) queue.Reader {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &subscriber{cursor: c, sub: sub, lane: e.joinLocked(sub)}
}

// Wake implements [queue.Deliverer]. With a first event the newest subscriber comes
// first, as with OpenSIPS.
func (e *Engine) Wake(cursors []*queue.Cursor) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range slices.Backward(cursors) {
		c.Reader().(*subscriber).wakeLocked()
	}
	e.dispatchLocked()
}

// joinLocked returns the lane of a subscription, with one subscriber more.
func (e *Engine) joinLocked(sub *evid.Subscription) *lane {
	policy := evid.PolicyOf(sub.Socket)
	name := sub.Transport.Lane(sub.Socket)
	if policy.OwnLane {
		name += " own=" + sub.Event + " " + sub.Socket.Key()
	}
	l := e.lanes[name]
	if l == nil {
		l = &lane{engine: e, name: name, connections: max(1, policy.Connections)}
		e.lanes[name] = l
	}
	l.subscribers++
	return l
}

// Drain waits until nothing is under way and nothing is left to be sent but what
// pauses after a failure; at most until ctx is done. One goroutine at a time may
// call it.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	idle := make(chan struct{})
	e.idle = idle
	e.drainedLocked()
	e.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain: %w", context.Cause(ctx))
	}
}

// drainedLocked tells who waits for it that nothing is under way, if that is so.
func (e *Engine) drainedLocked() {
	if e.idle != nil && e.crew.workers == 0 && e.crew.queuedLocked() == 0 {
		close(e.idle)
		e.idle = nil
	}
}

// Close stops delivering: attempts under way return at once, what waits stays
// in the queue. It waits for all goroutines.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	e.watch.stopLocked()
	for _, l := range e.lanes {
		l.closeLocked()
	}
	e.mu.Unlock()
	e.goroutines.Wait()
	e.notices.close()
}
