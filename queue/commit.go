package queue

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
)

// What one chunk holds, at most; one event is always taken.
const (
	maxChunkEvents = 256
	maxChunkBytes  = 128 << 10
)

const (
	// gatherTime is how long a group that could be written waits for the raisers of the
	// group before, and gatherYields how often it lets others run without one that joins.
	gatherTime   = 200 * time.Microsecond
	gatherYields = 100
	// manyRaises is how many there are in a group that is waited for.
	manyRaises = 16
	// wingRaises is how many are woken at a time once their group was written.
	wingRaises = 16
)

// A committer writes events to the log, many at a time. While a group of raises is
// being written those that come form the next one; the first of them writes it. A lone
// raise waits for nobody.
type committer struct {
	mu        sync.Mutex
	forming   *group // nil: there is none
	busy      bool   // a group is being written
	expected  int    // raises in the group that is to be written next
	written   int    // raises in the last that was
	writtenAt time.Time
	idle      chan struct{} // closed when no group is being written, while somebody waits for that
	spare     []raising     // empty: what the last group had its raises in

	// Of who writes.
	last  uint64  // position of the newest chunk
	lists []*list // of the group
	entry []byte
}

// A group are raises that are written together. Its raisers are woken wing by wing, as fast
// as they go on: all at once they would stand in line for one processor, and the others
// would have to fetch them from there.
type group struct {
	raises []raising // until it was written, or could not be
	size   int
	full   chan struct{}                              // closed when it takes no more
	lead   chan struct{}                              // its first raiser is to write it
	wings  [maxChunkEvents / wingRaises]chan struct{} // closed once it was written, or could not be
	woken  atomic.Int32                               // wings that were, or would be if there were as many
	back   atomic.Int32                               // raisers that have gone on
	unkept []int                                      // places of raises for whose events nobody was subscribed any more
	err    error                                      // why it could not be written
}

// A raising is one raise of a group.
type raising struct {
	event *evid.Event
	list  *list
	raise *syncRaise // who waits for the attempts; nil: nobody
	name  int32      // place of the list in the chunk
}

// commit writes an event to the log and hands it to its list. It reports whether
// anybody was still subscribed.
func (d *disk) commit(r raising) (kept bool, err error) {
	g, at := d.committer.join(r)
	wing := g.wings[at/wingRaises]
	if at == 0 {
		<-g.lead
		d.committer.gather(g)
		d.write(g)
		g.wakeWing()
		g.wakeWing() // while raisers of one wing go on those of the next are ready to
		d.committer.next(g.raises)
	}
	<-wing
	if g.back.Add(1)%wingRaises == 0 {
		g.wakeWing()
	}
	return g.err == nil && !slices.Contains(g.unkept, at), g.err
}

// wakeWing wakes one more wing, if there is one.
func (g *group) wakeWing() {
	n := int(g.woken.Add(1)) - 1
	if n < len(g.wings) && g.wings[n] != nil {
		close(g.wings[n])
	}
}

// join adds a raise to the group that is forming, and has it written if no other one is.
func (c *committer) join(r raising) (g *group, at int) {
	const perEvent = 64
	size := r.event.Size() + perEvent
	for {
		c.mu.Lock()
		g = c.forming
		if g == nil {
			g = &group{raises: c.spare, full: make(chan struct{}), lead: make(chan struct{}, 1)}
			c.forming, c.spare = g, nil
		}
		if at = len(g.raises); at == 0 || at < maxChunkEvents && g.size+size <= maxChunkBytes {
			g.raises = append(g.raises, r)
			g.size += size
			if at%wingRaises == 0 {
				g.wings[at/wingRaises] = make(chan struct{})
			}
			if !c.busy {
				c.busy = true
				c.leadLocked()
			}
			c.mu.Unlock()
			return g, at
		}
		c.mu.Unlock()
		<-g.full
	}
}

