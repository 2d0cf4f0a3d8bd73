package queue

import (
	"errors"
	"math"

	"github.com/evid/evid"
)

// A Cursor is a subscriber's place in the list of its event. Its counters and
// its place are guarded by the list's lock.
//
// One goroutine at a time may have a cursor: the one that was woken, until
// [Cursor.Next] has nothing for it.
type Cursor struct {
	list   *list
	reader Reader

	sub      evid.Subscription
	open     bool
	parkedAt int // index in list.parked, or notParked

	// What is left to deliver, in order; pos is in the first span. Each time that a
	// subscriber expires and comes back after a gap there is one more.
	spans  []span
	pos    uint64 // ordinal of the next event that is not done, or nowhere
	handed uint64 // events from pos on that Next has handed out, all of the first span

	counts evid.Counts // all but Accepted and Waiting: those are differences
	ended  uint64      // events accepted in spans that have ended
	raise  *syncRaise  // who waits for the only event there is; nil: nobody
}

// A span is a range of ordinals, without to.
type span struct {
	from, to  uint64
	discarded bool // by unsubscribing: only what is handed out is still attempted
}

const (
	endless   = math.MaxUint64 // span.to of a subscription that is open
	nowhere   = math.MaxUint64 // pos of a cursor that has nothing left
	notParked = -1
)

var (
	errDropped   = errors.New("the event was dropped: the queue is full")
	errAbandoned = errors.New("it unsubscribed")
)

// enterLocked and leaveLocked count a cursor in and out of an ordinal. What all
// have passed is freed.
func (l *list) enterLocked(pos uint64) {
	switch {
	case pos == nowhere:
	case pos == l.ring.tail:
		l.atTail++
	case pos >= l.ring.head:
		l.ring.at(pos).readers++
	default:
		l.behind++
	}
}

func (l *list) leaveLocked(pos uint64) {
	switch {
	case pos == nowhere:
	case pos == l.ring.tail:
		l.atTail--
	case pos >= l.ring.head:
		l.ring.at(pos).readers--
	default:
		l.behind--
	}
	for l.behind == 0 && l.ring.len() > 0 && l.ring.at(l.ring.head).readers == 0 {
		l.ring.pop()
	}
}

func (c *Cursor) openLocked(s evid.Subscription) {
	l := c.list
	if c.open && c.sub.Sync {
		l.sync--
	}
	if s.Sync {
		l.sync++
	}
	c.sub = s
	if c.open {
		return
	}
	c.open = true
	l.open++
	tail := l.ring.tail
	if n := len(c.spans); n > 0 && c.spans[n-1].to == tail && !c.spans[n-1].discarded {
		c.ended -= tail - c.spans[n-1].from // it goes on as if it had not ended
		c.spans[n-1].to = endless
		return
	}
	c.spans = append(c.spans, span{from: tail, to: endless})
	if len(c.spans) == 1 {
		c.moveLocked(tail)
	}
}

// closeLocked stops accepting events for the subscriber. It reports whether
// nothing was left either: the cursor is then out of the list, and its Reader has
// to be told.
func (c *Cursor) closeLocked(why evid.Close) (retired bool) {
	l := c.list
	if c.open {
		c.open = false
		l.open--
		if c.sub.Sync {
			l.sync--
		}
		last := &c.spans[len(c.spans)-1]
		last.to = l.ring.tail
		c.ended += last.to - last.from
		if last.from == last.to {
			c.spans = c.spans[:len(c.spans)-1]
		}
	}
	if why != evid.Expired {
		c.discardLocked()
	} else if c.handed == 0 {
		c.moveLocked(c.pos) // it may be at the end already
	}
	if c.parkedAt == notParked {
		return false // the Deliverer has it, and will find out
	}
	c.retireLocked()
	return true
}

// discardLocked abandons what waits, but for what is handed out.
func (c *Cursor) discardLocked() {
	missed := c.missedLocked()
	c.counts.Dropped += missed
	c.counts.Abandoned += c.spannedLocked(c.pos+c.handed, c.list.ring.tail) - missed
	if c.handed == 0 {
		c.spans = nil
		c.moveLocked(nowhere)
		c.resolveLocked(errAbandoned)
		return
	}
	c.spans = []span{{from: c.spans[0].from, to: c.pos + c.handed, discarded: true}}
}

// spannedLocked counts the events of [from, to) that are in a span.
func (c *Cursor) spannedLocked(from, to uint64) uint64 {
	var n uint64
	for _, s := range c.spans {
		if first, end := max(s.from, from), min(s.to, to); first < end {
			n += end - first
		}
	}
	return n
}

// missedLocked counts the events that wait but are no longer in the list and
// not handed out.
func (c *Cursor) missedLocked() uint64 {
	return c.spannedLocked(c.pos+c.handed, c.list.ring.head)
}

