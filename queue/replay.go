package queue

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/evid/evid"
)

// DeadLetters lists the dead letters that f chooses, the oldest first, as they
// are now. All are in memory: that never fails.
func (q *Queue) DeadLetters(f evid.DeadLetterFilter) iter.Seq2[evid.DeadLetter, error] {
	return func(yield func(evid.DeadLetter, error) bool) {
		for _, d := range q.letters.list(f) {
			if !yield(d, nil) {
				return
			}
		}
	}
}

// Purge throws away the dead letters that f chooses and returns how many they
// were. An error says that this could not be saved: they come back if the process ends
// before it could be.
func (q *Queue) Purge(f evid.DeadLetterFilter) (purged int, err error) {
	purged = q.letters.purge(f)
	if purged > 0 && q.disk != nil {
		err = q.disk.saver.sync()
	}
	return purged, err
}

// DeadLetterCounts says what became of dead letters.
func (q *Queue) DeadLetterCounts() LetterCounts { return q.letters.counts() }

// Replay has the dead letters that f chooses delivered again, before what waits
// for their subscribers. It returns how many there are now to deliver and how many
// are left as they were: their events are gone, or nobody is subscribed there any
// more. Each is attempted once. One that is delivered is no dead letter any more;
// if the subscriber cannot be reached, or pauses, the others stay as they are. That
// never fails.
func (q *Queue) Replay(f evid.DeadLetterFilter) (replayed, left int, err error) {
	for _, d := range q.letters.choose(f) {
		if q.replay(d) {
			replayed++
		} else {
			left++
		}
	}
	return replayed, left, nil
}

// replay puts a letter in front of its subscriber's events. It reports whether
// it will be delivered: now, or it was to be already.
func (q *Queue) replay(d *letter) bool {
	l := q.find(d.Event)
	if l == nil || d.Raised == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.cursors[d.Socket.Key()]
	if c == nil || !c.open || c.reader == nil || q.refuses.Load() {
		return false
	}
	if !q.letters.beginReplay(d) {
		return true
	}
	e := c.extraLocked()
	e.replays = append(e.replays, d)
	if c.isParkedLocked() {
		c.unparkLocked()
		q.deliverer.Wake([]*Cursor{c})
	}
	return true
}

// endReplaysLocked leaves the letters that were to be replayed as they are.
func (c *Cursor) endReplaysLocked() {
	if c.extra == nil {
		return
	}
	for _, d := range c.extra.replays {
		c.list.queue.letters.endReplay(d)
	}
	c.extra.replays = nil
}

// replayLocked hands out letters that are to be replayed, but for those that were
// purged since. It reports whether there are any.
func (c *Cursor) replayLocked(events []*evid.Event, batch *Batch) bool {
	letters := &c.list.queue.letters
	for batch.Events < min(len(events), len(c.replaysLocked()), MaxBatch) {
		d := c.extra.replays[batch.Events]
		if !letters.has(d.Number) {
			c.takeOutLocked(batch.Events)
			continue
		}
		events[batch.Events] = bare(d.Raised)
		batch.Events++
	}
	c.replaying = uint8(batch.Events)
	batch.Replay = batch.Events > 0
	return batch.Replay
}

// takeOutLocked takes a letter out of those that are to be replayed. It is one of
// the first of maybe very many: those before it move up.
func (c *Cursor) takeOutLocked(at int) {
	replays := c.extra.replays
	copy(replays[1:at+1], replays[:at])
	replays[0] = nil
	if replays = replays[1:]; len(replays) == 0 {
		replays = nil
	}
	c.extra.replays = replays
}

// replayedLocked takes what became of the letters that were handed out.
func (c *Cursor) replayedLocked(outcomes []Outcome) {
	c.replaying = 0
	c.list.changedLocked() // there are dead letters to save
	letters := &c.list.queue.letters
	end := !c.open
	waits := 0
	for i := range outcomes {
		d, o := c.extra.replays[waits], &outcomes[i]
		switch o.Fate {
		case Waits:
			waits++
			if o.Retried {
				letters.failed(d, o)
				end = true
			}
		case Delivered:
			c.takeOutLocked(waits)
			letters.delivered(d)
		case Dead:
			c.takeOutLocked(waits)
			letters.failed(d, o)
		}
	}
	if end {
		c.endReplaysLocked()
	}
}

// letterLocked is a dead letter of this subscriber.
func (c *Cursor) letterLocked() evid.DeadLetter {
	return evid.DeadLetter{Event: c.sub.Event, Socket: c.sub.Socket}
}

// bare returns an event without the encodings that it carries for others.
func bare(e *evid.Event) *evid.Event {
	return &evid.Event{ID: e.ID, Name: e.Name, Time: e.Time, Hops: e.Hops, Params: e.Params}
}

// detached returns a bare event whose texts are its own, and no part of the request or
// the chunk that it came with.
func detached(e *evid.Event) *evid.Event {
	e = bare(e)
	e.Params = slices.Clone(e.Params)
	for i := range e.Params {
		p := &e.Params[i]
		p.Name, p.Str = strings.Clone(p.Name), strings.Clone(p.Str)
	}
	return e
}

// buryLocked keeps an event that was given up.
func (c *Cursor) buryLocked(e *evid.Event, o *Outcome) {
	e = detached(e)
	d := c.letterLocked()
	d.Reason, d.Attempts, d.First, d.Last = o.Reason, o.Attempts, o.First, o.Last
	d.Count, d.FirstID, d.LastID, d.Raised = 1, e.ID, e.ID, e
	c.unsavedLocked(c.list.queue.letters.add(d), eventSize(e))
}

// missLocked keeps that the subscriber has lost n events, in one letter for all
// that it loses until it has caught up. It returns the letter about these.
func (c *Cursor) missLocked(n uint64) evid.DeadLetter {
	l := c.list
	now := time.Now()
	d := c.letterLocked()
	d.Reason, d.First, d.Last = errDropped.Error(), now, now
	d.Count, d.FirstID, d.LastID = n, l.firstLost, l.lastLost
	if e := c.extraLocked(); e.missing == 0 || !l.queue.letters.extend(e.missing, d) {
		e.missing = l.queue.letters.add(d)
		c.unsavedLocked(e.missing, 0)
	}
	return d
}
