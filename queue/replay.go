package queue

import (
	"iter"
	"time"

	"github.com/evid/evid"
)

// DeadLetters lists the dead letters that f chooses, the oldest first, as they
// are now.
func (q *Queue) DeadLetters(f evid.DeadLetterFilter) iter.Seq[evid.DeadLetter] {
	list := q.letters.list(f)
	return func(yield func(evid.DeadLetter) bool) {
		for _, d := range list {
			if !yield(*d) {
				return
			}
		}
	}
}

// Purge throws away the dead letters that f chooses and returns how many they
// were.
func (q *Queue) Purge(f evid.DeadLetterFilter) int { return q.letters.purge(f) }

// DeadLetterCounts says what became of dead letters.
func (q *Queue) DeadLetterCounts() LetterCounts { return q.letters.counts() }

// Replay has the dead letters that f chooses delivered again, before what waits
// for their subscribers. It returns how many there are now to deliver and how many
// are left as they were: their events are gone, or nobody is subscribed there any
// more. A letter that cannot be delivered, again, is kept again, under its number.
func (q *Queue) Replay(f evid.DeadLetterFilter) (replayed, left int) {
	chosen := func(d *evid.DeadLetter) bool {
		if !f.Matches(d) {
			return false
		}
		if d.Raised == nil {
			left++
		}
		return d.Raised != nil
	}
	for _, d := range q.letters.take(chosen) {
		if q.replay(d) {
			replayed++
		} else {
			q.letters.add(*d)
			left++
		}
	}
	return replayed, left
}

// replay puts a letter in front of its subscriber's events. It reports whether
// there is such a subscriber.
func (q *Queue) replay(d *evid.DeadLetter) bool {
	l := q.find(d.Event)
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.cursors[d.Socket.Key()]
	if c == nil || !c.open || q.refuses.Load() {
		return false
	}
	c.replays = append(c.replays, d)
	if c.parkedAt != notParked {
		c.unparkLocked()
		q.deliverer.Wake([]*Cursor{c})
	}
	return true
}

// giveBackLocked makes the letters that were to be replayed dead letters again.
func (c *Cursor) giveBackLocked() {
	for _, d := range c.replays {
		c.list.queue.letters.add(*d)
	}
	c.replays = nil
}

// replayedLocked takes what became of the letters that were handed out.
func (c *Cursor) replayedLocked(outcomes []Outcome) {
	waits := c.replays[:0]
	for i, d := range c.replays {
		if i >= len(outcomes) {
			waits = append(waits, d)
			continue
		}
		switch o := &outcomes[i]; o.Fate {
		case Waits:
			waits = append(waits, d)
		case Delivered:
			c.list.queue.letters.delivered()
		case Dead:
			again := *d
			again.Reason, again.Last = o.Reason, o.Last
			again.Attempts += o.Attempts
			c.list.queue.letters.add(again)
		}
	}
	clear(c.replays[len(waits):])
	c.replays = waits
	if len(waits) == 0 {
		c.replays = nil
	}
	if !c.open {
		c.giveBackLocked()
	}
}

// letterLocked is a dead letter of this subscriber.
func (c *Cursor) letterLocked() evid.DeadLetter {
	return evid.DeadLetter{Event: c.sub.Event, Socket: c.sub.Socket}
}

// buryLocked keeps an event that was given up.
func (c *Cursor) buryLocked(e *evid.Event, o *Outcome) {
	d := c.letterLocked()
	d.Reason, d.Attempts, d.First, d.Last = o.Reason, o.Attempts, o.First, o.Last
	d.Count, d.FirstID, d.LastID, d.Raised = 1, e.ID, e.ID, e
	c.list.queue.letters.add(d)
}

// missLocked keeps that the subscriber has lost n events, in one letter for all
// that it loses until it has caught up. It returns the letter about these.
func (c *Cursor) missLocked(n uint64) evid.DeadLetter {
	l := c.list
	now := time.Now()
	d := c.letterLocked()
	d.Reason, d.First, d.Last = errDropped.Error(), now, now
	d.Count, d.FirstID, d.LastID = n, l.firstLost, l.lastLost
	if c.missing == 0 || !l.queue.letters.extend(c.missing, d) {
		c.missing = l.queue.letters.add(d)
	}
	return d
}