func (c *Cursor) countsLocked() evid.Counts {
	counts := c.counts
	missed := c.missedLocked()
	counts.Dropped += missed
	counts.Waiting = c.spannedLocked(c.pos, c.list.ring.tail) - missed
	counts.Accepted = c.ended
	if c.open {
		counts.Accepted += c.list.ring.tail - c.spans[len(c.spans)-1].from
	}
	return counts
}

// moveLocked moves the cursor, whose events up to there are done, to the next
// event of a span at or after pos; out of the list if no span is left.
func (c *Cursor) moveLocked(pos uint64) {
	for len(c.spans) > 0 && c.spans[0].to <= pos {
		c.spans = c.spans[1:]
	}
	if len(c.spans) == 0 {
		pos = nowhere
	} else {
		pos = max(pos, c.spans[0].from)
	}
	if pos != c.pos {
		c.list.enterLocked(pos) // first, so that leaving does not free what it goes to
		c.list.leaveLocked(c.pos)
		c.pos = pos
	}
}

// A Batch is what [Cursor.Next] has handed out.
type Batch struct {
	Subscription evid.Subscription // as it is now
	Events       int               // how many
	Dropped      uint64            // how many before them were lost: the subscriber was too far behind
}

// Next hands out up to len(events) of the events that wait, the oldest first. If
// there are none the cursor's Reader is woken when there are, and until then the
// cursor may not be called. Everything that is handed out must be returned by
// [Cursor.Done] before Next is called again.
func (c *Cursor) Next(events []*evid.Event) Batch {
	c.list.mu.Lock()
	batch, retired := c.nextLocked(events)
	c.list.mu.Unlock()
	if retired {
		c.reader.Detach()
	}
	return batch
}

func (c *Cursor) nextLocked(events []*evid.Event) (batch Batch, retired bool) {
	l := c.list
	batch = Batch{Subscription: c.sub, Dropped: c.missedLocked()}
	if batch.Dropped > 0 {
		c.counts.Dropped += batch.Dropped
		c.moveLocked(l.ring.head)
		c.resolveLocked(errDropped)
	}
	if len(c.spans) == 0 {
		c.retireLocked()
		return batch, true
	}
	end := min(c.spans[0].to, l.ring.tail)
	for batch.Events < len(events) && c.pos+uint64(batch.Events) < end {
		events[batch.Events] = l.ring.at(c.pos + uint64(batch.Events)).event
		batch.Events++
	}
	c.handed = uint64(batch.Events)
	if c.handed == 0 {
		c.parkLocked()
	}
	return batch, false
}

// An Outcome is what became of events that were handed out.
type Outcome struct {
	Delivered   int   // confirmed, or with Unconfirmed: written
	Dead        int   // given up
	Unconfirmed int   // of Delivered
	Odd         int   // of Delivered
	Retried     int   // attempts that asked for another one
	Err         error // why the last of Dead was given up
}

// Done returns what was handed out: the first of it, as many as Delivered and
// Dead say, are done. The others wait again.
func (c *Cursor) Done(o Outcome) {
	c.list.mu.Lock()
	defer c.list.mu.Unlock()
	c.counts.Delivered += uint64(o.Delivered)
	c.counts.Dead += uint64(o.Dead)
	c.counts.Unconfirmed += uint64(o.Unconfirmed)
	c.counts.Odd += uint64(o.Odd)
	c.counts.Retried += uint64(o.Retried)
	done := uint64(o.Delivered + o.Dead)
	end := c.pos + c.handed
	c.handed = 0
	switch {
	case done > 0:
		c.resolveLocked(o.Err)
	case c.spans[0].discarded:
		c.resolveLocked(errAbandoned)
	}
	if c.spans[0].discarded {
		c.counts.Abandoned += end - c.pos - done
		done = end - c.pos
	}
	c.moveLocked(c.pos + done)
}

// resolveLocked tells the raiser that waits for this cursor, if there is one.
func (c *Cursor) resolveLocked(err error) {
	if c.raise != nil {
		c.raise.resolve(c.sub.Socket, err)
		c.raise = nil
	}
}

// parkLocked makes the next append wake the cursor.
func (c *Cursor) parkLocked() {
	c.parkedAt = len(c.list.parked)
	c.list.parked = append(c.list.parked, c)
}

// retireLocked ends a cursor that has no more events and is not subscribed.
func (c *Cursor) retireLocked() {
	l := c.list
	if at := c.parkedAt; at != notParked {
		last := len(l.parked) - 1
		l.parked[at] = l.parked[last]
		l.parked[at].parkedAt = at
		l.parked[last] = nil
		l.parked = l.parked[:last]
		c.parkedAt = notParked
	}
	c.resolveLocked(errAbandoned)
	l.leaveLocked(c.pos)
	delete(l.cursors, c.sub.Socket.Key())
	l.retired.Add(c.countsLocked())
}
