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
)

// The watch looks after calls that last, lanes that wait for a worker, and
// connections that nobody uses. It has one timer, which runs only while there is
// something to look after. The engine's lock guards it.
type watch struct {
	engine *Engine
	timer  *time.Timer
	due    time.Duration // when the timer ends; never: it does not run

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
	if first := e.lingering.first; first != nil {
		due = min(due, first.since+linger)
	}
	if due < w.due && !e.closed {
		w.due = due
		w.timer.Reset(due - e.now())
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
	w.due = never
	for call := w.fresh.first; call != nil && now-call.since >= peerTime; call = w.fresh.first {
		call.moveLocked(&w.waiting)
	}
	for call := w.waiting.first; call != nil && now-call.since >= patience; call = w.waiting.first {
		call.moveLocked(&w.late)
		call.lane.late++
		call.cutLocked()
		call.lane.scheduleLocked()
	}
	for l := e.lingering.first; l != nil && now-l.since >= linger; l = e.lingering.first {
		l.retireLocked()
	}
	if e.crew.isLateLocked(now) {
		e.crew.extra += handOffStep
	}
	e.dispatchLocked()
}
