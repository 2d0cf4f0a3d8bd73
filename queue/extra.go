package queue

import "github.com/evid/evid"

// An extra is what a cursor needs if not all events are simply delivered.
type extra struct {
	later     []span // each time that a subscriber expires and comes back after a gap there is one more
	discarded bool   // up to end, by unsubscribing: only what is handed out is still attempted

	replays []*letter // to be delivered before the events; the first are handed out
	missing uint64    // number of the dead letter about what it has lost, until it has caught up; 0: none

	counts evid.Counts // but for Accepted, Delivered and Waiting
}

// extraLocked returns the extra, to write to it.
func (c *Cursor) extraLocked() *extra {
	if c.extra == nil {
		c.extra = new(extra)
	}
	return c.extra
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

func (c *Cursor) isDiscardedLocked() bool { return c.extra != nil && c.extra.discarded }
