package delivery

import (
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

const (
	// maxTurn is how many events a subscriber has delivered before it is another
	// one's turn.
	maxTurn = 64
	// turnTime ends a turn early: servers can be slow.
	turnTime = 50 * time.Millisecond
	// firstTurn is how many events a worker has room for at first: very many workers
	// can be at work for one event each.
	firstTurn = 2
)

// A worker is a task that serves lanes, one after the other, until none waits for one. What
// the watch looks at is guarded by the engine's lock, the rest is its own.
type worker struct {
	link   links[worker]
	engine *Engine
	task   *task
	rest   func() // see its method; made once

	lane  *lane
	sub   *subscriber   // nil: connections are to be closed
	conn  evid.Lane     // for the call
	close connections   // to close
	probe bool          // one event only: the last attempt has failed
	phase *workers      // the chain of calls that it is in; nil: no call is under way
	since time.Duration // when the call began
	slow  bool          // the lane was not known to be quick when it was taken
	cut   bool          // the connection was closed to end the call

	called bool          // there was a call in this turn
	lasted time.Duration // the longest of these
	left   queue.Left    // when the turn is over

	events   []*evid.Event
	items    []evid.Item
	outcomes []queue.Outcome
}

func (w *worker) links() *links[worker] { return &w.link }

// takeLocked gives the worker the next thing to do for a lane.
func (w *worker) takeLocked(l *lane) {
	w.lane = l
	w.slow = l.pace != quick
	w.busyLocked(1)
	if w.sub = l.nextLocked(); w.sub == nil {
		l.calls++
		w.close = l.resting
		return
	}
	w.sub.state, w.sub.discarded, w.sub.worker = serving, false, w
	w.conn = l.connectLocked(w.sub.sub)
	w.probe = l.backoff != nil || w.sub.backoff() != nil
	l.calls++
	l.scheduleLocked() // there may be work for another
}

// busyLocked counts the worker as busy, or (n is -1) not.
func (w *worker) busyLocked(n int) {
	if w.slow {
		w.engine.crew.busySlow += n
	}
}

// moveLocked puts the call under way into another chain of the watch. Who waits
// for its peer is not busy.
func (w *worker) moveLocked(to *workers) {
	wasBusy := w.isBusyLocked()
	if w.phase != nil {
		w.phase.remove(w)
	}
	w.phase = to
	if to != nil {
		to.push(w)
	}
	switch isBusy := w.isBusyLocked(); {
	case isBusy && !wasBusy:
		w.busyLocked(1)
	case wasBusy && !isBusy:
		w.busyLocked(-1)
	}
}

func (w *worker) isBusyLocked() bool { return w.phase == nil || w.phase == &w.engine.watch.fresh }

// cutLocked ends the call if it is late and its subscriber has unsubscribed.
func (w *worker) cutLocked() {
	if w.phase == &w.engine.watch.late && w.sub.discarded && !w.cut {
		w.cut = true
		w.engine.closeConnection(w.conn)
	}
}

func newWorker(e *Engine) *worker {
	w := &worker{engine: e}
	w.task = newTask(w.work)
	w.rest = w.restOrEnd
	w.makeRoom(firstTurn)
	return w
}

// work is what the worker's task does, each time that it is started.
func (w *worker) work() {
	for goesOn := true; goesOn; goesOn = w.task.yield(w.rest) {
		for more := true; more; more = w.next() {
			if w.sub != nil {
				w.serve()
				continue
			}
			w.task.Own() // closing may block
			w.close.idle()
		}
	}
}

// restOrEnd keeps the worker, which has been suspended as it has nothing to do, for later,
// or ends its task.
func (w *worker) restOrEnd() {
	e := w.engine
	defer e.goroutines.Done()
	if !e.keep(w) {
		w.task.end()
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
		l.closedLocked(w.close)
	} else {
		w.endTurnLocked()
	}
	w.busyLocked(-1)
	e.crew.endedLocked(w.slow)
	w.lane, w.sub, w.conn, w.close, w.cut, w.called, w.lasted = nil, nil, nil, connections{}, false, false, 0
	e.crew.workers--
	l.goLocked()
	l.scheduleLocked()
	if next := e.nextLocked(); next != nil {
		e.crew.workers++
		w.takeLocked(next)
		e.dispatchLocked()
		return true
	}
	e.watch.armLocked()
	e.drainedLocked()
	return false
}

// endTurnLocked takes the subscriber and the connection back.
func (w *worker) endTurnLocked() {
	s, l := w.sub, w.lane
	s.worker = nil
	s.state = resting
	if w.called {
		l.lastedLocked(w.lasted)
	}
	if w.cut {
		l.countLocked(-1)
	} else {
		l.restLocked(w.conn)
	}
	if s.detached {
		return
	}
	woken := s.woken
	s.woken = false
	s.relocateLocked()
	switch {
	case w.left == queue.ARaise:
		s.hurryLocked()
	case woken:
		s.wakeLocked()
	case w.left == queue.Nothing:
	case s.backoff().pauses():
		s.state = paused
		s.engine.paused.push(s)
	default:
		s.readyLocked()
	}
}

// makeRoom makes room for so many events.
func (w *worker) makeRoom(n int) {
	if len(w.events) < n {
		w.events, w.items, w.outcomes = make([]*evid.Event, n), make([]evid.Item, n), make([]queue.Outcome, n)
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
		w.left = queue.Nothing
		if batch.Events == 0 {
			return
		}
		goesOn := w.deliver(&batch)
		w.left = w.sub.cursor.Done(w.events[:batch.Events], w.outcomes[:batch.Events])
		clear(w.events[:batch.Events])
		clear(w.items[:batch.Events])
		if w.left == queue.Nothing {
			w.sub.reportCaughtUp(batch.Subscription)
		}
		if w.left == queue.Nothing || !goesOn || e.now()-begun >= turnTime || w.yields() {
			return
		}
		if batch.Events == len(w.events) {
			w.makeRoom(maxTurn)
		}
	}
}

// yields reports whether others wait for the connection or for a worker. A quick lane
// does not make way for others.
func (w *worker) yields() bool {
	e := w.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	waiting := e.crew.queues[quick].len
	if w.slow {
		waiting = e.crew.queuedLocked()
	}
	return w.lane.ready.len > 0 || waiting > 0
}

// deliver attempts a batch, as far as it gets. It reports whether the turn goes
// on.
func (w *worker) deliver(batch *queue.Batch) (goesOn bool) {
	n := batch.Events
	clear(w.outcomes[:n])
	w.fill(batch)
	begun := w.engine.now()
	for done := w.bury(batch); done < n; {
		if !w.begin() {
			return false
		}
		w.attempt(w.items[done:n])
		attempted, failed, took := w.end(batch, done)
		if w.engine.took != nil {
			w.engine.took(batch.Subscription.Socket, took)
		}
		for i := done; i < done+attempted; i++ {
			w.sub.report(&w.items[i])
			if w.items[i].Result.Verdict == evid.Gone {
				w.sub.dismiss(batch, &w.items[i])
				return false
			}
		}
		done += attempted
		if failed || attempted == 0 || w.engine.now()-begun >= turnTime {
			return false
		}
		w.probe = false // that was delivered, or refused for good
	}
	return true
}

// attempt makes a call. What was not delivered is not settled while others wait: who is gone, for
// one, is dismissed on disk.
func (w *worker) attempt(items []evid.Item) {
	if conn, ok := w.conn.(evid.Suspender); ok {
		conn.DeliverTask(w.task, items)
	} else {
		w.task.Own()
		w.conn.Deliver(items)
	}
	for i := range items {
		if v := items[i].Result.Verdict; v != evid.Delivered && v != evid.NotSent {
			w.task.Own()
		}
	}
}

// fill makes items of a batch.
func (w *worker) fill(batch *queue.Batch) {
	s := w.sub
	if !batch.Replay {
		s.forgetTriesBefore(w.events[0].ID)
	}
	for i, event := range w.events[:batch.Events] {
		w.items[i] = evid.Item{Event: event, Socket: batch.Subscription.Socket, Attempt: 1}
		if t := s.trouble.triesAt(event.ID); t != nil && !batch.Replay {
			w.items[i].Attempt += int32(t.attempts)
		}
	}
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
func (w *worker) begin() bool {
	e, s := w.engine, w.sub
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || s.detached || s.discarded || s.renewed {
		return false
	}
	w.since = e.now()
	w.moveLocked(&e.watch.fresh)
	e.watch.armLocked()
	return true
}

// end ends a call and settles what was attempted: items from the given one on. It
// returns how many they are, whether one of them has to be tried again, and how long the
// call took.
func (w *worker) end(batch *queue.Batch, from int) (attempted int, failed bool, took time.Duration) {
	e, s := w.engine, w.sub
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	w.called = true
	took = now.Sub(e.began) - w.since
	w.lasted = max(w.lasted, took)
	if w.phase == &e.watch.late {
		w.lane.late--
	}
	w.moveLocked(nil)
	for i := from; i < batch.Events; i++ {
		if w.items[i].Result.Verdict == evid.NotSent {
			break
		}
		attempted++
		s.settleLocked(batch, &w.items[i], &w.outcomes[i], now, failed)
		failed = failed || w.items[i].Result.Verdict == evid.Retry
	}
	if attempted == 0 && !w.cut && !e.closed && !s.discarded {
		w.lane.stallLocked() // a lane should not do that; it is not asked again and again
	}
	return attempted, failed, took
}
