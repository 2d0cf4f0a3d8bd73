package delivery

import (
	"math"
	"time"
)

const (
	// patience is how long a call may keep others of its lane waiting before
	// they get another connection.
	patience = 250 * time.Millisecond
	// linger is how long a connection stays when nothing waits: short enough for
	// servers that serve one connection at a time.
	linger = 500 * time.Millisecond
	// lookInterval is the least time between two looks.
	lookInterval = 5 * time.Millisecond
)

// The watch looks after calls that last, lanes that wait for a worker, and
// connections that nobody uses. It has one timer, which runs only while there is
// something to look after. The engine's lock guards it.
type watch struct {
	engine *Engine
	timer  *time.Timer
	due    time.Duration // when the timer ends; never: it does not run
	looked time.Duration // when it last has

	// The calls under way, the oldest first: those that have just begun, those that
	// wait for their peer, and those that have outlasted the patience of others.
	fresh, waiting, late workers
}

type workers = chain[worker, *worker]

const never time.Duration = math.MaxInt64

func (w *watch) init(e *Engine) {
	w.engine = e
	w.due = never
	w.timer = time.AfterFunc(time.Hour, w.look)
	w.timer.Stop()
}

func (w *watch) stopLocked() { w.timer.Stop() }

// armLocked makes the timer end when there is something to look after. It may end
// too early, but not too late.
func (w *watch) armLocked() {
	e := w.engine
	due := never
	if e.crew.queuedLocked() > 0 {
		due = e.now() + handOffAge
	}
	if first := w.fresh.first; first != nil {
		due = min(due, first.since+peerTime)
	}
	if first := w.waiting.first; first != nil {
		due = min(due, first.since+patience)
	}
	if first := e.idle.first; first != nil {
		due = min(due, first.since+linger)
	}
	due = max(due, w.looked+lookInterval)
	if due < w.due && !e.closed {
		w.due = due
		w.timer.Reset(due - e.now())
	}
}

// eachLocked calls do for each call under way.
func (w *watch) eachLocked(do func(*worker)) {
	for _, calls := range []*workers{&w.fresh, &w.waiting, &w.late} {
		for call := calls.first; call != nil; call = call.links().next {
			do(call)
		}
	}
}

// look is called when the timer has ended.
func (w *watch) look() {
	e := w.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	now := e.now()
	span := now - w.looked
	w.due, w.looked = never, now
	quick, slow := isFullSpeed(e.crew.ended.quick, span), isFullSpeed(e.crew.ended.slow, span)
	e.crew.ended.quick, e.crew.ended.slow = 0, 0
	for call := w.fresh.first; call != nil && now-call.since >= peerTime; {
		next := call.links().next
		switch {
		case now-call.since >= patience:
			call.lateLocked()
		case call.slow && !slow || !call.slow && !quick:
			call.moveLocked(&w.waiting)
		}
		call = next
	}
	for call := w.waiting.first; call != nil && now-call.since >= patience; call = w.waiting.first {
		call.lateLocked()
	}
	for l := e.idle.first; l != nil && now-l.since >= linger; l = e.idle.first {
		l.disconnectLocked()
	}
	if e.crew.isOverdueLocked(now) && !slow && !quick {
		e.crew.extra += e.crew.limits.handOff
	}
	e.dispatchLocked()
}

// lateLocked says that others need not wait for a call any longer.
func (call *worker) lateLocked() {
	call.moveLocked(&call.engine.watch.late)
	call.lane.late++
	call.cutLocked()
	call.lane.scheduleLocked()
}

// isFullSpeed reports whether so many turns in that time are as many as this
// machine can do, about.
func isFullSpeed(turns int, in time.Duration) bool {
	return turns > 0 && turns >= fullSpeed*int(in/time.Millisecond)
}
