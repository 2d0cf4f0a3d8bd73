package queue

import (
	"errors"
	"math"
	"math/bits"
	"time"

	"github.com/evid/evid"
)

// MaxBatch is how many events [Cursor.Next] hands out at a time, at most.
const MaxBatch = 64

// A Cursor is a subscriber's place in the list of its event. What it holds is
// guarded by the list's lock.
//
// One goroutine at a time may have a cursor: the one that was woken, until
// [Cursor.Next] or [Cursor.Done] say that there is nothing for it.
//
// There can be very many that have nothing to do: what few need is in extra.
type Cursor struct {
	list   *list
	reader Reader
	sub    *evid.Subscription

	// What is left to deliver: the first span from pos on, and then the later ones.
	pos   uint64 // ordinal of the next event that is not done, or nowhere
	ahead uint64 // bit n: the event at pos+n is done already, all of the first span

	accepted  uint64 // while it is open: less the ordinal at which it was opened
	delivered uint64
	extra     *extra // nil: it was never needed
	id        uint64 // names it on disk

	parkedAt  int32 // index in list.parked, if it is parked
	handed    uint8 // events from pos on that Next has handed out, all of the first span
	replaying uint8 // dead letters that are handed out; then no event is
	open      bool
	changed   bool // since the last save
	ended     bool // nothing is left and nothing will come: it is out of the list
}

// A span is a range of ordinals, without to.
type span struct{ from, to uint64 }

const (
	endless = math.MaxUint64 // where the last span of a subscription ends that is open
	nowhere = math.MaxUint64 // pos of a cursor that has nothing left
)

var (
	errDropped   = errors.New("the event was dropped: the queue is full")
	errAbandoned = errors.New("it unsubscribed")
	errExpired   = errors.New("its subscription expired")
	errOvertaken = errors.New("an event that was not confirmed comes before it")
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
	l.freeLocked()
}

func (c *Cursor) openLocked(s *evid.Subscription) {
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
	c.accepted -= tail // closeLocked adds the ordinal that the list has then, countsLocked the one of now
	if c.pos == nowhere {
		if c.extra != nil {
			c.extra.end = endless
		}
		c.moveLocked(tail)
		return
	}
	e := c.extraLocked()
	if last := e.lastEnd(); *last == tail && (len(e.later) > 0 || !e.discarded) {
		*last = endless // it goes on as if it had not ended
		return
	}
	e.later = append(e.later, span{from: tail, to: endless})
}

// closeLocked stops accepting events for the subscriber.
func (c *Cursor) closeLocked(why evid.Close) {
	l := c.list
	if c.open {
		c.open = false
		l.open--
		if c.sub.Sync {
			l.sync--
		}
		c.accepted += l.ring.tail
		e := c.extraLocked()
		*e.lastEnd() = l.ring.tail
		if n := len(e.later); n > 0 && e.later[n-1].from == l.ring.tail {
			e.later = e.later[:n-1] // nothing was raised meanwhile
		}
	}
	if c.replaying == 0 {
		c.endReplaysLocked()
	}
	switch {
	case why != evid.Expired:
		c.discardLocked()
	case c.handed == 0:
		if c.moveLocked(c.pos); c.pos == nowhere { // it is at the end already
			c.resolveLocked(errExpired) // the event that is being written is not for it
		}
	}
	c.endLocked()
}

// discardLocked abandons what waits, but for what is handed out.
func (c *Cursor) discardLocked() {
	missed := c.missedLocked()
	if missed > 0 {
		c.missLocked(missed)
		c.extraLocked().counts.Dropped += missed
	}
	if abandoned := c.waitingLocked(uint64(c.handed), c.list.ring.tail) - missed; abandoned > 0 {
		c.extraLocked().counts.Abandoned += abandoned
	}
	c.changedLocked()
	if c.handed > 0 || c.replaying > 0 {
		c.reader.Discard()
	}
	if c.extra != nil {
		c.extra.later = nil
	}
	if c.handed == 0 { // with replays handed out it is 0, too
		c.moveLocked(nowhere)
		c.resolveLocked(errAbandoned)
		return
	}
	c.ahead = 0
	e := c.extraLocked()
	e.end, e.discarded = c.pos+uint64(c.handed), true
}

// waitingLocked counts the events of [pos+n, to) that are in a span and not done.
func (c *Cursor) waitingLocked(n, to uint64) uint64 {
	if c.pos == nowhere {
		return 0
	}
	from := c.pos + n
	waiting := span{from, c.firstEndLocked()}.within(from, to)
	for _, s := range c.laterLocked() {
		waiting += s.within(from, to)
	}
	if from >= to {
		return waiting
	}
	ahead := c.ahead >> n
	if to-from < 64 {
		ahead &= 1<<(to-from) - 1
	}
	return waiting - uint64(bits.OnesCount64(ahead))
}