// gather lets no more raises into a group, once those have joined that are about to:
// the raisers of the group before were just woken. Else they would take the processors
// from the store while it writes this one.
func (c *committer) gather(g *group) {
	began := time.Now()
	for joined, yields := 0, 0; ; yields++ {
		c.mu.Lock()
		if n := len(g.raises); n > joined {
			joined, yields = n, 0
		}
		if c.forming != g || joined >= c.expected || yields > gatherYields || time.Since(began) > gatherTime {
			break
		}
		c.mu.Unlock()
		runtime.Gosched()
	}
	if c.forming == g {
		c.takeLocked(g)
	}
	c.mu.Unlock()
}

// leadLocked has the group written that is forming, and says how many raises it waits for. A
// lone one, or few, do not wait.
func (c *committer) leadLocked() {
	c.expected = len(c.forming.raises)
	if c.written >= manyRaises && time.Since(c.writtenAt) < gatherTime {
		c.expected = min(c.expected+c.written, maxChunkEvents)
	}
	c.forming.lead <- struct{}{}
}

// takeLocked lets no more raises into a group.
func (c *committer) takeLocked(g *group) {
	c.forming = nil
	close(g.full)
}

// next has the next group written, if there is one, after one of these raises.
func (c *committer) next(written []raising) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written, c.writtenAt = len(written), time.Now()
	clear(written)
	c.spare = written[:0]
	if c.forming != nil {
		c.leadLocked()
		return
	}
	c.busy = false
	if c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
}

// whenIdle returns a channel that is closed when nothing is being written.
func (c *committer) whenIdle() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle == nil {
		c.idle = make(chan struct{})
	}
	idle := c.idle
	if !c.busy {
		close(c.idle)
		c.idle = nil
	}
	return idle
}

// write writes a group and hands its events to their lists.
func (d *disk) write(g *group) {
	c := &d.committer
	for {
		pos, err := d.store.Append(EventLog, c.last, d.frame(g))
		if errors.Is(err, ErrMoved) {
			// What was not confirmed before is there. The ordinals are other ones now.
			if err = d.catchUp(err); err == nil {
				continue
			}
		}
		if err != nil {
			d.fail(g, err)
			return
		}
		c.last = pos
		d.grown(len(c.entry))
		d.logged.Add(uint64(len(g.raises)))
		d.queue.counters.commits.Add(1)
		d.queue.counters.committed.Add(uint64(len(g.raises)))
		d.hand(g, pos)
		return
	}
}

// frame numbers the events of a group and makes an entry of them.
func (d *disk) frame(g *group) []byte {
	c := &d.committer
	c.lists = c.lists[:0]
	for i := range g.raises {
		r := &g.raises[i]
		if r.list.place >= len(c.lists) || c.lists[r.list.place] != r.list {
			r.list.place = len(c.lists)
			c.lists = append(c.lists, r.list)
		}
		r.name = int32(r.list.place)
		r.event.ID = evid.ID{Epoch: d.queue.epoch, Seq: d.queue.seq.Add(1)}
	}
	first := g.raises[0].event
	entry := appendChunkHeader(c.entry[:0], first.ID, d.logged.Load(), first.Time)
	entry = appendChunkNames(entry, c.lists)
	entry = appendChunkEvents(entry, g.raises, first.Time)
	c.entry = seal(entry)
	return c.entry
}

// hand hands the events of a group that was written to their lists: those that are for the
// same one all at once.
func (d *disk) hand(g *group, pos uint64) {
	for from, to := 0, 0; from < len(g.raises); from = to {
		l := g.raises[from].list
		for to < len(g.raises) && g.raises[to].list == l {
			to++
		}
		l.takeRaises(g, from, to, pos)
	}
	d.applied.Store(pos)
}

