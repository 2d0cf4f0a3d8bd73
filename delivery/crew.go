package delivery

import "time"

const (
	// maxBusy is how many workers are busy at a time. One that waits for its peer
	// does not count.
	maxBusy = 256
	// maxBusySlow is how many of these may serve lanes that have not shown yet that
	// they are quick: what is dead or slow leaves workers for what is not.
	maxBusySlow = 192
	// maxWorkers bounds all workers.
	maxWorkers = 8192
	// peerTime is how long a call lasts before its worker counts as waiting for its
	// peer, and not as busy.
	peerTime = 25 * time.Millisecond
	// quickTime is the time of a call to a quick lane.
	quickTime = 10 * time.Millisecond
	// handOffAge is how long a lane with work waits for a worker before there are
	// more of them.
	handOffAge = 10 * time.Millisecond
	// handOffStep is how many more these are, in each time of handOffAge.
	handOffStep = 8
	// maxSpare is how many workers are kept for later.
	maxSpare = 64
)

// The crew are the workers and the lanes that wait for one, in two queues: lanes
// that have been quick the last time, and the others. The first are preferred, so
// that nobody waits behind thousands of slow destinations. All of it is guarded by
// the engine's lock.
type crew struct {
	quick, slow lanes
	turn        int // counts what was taken from the queues

	workers  int // goroutines
	busy     int // of these: not waiting for their peer
	busySlow int // of these: with a lane that is not quick
	extra    int // how many more than maxBusy there may be: the queues are not served in time
	spare    []*worker
}

func (c *crew) queuedLocked() int { return c.quick.len + c.slow.len }

// pushLocked puts a lane at the end of its queue.
func (c *crew) pushLocked(l *lane) {
	l.in = &c.slow
	if l.quick {
		l.in = &c.quick
	}
	l.in.push(l)
}

// popLocked takes the lane that may be served next; nil: there is none, or there
// are workers enough.
func (c *crew) popLocked() *lane {
	const slowTurn = 4 // one in so many is a slow one
	if c.workers >= maxWorkers || c.busy >= maxBusy+c.extra {
		return nil
	}
	slow := c.slow.len > 0 && c.busySlow < maxBusySlow+c.extra
	queue := &c.quick
	switch {
	case slow && (c.quick.len == 0 || c.turn%slowTurn == 0):
		queue = &c.slow
	case c.quick.len == 0:
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

// isLateLocked reports whether a lane has waited too long for a worker.
func (c *crew) isLateLocked(now time.Duration) bool {
	for _, queue := range []*lanes{&c.quick, &c.slow} {
		if queue.first != nil && now-queue.first.since >= handOffAge {
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
	w := &worker{engine: e}
	w.run = w.work
	w.makeRoom(firstTurn)
	return w
}

// dispatchLocked starts workers for the lanes that wait for one.
func (e *Engine) dispatchLocked() {
	for !e.closed {
		l := e.crew.popLocked()
		if l == nil {
			break
		}
		w := e.workerLocked()
		w.takeLocked(l)
		e.goroutines.Add(1)
		go w.run()
	}
	e.watch.armLocked()
}
