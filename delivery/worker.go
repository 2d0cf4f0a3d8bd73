package delivery

import (
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

const (
	// maxTurn is how many events a subscriber has delivered before it is another
	// one's turn.
	maxTurn = 32
	// turnTime ends a turn early: servers can be slow.
	turnTime = 50 * time.Millisecond
	// firstTurn is how many events a worker has room for at first: very many workers
	// can be at work for one event each.
	firstTurn = 2
)

// A worker is a goroutine that serves lanes, one after the other, until none waits
// for one. What it has is its own; what the watch looks at is guarded by the
// engine's lock.
type worker struct {
	link   links[worker]
	engine *Engine
	run    func() // work, made once so that starting it allocates nothing

	lane   *lane
	sub    *subscriber   // nil: the connections of the lane are to be closed
	conn   evid.Lane     // for the call
	probe  bool          // one event only: the last attempt has failed
	phase  *workers      // the chain of calls that it is in; nil: no call is under way
	since  time.Duration // when the call began
	busy   bool          // it counts as busy
	slow   bool          // of these: the lane was not quick when it was taken
	cut    bool          // the connection was closed to end the call
	called bool          // there was a call in this turn
	lasted time.Duration // the longest of these

	more     bool // events wait when the turn is over
	events   []*evid.Event
	items    []evid.Item
	outcomes []queue.Outcome
}

func (w *worker) links() *links[worker] { return &w.link }

// takeLocked gives the worker the next thing to do for a lane.
func (w *worker) takeLocked(l *lane) {
	w.lane = l
	l.calls++
	w.slow = !l.quick
	w.countLocked(true)
	if l.idling && (l.ready.len == 0 || l.trouble.paused()) {
		return
	}
	l.idling = false
	w.sub = l.ready.pop()
	w.sub.state, w.sub.discarded = serving, false
	w.sub.worker = w
	w.conn = l.connectionLocked(w.sub.sub)
	w.probe = l.trouble != nil || w.sub.trouble != nil
	l.scheduleLocked() // there may be work for another
}

// makeRoom makes room for so many events.
func (w *worker) makeRoom(n int) {
	if len(w.events) < n {
		w.events, w.items, w.outcomes = make([]*evid.Event, n), make([]evid.Item, n), make([]queue.Outcome, n)
	}
}

// countLocked counts the worker as busy or not.
func (w *worker) countLocked(busy bool) {
	if busy == w.busy {
		return
	}
	w.busy = busy
	n := 1
	if !busy {
		n = -1
	}
	w.engine.crew.busy += n
	if w.slow {
		w.engine.crew.busySlow += n
	}
}

// moveLocked puts the call under way into another chain of the watch.
func (w *worker) moveLocked(to *workers) {
	if w.phase != nil {
		w.phase.remove(w)
	}
	w.phase = to
	if to != nil {
		to.push(w)
	}
	w.countLocked(to == nil || to == &w.engine.watch.fresh)
}

// cutLocked ends the call if it is late and its subscriber has unsubscribed.
func (w *worker) cutLocked() {
	if w.phase == &w.engine.watch.late && w.sub.discarded && !w.cut {
		w.cut = true
		conn := w.conn
		w.engine.goroutines.Go(func() { conn.Close() })
	}
}

func (w *worker) work() {
	defer w.engine.goroutines.Done()
	for {
		if w.sub == nil {
			w.idle()
		} else {
			w.serve()
		}
		if !w.next() {
			return
		}
	}
}

// idle closes the connections of a lane.
func (w *worker) idle() {
	for _, conn := range w.lane.resting { // nobody else has them meanwhile
		conn.Idle()
	}
}

// next ends what the worker did and takes what is to be done next. It reports
// whether there is something.
func (w *worker) next() bool {
	e := w.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	l := w.lane
	l.calls--
	if w.sub == nil {
		l.idledLocked()
	} else {
		w.endTurnLocked()
	}
	w.countLocked(false)
	w.lane, w.sub, w.conn, w.cut, w.called, w.lasted = nil, nil, nil, false, false, 0
	e.crew.workers--
	l.goLocked()
	l.scheduleLocked()
	if !e.closed {
		if l := e.crew.popLocked(); l != nil {
			e.crew.workers++
			w.takeLocked(l)
			e.dispatchLocked()
			return true
		}
	}
	if len(e.crew.spare) < maxSpare {
		e.crew.spare = append(e.crew.spare, w)
	}
	e.watch.armLocked()
	e.drainedLocked()
	return false
}

// endTurnLocked takes the subscriber and the connection back.
func (w *worker) endTurnLocked() {
	s, l := w.sub, w.lane
	s.worker = nil
	s.state = idle
	if w.called {
		l.quick = w.lasted < quickTime && l.trouble == nil
	}
	if !w.cut {
		l.restLocked(w.conn)
	}
	if s.detached {
		return
	}
	s.relocateLocked()
	switch {
	case s.woken:
		s.woken = false
		s.wakeLocked()
	case !w.more:
	case s.trouble.paused():
		s.state = paused
		s.lane.paused.push(s)
	default:
		s.readyLocked()
	}
}

// serve gives the subscriber its turn.
func (w *worker) serve() {
	e := w.engine
	begun := e.now()
	for {
		limit := len(w.events)
		if w.probe {
			limit = 1
		}
		batch := w.sub.cursor.Next(w.events[:limit])
		w.sub.reportLost(&batch.Lost)
		w.more = batch.Events > 0
		if !w.more {
			return
		}
		goesOn := w.deliver(&batch)
		w.more = w.sub.cursor.Done(w.events[:batch.Events], w.outcomes[:batch.Events])
		clear(w.events[:batch.Events])
		clear(w.items[:batch.Events])
		if !w.more {
			w.sub.reportCaughtUp(batch.Subscription)
		}
		w.probe = false // that has succeeded, or the turn is over
		if batch.Events == len(w.events) {
			w.makeRoom(maxTurn)
		}
		if !w.more || !goesOn || e.now()-begun >= turnTime || w.yields() {
			return
		}
	}
}

// yields reports whether others wait for the connection or for a worker.
func (w *worker) yields() bool {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	return w.lane.ready.len > 0 || w.engine.crew.queuedLocked() > 0
}

// deliver attempts a batch, as far as it gets. It reports whether the turn goes
// on.
func (w *worker) deliver(batch *queue.Batch) (goesOn bool) {
	n := batch.Events
	clear(w.outcomes[:n])
	for i, event := range w.events[:n] {
		w.items[i] = evid.Item{Event: event}
	}
	begun := w.engine.now()
	for done := w.bury(batch); done < n; {
		if !w.begin(w.items[done:n], batch.Replay) {
			return false
		}
		w.conn.Deliver(time.Time{}, w.items[done:n])
		attempted, failed := w.end(batch, done)
		for i := done; i < done+attempted; i++ {
			w.sub.report(&w.items[i])
			if w.items[i].Result.Verdict == evid.Gone {
				w.sub.dismiss(batch, &w.items[i], &w.outcomes[i])
				return false
			}
		}
		if attempted == 0 {
			return false
		}
		done += attempted
		if failed || w.engine.now()-begun >= turnTime {
			return false
		}
	}
	return true
}

// bury gives up those at the head of a batch that are too old, and returns how
// many they are.
func (w *worker) bury(batch *queue.Batch) int {
	maxAge := evid.PolicyOf(batch.Subscription.Socket).MaxAge
	for i, event := range w.events[:batch.Events] {
		if batch.Replay || time.Since(event.Time) < maxAge {
			return i
		}
		w.sub.expired(event, maxAge, &w.outcomes[i])
	}
	return batch.Events
}

// begin begins a call. It reports whether there is to be one: the subscriber may
// have unsubscribed, or have other options by now.
func (w *worker) begin(items []evid.Item, replay bool) bool {
	e := w.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	s := w.sub
	if e.closed || s.detached || s.discarded || s.moves {
		return false
	}
	for i := range items {
		items[i].Socket, items[i].Attempt = s.sub.Socket, 1
	}
	if s.tries != nil && s.tries.id != items[0].Event.ID && !replay {
		s.tries = nil // that one was dropped
	}
	items[0].Attempt += int32(s.attemptsOf(items[0].Event.ID))
	w.since = e.now()
	w.moveLocked(&e.watch.fresh)
	e.watch.armLocked()
	return true
}

// end ends a call and settles what was attempted: items from the given one on. It
// returns how many they are, and whether one of them has to be tried again.
func (w *worker) end(batch *queue.Batch, from int) (attempted int, failed bool) {
	e, s := w.engine, w.sub
	e.mu.Lock()
	defer e.mu.Unlock()
	w.called = true
	w.lasted = max(w.lasted, e.now()-w.since)
	if w.phase == &e.watch.late {
		w.lane.late--
	}
	w.moveLocked(nil)
	for i := from; i < batch.Events; i++ {
		if w.items[i].Result.Verdict == evid.NotSent {
			break
		}
		attempted++
		s.settleLocked(batch, &w.items[i], &w.outcomes[i], failed)
		failed = failed || w.items[i].Result.Verdict == evid.Retry
	}
	return attempted, failed
}