// takeRaises appends the events of some raises of a group.
func (l *list) takeRaises(g *group, from, to int, pos uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.markLocked(pos, g.raises[from].event.ID)
	l.ring.reserve(to - from)
	for i := from; i < to; i++ {
		e := g.raises[i].event
		e.Shared = l.open > 1
		if l.open == 0 {
			g.unkept = append(g.unkept, i)
		}
		l.committing--
		l.appendLocked(entry{event: e, pos: pos, size: eventSize(e)})
	}
	l.changedLocked()
	l.wakeLocked()
}

// fail tells the raisers of a group that it was not written, or that nobody knows.
func (d *disk) fail(g *group, err error) {
	if errors.Is(err, ErrUnconfirmed) {
		d.unsettled.Store(true)
		err = fmt.Errorf("%w: it may still be delivered: %w", ErrUnconfirmed, err)
	}
	d.queue.counters.commitFailures.Add(1)
	d.queue.counters.refused.Add(uint64(len(g.raises)))
	_, _ = d.health() // from now on it is known to be ill
	g.err = err
	for i := range g.raises {
		g.raises[i].takeBack()
	}
}

// takeBack undoes what accept did for a raise that could not be written.
func (r *raising) takeBack() {
	l := r.list
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committing--
	if r.raise != nil {
		l.unexpectLocked()
	}
}

// settle hands events to their lists that were not confirmed and are in the log after
// all, once the store is well, so that they do not wait for the next raise.
func (d *disk) settle() {
	if !d.unsettled.Load() || d.store.Health() != nil || !d.committer.lead() {
		return // or who writes finds them
	}
	defer d.committer.next(nil)
	if err := d.catchUp(nil); err == nil {
		d.unsettled.Store(false)
	}
}

// lead makes the caller the one who writes, if nobody does.
func (c *committer) lead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy {
		return false
	}
	c.busy = true
	return true
}

// catchUp hands chunks to their lists that are in the log and were not confirmed: it
// has moved. It returns that error if there are none.
func (d *disk) catchUp(moved error) error {
	c := &d.committer
	for before := c.last; ; {
		var entries [readAhead]Entry
		n, err := d.store.Read(EventLog, c.last+1, entries[:])
		if err != nil {
			return err
		}
		for _, entry := range entries[:n] {
			d.takeEntry(entry)
		}
		if n > 0 {
			continue
		}
		info, err := d.store.Info(EventLog)
		switch {
		case err != nil:
			return err
		case info.Last > c.last: // they were thrown away
			c.last = info.Last
		case c.last == before:
			return moved
		}
		return nil
	}
}

// takeEntry hands a chunk that is in the log to its lists. One that is damaged is
// passed over: its events are lost.
func (d *disk) takeEntry(entry Entry) {
	d.committer.last = entry.Pos
	defer d.applied.Store(entry.Pos) // once the lists have it
	chunk, err := readChunk(entry)
	if err != nil {
		d.log.Error("events lost: what the queue has on disk is damaged", "err", err)
		return
	}
	d.logged.Store(chunk.before + uint64(chunk.events))
	for i := range chunk.names {
		name := &chunk.names[i]
		d.queue.findOrMake(name.name).takeChunk(name, entry.Pos)
	}
}

// takeChunk appends what a chunk has of the list's events, but for what the list has
// had already.
func (l *list) takeChunk(name *chunkName, pos uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sync > 0 {
		for _, c := range l.cursors {
			c.resolveLocked(errOvertaken)
		}
	}
	expiry := l.closeDormantLocked(time.Time{})
	for i, e := range name.events {
		ordinal := name.ordinal + uint64(i)
		if ordinal < l.ring.tail {
			continue
		}
		l.skipToLocked(ordinal)
		if !expiry.IsZero() && !expiry.After(e.Time) {
			expiry = l.closeDormantLocked(e.Time)
		}
		l.markLocked(pos, e.ID)
		l.appendLocked(entry{event: e, pos: pos, size: eventSize(e)})
	}
	l.changedLocked()
	l.wakeLocked()
}