// within counts the ordinals that are in [from, to) as well.
func (s span) within(from, to uint64) uint64 {
	first, end := max(s.from, from), min(s.to, to)
	if first >= end {
		return 0
	}
	return end - first
}

// missedLocked counts the events that wait but are no longer in the list and
// not handed out.
func (c *Cursor) missedLocked() uint64 {
	if c.list.queue.disk != nil {
		return 0 // they are on disk, or Next finds that they are not
	}
	return c.waitingLocked(uint64(c.handed), c.list.ring.head)
}

func (c *Cursor) countsLocked() evid.Counts {
	var counts evid.Counts
	if c.extra != nil {
		counts = c.extra.counts
	}
	missed := c.missedLocked()
	counts.Dropped += missed
	counts.Waiting = c.waitingLocked(0, c.list.ring.tail) - missed
	counts.Accepted, counts.Delivered = c.accepted, c.delivered
	if c.open {
		counts.Accepted += c.list.ring.tail
	}
	return counts
}

// moveLocked moves the cursor, whose events up to there are done, to the first
// event of a span at or after pos that is not done; out of the list if no span is
// left.
func (c *Cursor) moveLocked(pos uint64) {
	if pos > c.pos {
		c.ahead >>= min(pos-c.pos, 64)
	}
	done := bits.TrailingZeros64(^c.ahead)
	c.ahead >>= done
	if pos != nowhere {
		pos += uint64(done)
	}
	for pos != nowhere && c.firstEndLocked() <= pos {
		pos = max(pos, c.nextSpanLocked())
	}
	if pos != c.pos {
		c.list.enterLocked(pos) // first, so that leaving does not free what it goes to
		c.list.leaveLocked(c.pos)
		c.pos = pos
		c.list.changedLocked()
	}
}

// nextSpanLocked goes on to the next span and returns where it starts; nowhere: there
// is none.
func (c *Cursor) nextSpanLocked() uint64 {
	e := c.extra
	e.discarded = false
	c.changedLocked()
	if len(e.later) == 0 {
		return nowhere
	}
	next := e.later[0]
	e.later = e.later[1:]
	e.end = next.to
	return next.from
}

// A Batch is what [Cursor.Next] has handed out.
type Batch struct {
	Subscription *evid.Subscription // as it is now
	Events       int                // how many
	Sync         bool               // a raiser waits for the event: it is attempted once
	Replay       bool               // they are dead letters
	Lost         evid.DeadLetter    // if its Count is not 0: what the subscriber has lost before them
	Ended        bool               // the cursor has come to its end, and may not be called any more
}

// Next hands out up to len(events) of the events that wait, the oldest first, and
// at most [MaxBatch]. If there are none the cursor is woken when there are, and
// until then it may not be called. What is handed out must be returned by
// [Cursor.Done] before Next is called again.
func (c *Cursor) Next(events []*evid.Event) Batch {
	c.list.mu.Lock()
	defer c.list.mu.Unlock()
	var batch Batch
	c.skipLostLocked(&batch)
	for !c.nextLocked(events, &batch) {
	}
	return batch
}

// nextLocked makes the batch. It reports whether that is done; else the cursor has to
// be looked at anew.
func (c *Cursor) nextLocked(events []*evid.Event, batch *Batch) (done bool) {
	l := c.list
	c.endLocked()
	batch.Subscription, batch.Ended = c.sub, c.ended
	switch {
	case c.ended:
		return true
	case c.mustWaitLocked():
		l.queue.disk.stick(c)
		return true
	case c.raiseLocked() == nil && c.replayLocked(events, batch):
		return true
	case c.pos < l.ring.head:
		return c.fetchLocked(events, batch)
	}
	for n := c.availableLocked(len(events)); batch.Events < n; batch.Events++ {
		events[batch.Events] = l.ring.at(c.pos + uint64(batch.Events)).event
	}
	batch.Sync = c.raiseLocked() != nil
	c.handed = uint8(batch.Events)
	if c.handed == 0 {
		c.parkLocked()
	}
	return true
}

// skipLostLocked passes over what is no longer in the list.
func (c *Cursor) skipLostLocked(batch *Batch) {
	lost := c.missedLocked()
	if lost == 0 {
		return
	}
	batch.Lost = c.missLocked(lost)
	c.extraLocked().counts.Dropped += lost
	c.moveLocked(c.list.ring.head)
	c.resolveLocked(errDropped)
}

// availableLocked counts the events that can be handed out together, at most limit.
func (c *Cursor) availableLocked(limit int) int {
	if c.raiseLocked() != nil {
		limit = min(limit, 1)
	}
	end := min(c.firstEndLocked(), c.list.ring.tail)
	return min(limit, MaxBatch, bits.TrailingZeros64(c.ahead), int(min(end-c.pos, MaxBatch)))
}

