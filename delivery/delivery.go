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
	Log *slog.Logger // must not block, as others wait; nil: no log
	// Raise raises the events about subscribers: see [Events]. nil: they are not
	// raised.
	Raise func(ctx context.Context, event string, params ...evid.Param) (evid.ID, error)
	// Took is told how long each call of a subscriber took, from a worker; nil: nobody is.
	Took func(socket evid.Socket, long time.Duration)
	// MaxConnections is how many connections are open at a time, about; 0: as many
	// as the process may have files, but for some that are left for others.
	MaxConnections int
}

// An Engine delivers. It is the [queue.Deliverer]; [New] makes one.
type Engine struct {
	log            *slog.Logger
	took           func(socket evid.Socket, long time.Duration)
	notices        *notices
	maxConnections int
	began          time.Time
	goroutines     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	drained chan struct{} // closed when nothing is under way, while somebody drains; nil: nobody does
	lanes   map[string]*lane
	crew    crew
	watch   watch

	waking    int           // goroutines that wake many cursors
	paused    subscribers   // those that wait after a failure of their own
	idle      lanes         // those with an open connection and nothing to do, the longest first
	connected int           // connections that may be open
	stalled   int           // lanes that wait for a file descriptor
	scarcity  time.Duration // when the log last told of that
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
		log:            opts.Log,
		took:           opts.Took,
		maxConnections: opts.MaxConnections,
		began:          time.Now(),
		lanes:          make(map[string]*lane),
		scarcity:       -scarcityInterval,
		crew:           crew{limits: standardCrew()},
	}
	e.notices = newNotices(opts.Raise, opts.Log)
	e.watch.init(e)
	return e
}

// now is the time since the engine was made.
func (e *Engine) now() time.Duration { return time.Since(e.began) }

// Attach implements [queue.Deliverer].
func (e *Engine) Attach(c *queue.Cursor, sub *evid.Subscription) queue.Reader {
	return &subscriber{engine: e, cursor: c, sub: sub}
}

// Wake implements [queue.Deliverer]. With a first event the newest subscriber comes
// first, as with OpenSIPS. A raiser does not wait until very many are woken.
func (e *Engine) Wake(cursors []*queue.Cursor) (kept bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(cursors) <= e.crew.limits.wake || e.closed {
		e.wakeLocked(cursors)
		return false
	}
	e.waking++
	e.goroutines.Go(func() { e.wakeMany(cursors) })
	return true
}

func (e *Engine) wakeLocked(cursors []*queue.Cursor) {
	for _, c := range slices.Backward(cursors) {
		c.Reader().(*subscriber).wakeLocked()
	}
	e.dispatchLocked()
}

// wakeMany wakes cursors a part at a time, so that others get the lock meanwhile.
func (e *Engine) wakeMany(cursors []*queue.Cursor) {
	for len(cursors) > 0 {
		rest := max(0, len(cursors)-e.crew.limits.wake)
		e.mu.Lock()
		e.wakeLocked(cursors[rest:])
		e.mu.Unlock()
		cursors = cursors[:rest]
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waking--
	e.drainedLocked()
}

// Drain waits until all that waits is delivered, at most until ctx is done. Who
// pauses after a failure is tried once more; who then pauses again is not waited
// for. One goroutine at a time may call it.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	for _, l := range e.lanes {
		l.resumeLocked(true)
	}
	for s := e.paused.first; s != nil; {
		next := s.links().next
		s.resumeLocked(true) // takes it out of the chain, unless the engine is closed
		s = next
	}
	e.dispatchLocked()
	drained := make(chan struct{})
	e.drained = drained
	e.drainedLocked()
	e.mu.Unlock()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain: %w", context.Cause(ctx))
	}
}

// drainedLocked tells who waits for it that nothing is under way, if that is so.
func (e *Engine) drainedLocked() {
	if e.drained != nil && e.crew.workers == 0 && (e.closed || e.crew.queuedLocked() == 0 && e.stalled == 0 && e.waking == 0) {
		close(e.drained)
		e.drained = nil
	}
}

// closeConnection closes a connection in its own time. Its error says nothing that
// could be acted upon.
func (e *Engine) closeConnection(conn evid.Lane) { e.goroutines.Go(func() { conn.Close() }) }

// Close stops delivering: attempts under way return at once, what waits stays
// in the queue. It waits for all goroutines.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	e.watch.stopLocked()
	e.watch.eachLocked(func(w *worker) { e.closeConnection(w.conn) })
	for _, l := range e.lanes {
		l.closeLocked()
	}
	for s := e.paused.first; s != nil; s = s.links().next {
		s.backoff().stopLocked(e)
	}
	e.drainedLocked()
	e.mu.Unlock()
	e.goroutines.Wait()
	for _, w := range e.crew.spare { // nobody adds to them any more
		e.goroutines.Go(w.task.end)
	}
	e.goroutines.Wait()
	e.notices.close()
}
