package queue

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// A disk is what a queue has more that keeps its events in a [Store]. See DESIGN.md.
type disk struct {
	queue *Queue
	store Store
	log   *slog.Logger

	committer committer
	chunks    chunks
	saver     saver
	applied   atomic.Uint64 // position of the newest chunk that the lists have
	logged    atomic.Uint64 // events in the log, with those that were trimmed
	bytes     atomic.Int64  // of the event log, about
	inMemory  atomic.Int64  // bytes of the events that the lists have in memory
	unsettled atomic.Bool   // a chunk was not confirmed, and may be there
	crowded   atomic.Bool   // it may have reached its limits
	full      atomic.Bool   // it has, and nothing is dropped
	maxBytes  int64
	started   time.Time // by the clock of what was saved, if that is ahead
	start     atomic.Pointer[logStart]

	mu     sync.Mutex
	stuck  []*Cursor // could not go on, because of the store: to be woken
	nextID uint64    // of a subscriber
	sick   time.Time // when the store was found to take nothing; zero: it takes something
}

// stick has a cursor woken in a while.
func (d *disk) stick(c *Cursor) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stuck = append(d.stuck, c)
}

// unstick wakes those that could not go on.
func (d *disk) unstick() {
	d.mu.Lock()
	stuck := d.stuck
	d.stuck = nil
	d.mu.Unlock()
	if len(stuck) > 0 {
		d.queue.deliverer.Wake(stuck)
	}
}

func (d *disk) newID() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nextID++
	return d.nextID
}

// waitIdle waits until what is being written is, for a while.
func (d *disk) waitIdle() {
	const longest = time.Second
	timer := time.NewTimer(longest)
	defer timer.Stop()
	select {
	case <-d.committer.whenIdle():
	case <-timer.C:
	}
}