// A Fate is what becomes of an event that was handed out.
type Fate uint8

// The fates.
const (
	Waits     Fate = iota // it was not attempted, or comes again
	Delivered             // confirmed, or with Unconfirmed: written
	Dead                  // given up
)

// An Outcome is what became of an event that was handed out.
type Outcome struct {
	Fate        Fate
	Unconfirmed bool // of Delivered
	Odd         bool // of Delivered
	Retried     bool // of Waits: an attempt failed; with a replay: there are to be no others now

	// Of Dead; with a replay, of Retried as well.
	Reason      string
	Attempts    int
	First, Last time.Time // of the attempts
}

// Left says what a cursor has when something was returned.
type Left uint8

// What can be left.
const (
	Nothing Left = iota // it is woken when there is something, and may not be called until then
	Events              // events wait
	ARaise              // an event for which a raiser waits
)

// Done returns what was handed out as events, with an outcome for each.
func (c *Cursor) Done(events []*evid.Event, outcomes []Outcome) Left {
	c.list.mu.Lock()
	defer c.list.mu.Unlock()
	if c.replaying > 0 {
		c.replayedLocked(outcomes)
	} else {
		c.doneLocked(events, outcomes)
	}
	c.endLocked()
	switch {
	case c.ended:
		return Nothing
	case c.raiseLocked() != nil:
		return ARaise
	case len(c.replaysLocked()) > 0 || c.waitingLocked(0, c.list.ring.tail) > 0:
		return Events
	default:
		c.parkLocked()
		return Nothing
	}
}

func (c *Cursor) doneLocked(events []*evid.Event, outcomes []Outcome) {
	abandoned := uint64(0)
	discarded := c.isDiscardedLocked()
	for i := range outcomes {
		o := &outcomes[i]
		if o.Retried {
			c.extraLocked().counts.Retried++
			c.changedLocked()
		}
		if o.Fate == Waits {
			abandoned++
			continue
		}
		c.ahead |= 1 << i
		c.settleLocked(events[i], o)
	}
	end := c.pos + uint64(c.handed)
	c.handed = 0
	if discarded {
		c.extra.counts.Abandoned += abandoned
		c.changedLocked()
		c.resolveLocked(errAbandoned)
		c.moveLocked(end)
	} else {
		c.moveLocked(c.pos)
	}
}

// settleLocked counts an event that is delivered or dead.
func (c *Cursor) settleLocked(e *evid.Event, o *Outcome) {
	if o.Fate == Dead {
		c.extraLocked().counts.Dead++
		c.buryLocked(e, o)
		c.resolveLocked(errors.New(o.Reason))
		return
	}
	c.delivered++
	if o.Unconfirmed {
		c.extraLocked().counts.Unconfirmed++
		c.changedLocked()
	}
	if o.Odd {
		c.extraLocked().counts.Odd++
		c.changedLocked()
	}
	c.resolveLocked(nil)
}

// resolveLocked tells the raiser that waits for this cursor, if there is one.
func (c *Cursor) resolveLocked(err error) {
	if raise := c.raiseLocked(); raise != nil {
		raise.resolve(c.sub.Socket, err)
		c.extra.raise = nil
	}
}

// Reader returns the Deliverer's side of the cursor.
func (c *Cursor) Reader() Reader { return c.reader }

// parkLocked makes the next append wake the cursor, which has caught up.
func (c *Cursor) parkLocked() {
	if c.extra != nil {
		c.extra.missing = 0
	}
	c.parkedAt = int32(len(c.list.parked))
	c.list.parked = append(c.list.parked, c)
}

// isParkedLocked reports whether the next append wakes the cursor. All that are parked
// are woken by emptying the list of them: nobody has to go to each.
func (c *Cursor) isParkedLocked() bool {
	parked := c.list.parked
	return int(c.parkedAt) < len(parked) && parked[c.parkedAt] == c
}

func (c *Cursor) unparkLocked() {
	l := c.list
	last := len(l.parked) - 1
	l.parked[c.parkedAt] = l.parked[last]
	l.parked[c.parkedAt].parkedAt = c.parkedAt
	l.parked[last] = nil
	l.parked = l.parked[:last]
}

// endLocked ends a cursor that has no more events and is not subscribed, unless
// some are handed out.
func (c *Cursor) endLocked() {
	if c.open || c.ended || c.replaying > 0 || c.pos != nowhere {
		return
	}
	c.ended = true
	if c.isParkedLocked() {
		c.unparkLocked()
	}
	l := c.list
	delete(l.cursors, c.sub.Socket.Key())
	l.retired.Add(c.countsLocked())
	if l.queue.disk != nil {
		l.gone = append(l.gone, c.id)
		l.changedLocked()
	}
	if c.reader != nil {
		c.reader.Detach()
	}
}
