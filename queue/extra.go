package queue

import "github.com/evid/evid"

// maxUnsaved is how many dead letters a subscriber may have that could not be saved.
// With more it gets no events until they are.
const maxUnsaved = 10_000

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
	readAt     uint64 // chunk in which the cursor has last read
	unsaved    int    // dead letters of it that were not saved when it was last looked at
	lastLetter uint64 // number of the last of these
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

// unsavedLocked counts a new dead letter.
func (c *Cursor) unsavedLocked(number uint64) {
	if c.list.queue.disk == nil {
		return
	}
	e := c.extraLocked()
	e.unsaved++
	e.lastLetter = number
	c.changedLocked()
}

// mustWaitLocked reports whether the subscriber has too many dead letters that are not
// saved.
func (c *Cursor) mustWaitLocked() bool {
	if c.extra == nil || c.extra.unsaved < maxUnsaved {
		return false
	}
	if c.list.queue.letters.savedThrough() >= c.extra.lastLetter {
		c.extra.unsaved = 0
	}
	return c.extra.unsaved >= maxUnsaved
}
