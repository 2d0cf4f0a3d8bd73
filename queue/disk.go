package queue

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
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

// fetchLocked hands out events that are in the log only. It reports whether Next has
// its result; else it has to look again. The list's lock is not held meanwhile.
func (c *Cursor) fetchLocked(events []*evid.Event, batch *Batch) (done bool) {
	l := c.list
	d := l.queue.disk
	want, n := c.pos, c.availableLocked(len(events))
	head := l.ring.head
	from, to := l.marks.before(want).pos, l.ring.firstPos()
	if c.extra != nil {
		from = max(from, c.extra.readAt)
	}
	l.mu.Unlock()
	at, n, err := d.chunks.find(l.name, want, from, to, events[:n])
	l.mu.Lock()
	switch {
	case c.ended || c.pos != want: // it was closed meanwhile
		return false
	case err != nil:
		d.stick(c)
		return true
	case n == 0 || at.ordinal > head: // nothing is left before what is in memory
		at = mark{ordinal: head}
	}
	if at.pos != 0 {
		c.extraLocked().readAt = at.pos
	}
	if at.ordinal > want {
		c.loseLocked(at, batch)
		return false
	}
	l.marks.add(at)
	batch.Events = min(n, c.availableLocked(n))
	c.handed = uint8(batch.Events)
	return true
}

// loseLocked goes on to the first event that is left; those before it were lost.
func (c *Cursor) loseLocked(next mark, batch *Batch) {
	l := c.list
	lost := c.waitingLocked(0, next.ordinal)
	if lost > 0 {
		l.firstLost, l.lastLost = l.marks.before(c.pos).id, l.idBeforeLocked(next)
		d := c.missLocked(lost)
		d.Count += batch.Lost.Count
		batch.Lost = d
		c.extraLocked().counts.Dropped += lost
		c.changedLocked()
		c.resolveLocked(errDropped)
	}
	c.moveLocked(next.ordinal)
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

// idBeforeLocked is the highest that an event before a place in the list can have.
func (l *list) idBeforeLocked(m mark) evid.ID {
	id := m.id
	switch {
	case id != (evid.ID{}):
	case m.ordinal >= l.ring.head && m.ordinal < l.ring.tail:
		id = l.ring.at(m.ordinal).event.ID
	default:
		return evid.ID{Epoch: l.queue.epoch, Seq: l.queue.seq.Load()}
	}
	id.Seq--
	return id
}
