package queue

import "github.com/evid/evid"

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
	c.reader.Reads()
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
