package delivery

import "time"

const (
	// peerTime is how long a call lasts before its worker counts as waiting for its
	// peer, and not as busy.
	peerTime = 25 * time.Millisecond
	// slowCalls is how many calls in a row have to last so long until a lane is not
	// quick any more: this machine may be what they waited for.
	slowCalls = 3
	// fullSpeed is how many calls in a millisecond end while it is this machine that
	// they wait for, and not their peers: then more workers would be of no use.
	fullSpeed = 10
	// handOffAge is how long a lane with work waits for a worker before there are
	// more of them.
	handOffAge = 10 * time.Millisecond
)

// Limits of a crew.
type crewLimits struct {
	busy     int // workers that are busy at a time; one that waits for its peer does not count
	busySlow int // of these: with lanes that have not shown that they are quick
	all      int // workers
	allSlow  int // the same, when one is wanted for a lane that is not quick
	handOff  int // how many more may be busy, for each handOffAge that a lane waits too long
	spare    int // workers that are kept for later
	wake     int // cursors that are woken at a time, or by a raiser itself
}

// What is dead or slow leaves workers for what is not.
func standardCrew() crewLimits {
	return crewLimits{busy: 256, busySlow: 192, all: 8192, allSlow: 8192 - 256, handOff: 8, spare: 64, wake: 64}
}

// A pace says how long the calls of a lane last.
type pace uint8

const (
	untried pace = iota // there was none yet
	quick
	slow
	paces
)

// The crew are the workers and the lanes that wait for one, in a queue for each
// pace. Quick ones are preferred, so that nobody waits behind thousands of slow
// destinations. All of it is guarded by the engine's lock.
type crew struct {
	limits crewLimits
	queues [paces]lanes
	turn   int // counts what was taken from the queues

	workers  int                       // at work
	busySlow int                       // of these: busy with a lane that is not known to be quick
	ended    struct{ quick, slow int } // turns, since the watch has last looked
	extra    int                       // how many more may be busy: the queues are not served in time
	spare    []*worker
}

func (c *crew) queuedLocked() int {
	return c.queues[untried].len + c.queues[quick].len + c.queues[slow].len
}

// pushLocked puts a lane at the end of its queue.
func (c *crew) pushLocked(l *lane) {
	l.in = &c.queues[l.pace]
	l.in.push(l)
}

// popLocked takes the lane whose turn it is when so many workers are busy; nil:
// there is none, or there are workers enough.
func (c *crew) popLocked(busy int) *lane {
	if c.workers >= c.limits.all || busy >= c.limits.busy+c.extra {
		return nil
	}
	queue := c.turnLocked()
	if queue == nil {
		return nil
	}
	c.turn++
	l := queue.pop()
	l.in = nil
	if c.queuedLocked() == 0 {
		c.extra = 0
	}
	return l
}

// turnLocked returns the queue whose turn it is; nil: there is nothing in one that
// may have a worker.
func (c *crew) turnLocked() *lanes {
	const others = 4 // one in so many is not a quick one
	q := &c.queues
	mayOthers := c.busySlow < c.limits.busySlow+c.extra && c.workers < c.limits.allSlow
	switch hasOthers := mayOthers && q[untried].len+q[slow].len > 0; {
	case q[quick].len > 0 && (!hasOthers || c.turn%others > 0):
		return &q[quick]
	case !hasOthers:
		return nil
	case q[slow].len == 0, q[untried].len > 0 && c.turn/others%2 == 0:
		return &q[untried]
	default:
		return &q[slow]
	}
}

// nextLocked returns the lane that is to be served next; nil: there is none.
func (e *Engine) nextLocked() *lane {
	for !e.closed {
		l := e.crew.popLocked(e.crew.workers - e.watch.waiting.len - e.watch.late.len)
		if l == nil || l.isAffordableLocked() {
			return l
		}
		e.scarceLocked(l)
	}
	return nil
}

// endedLocked counts a turn that has ended.
func (c *crew) endedLocked(slow bool) {
	if slow {
		c.ended.slow++
	} else {
		c.ended.quick++
	}
}

// isOverdueLocked reports whether a lane has waited too long for a worker.
func (c *crew) isOverdueLocked(now time.Duration) bool {
	for i := range c.queues {
		if queue := &c.queues[i]; queue.first != nil && now-queue.first.since >= handOffAge {
			return true
		}
	}
	return false
}

// workerLocked returns a worker that does nothing.
func (e *Engine) workerLocked() *worker {
	c := &e.crew
	c.workers++
	if n := len(c.spare); n > 0 {
		w := c.spare[n-1]
		c.spare[n-1] = nil
		c.spare = c.spare[:n-1]
		return w
	}
	return newWorker(e)
}

// keep keeps a worker that has nothing to do for later, if there are not enough.
func (e *Engine) keep(w *worker) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &e.crew
	if e.closed || len(c.spare) >= c.limits.spare {
		return false
	}
	c.spare = append(c.spare, w)
	return true
}

// dispatchLocked starts workers for the lanes that wait for one.
func (e *Engine) dispatchLocked() {
	for l := e.nextLocked(); l != nil; l = e.nextLocked() {
		w := e.workerLocked()
		w.takeLocked(l)
		e.goroutines.Add(1)
		w.task.start()
	}
	e.watch.armLocked()
}
