package queue

import "github.com/evid/evid"

// What dead letters a subscriber may have that are not saved. With more it gets no events
// until they are: on a disk that is full there is room for some, and then for more once the
// events that they were are trimmed.
const (
	maxUnsaved      = 10_000
	maxUnsavedBytes = 4 << 20
)

// An extra is what a cursor needs if not all events are simply delivered.
type extra struct {
	// The spans that are left to deliver. Each time that a subscriber expires and
	// comes back after a gap there is one more.
	end       uint64 // where the first ends, without end; endless: it is open
	discarded bool   // the first, by unsubscribing: only what is handed out is still attempted
	later     []span

	replays []*letter // to be delivered before the events; the first are handed out
	missing uint64    // number of the dead letter about what it has lost, until it has caught up; 0: none

	raise *syncRaise // who waits for the event at pos; nil: nobody

	counts evid.Counts // but for Accepted, Delivered and Waiting

	// Of a queue on disk.
	readAt       uint64 // chunk in which the cursor has last read
	unsaved      int    // dead letters of it that were not saved when it was last looked at
	unsavedBytes int    // of these
	lastLetter   uint64 // number of the last of these
}

// extraLocked returns the extra, to write to it.
func (c *Cursor) extraLocked() *extra {
	if c.extra == nil {
		c.extra = &extra{end: endless}
	}
	return c.extra
}

// firstEndLocked is where the first span ends.
func (c *Cursor) firstEndLocked() uint64 {
	if c.extra == nil {
		return endless
	}
	return c.extra.end
}

// lastEnd is where the last span ends.
func (e *extra) lastEnd() *uint64 {
	if n := len(e.later); n > 0 {
		return &e.later[n-1].to
	}
	return &e.end
}

// laterLocked returns the spans after the first.
func (c *Cursor) laterLocked() []span {
	if c.extra == nil {
		return nil
	}
	return c.extra.later
}

// replaysLocked returns the dead letters that are to be delivered.
func (c *Cursor) replaysLocked() []*letter {
	if c.extra == nil {
		return nil
	}
	return c.extra.replays
}

// raiseLocked returns the raiser that waits; nil: nobody does.
func (c *Cursor) raiseLocked() *syncRaise {
	if c.extra == nil {
		return nil
	}
	return c.extra.raise
}

func (c *Cursor) isDiscardedLocked() bool { return c.extra != nil && c.extra.discarded }

// unsavedLocked counts a new dead letter, with an event of that size.
func (c *Cursor) unsavedLocked(number uint64, size int) {
	if c.list.queue.disk == nil {
		return
	}
	e := c.extraLocked()
	e.unsaved++
	e.unsavedBytes += size
	e.lastLetter = number
	c.changedLocked()
}

// mustWaitLocked reports whether the subscriber has too many dead letters that are not
// saved.
func (c *Cursor) mustWaitLocked() bool {
	e := c.extra
	if e == nil || e.unsaved < maxUnsaved && e.unsavedBytes < maxUnsavedBytes {
		return false
	}
	if c.list.queue.letters.savedThrough() < e.lastLetter {
		return true
	}
	e.unsaved, e.unsavedBytes = 0, 0
	return false
}
