package queue

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
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

	// Of who writes.
	last  uint64  // position of the newest chunk
	lists []*list // of the group
	entry []byte
}

// A group are raises that are written together.
type group struct {
	raises []raising
	size   int
	full   chan struct{} // closed when it takes no more
	lead   chan struct{} // its first raiser is to write it
	done   chan struct{} // closed when it was written, or could not be
}

// A raising is one raise of a group.
type raising struct {
	event *evid.Event
	list  *list
	raise *syncRaise // who waits for the attempts; nil: nobody
	name  int        // place of the list in the chunk
	kept  bool
	err   error
}

// commit writes an event to the log and hands it to its list. It reports whether
// anybody was still subscribed.
func (d *disk) commit(r raising) (kept bool, err error) {
	g, at, leads := d.committer.join(r)
	if at == 0 && !leads {
		select {
		case <-g.lead:
			leads = true
		case <-g.done:
		}
	}
	if leads {
		d.committer.gather(g)
		d.write(g)
		close(g.done)
		d.committer.next(len(g.raises))
	}
	<-g.done
	return g.raises[at].kept, g.raises[at].err
}

// join adds a raise to the group that is forming. It reports whether the raiser has to
// write it at once.
func (c *committer) join(r raising) (g *group, at int, leads bool) {
	const perEvent = 64
	size := r.event.Size() + perEvent
	for {
		c.mu.Lock()
		g = c.forming
		if g == nil {
			g = &group{full: make(chan struct{}), lead: make(chan struct{}, 1), done: make(chan struct{})}
			c.forming = g
		}
		if at = len(g.raises); at == 0 || at < maxChunkEvents && g.size+size <= maxChunkBytes {
			g.raises = append(g.raises, r)
			g.size += size
			if leads = !c.busy; leads {
				c.busy = true
				c.expectLocked()
			}
			c.mu.Unlock()
			return g, at, leads
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

// expectLocked says how many raises the group that is forming waits for. A lone one, or
// few, do not wait.
func (c *committer) expectLocked() {
	c.expected = len(c.forming.raises)
	if c.written >= manyRaises && time.Since(c.writtenAt) < gatherTime {
		c.expected = min(c.expected+c.written, maxChunkEvents)
	}
}

// takeLocked lets no more raises into a group.
func (c *committer) takeLocked(g *group) {
	c.forming = nil
	close(g.full)
}

// next has the next group written, if there is one, after one of so many raises.
func (c *committer) next(written int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written, c.writtenAt = written, time.Now()
	if c.forming != nil {
		c.expectLocked()
		c.forming.lead <- struct{}{}
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
		r.name = r.list.place
		r.event.ID = evid.ID{Epoch: d.queue.epoch, Seq: d.queue.seq.Add(1)}
	}
	first := g.raises[0].event
	entry := appendChunkHeader(c.entry[:0], first.ID, d.logged.Load(), first.Time)
	entry = appendChunkNames(entry, c.lists)
	entry = appendChunkEvents(entry, g.raises, first.Time)
	c.entry = seal(entry)
	return c.entry
}

// hand hands the events of a group that was written to their lists.
func (d *disk) hand(g *group, pos uint64) {
	for rest := g.raises; len(rest) > 0; {
		rest = rest[rest[0].list.takeRaises(rest, pos):]
	}
	d.applied.Store(pos)
}

// takeRaises appends the events up to the first that is for another list. It returns
// how many they are.
func (l *list) takeRaises(raises []raising, pos uint64) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for ; n < len(raises) && raises[n].list == l; n++ {
		r := &raises[n]
		r.event.Shared = l.open > 1
		r.kept = l.open > 0
		l.committing--
		l.appendLocked(entry{event: r.event, pos: pos, size: eventSize(r.event)})
	}
	l.changedLocked()
	l.wakeLocked()
	return n
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
	for i := range g.raises {
		g.raises[i].err = err
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
	defer d.committer.next(0)
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
		l.appendLocked(entry{event: e, pos: pos, size: eventSize(e)})
	}
	l.changedLocked()
	l.wakeLocked()
}
