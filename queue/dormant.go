package queue

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/evid/evid"
)

// After a restart a subscriber is dormant, without a reader, until it is opened again.

// closeOverdue ends the subscriptions that do not outlive the restart. All is read that
// was raised while they were subscribed.
func (d *disk) closeOverdue() {
	for _, l := range d.queue.allLists() {
		l.mu.Lock()
		for _, c := range l.cursorsLocked() {
			c.closeOverdueLocked()
			if c.open && !c.sub.Expires.IsZero() {
				d.saver.dormant = append(d.saver.dormant, c)
			}
		}
		l.mu.Unlock()
	}
}

// closeDormant ends the subscriptions that have expired and were not opened since the
// restart: nobody else knows of them.
func (d *disk) closeDormant() {
	s := &d.saver
	s.dormant = slices.DeleteFunc(s.dormant, (*Cursor).leaveDormant)
}

// closeDormantLocked ends the subscriptions without a reader that have expired at a time:
// what was raised after that is not for them, though it may not be saved that they have
// ended. It returns when the next one expires; zero: none does.
func (l *list) closeDormantLocked(at time.Time) (next time.Time) {
	for _, c := range l.cursors {
		expires := c.sub.Expires
		switch {
		case c.reader != nil || !c.open || expires.IsZero():
		case !expires.After(at):
			c.closeLocked(evid.Expired)
			c.changedLocked()
		case next.IsZero() || expires.Before(next):
			next = expires
		}
	}
	return next
}

// leaveDormant reports whether the cursor has a reader or is closed now.
func (c *Cursor) leaveDormant() bool {
	c.list.mu.Lock()
	defer c.list.mu.Unlock()
	if c.reader == nil && c.open && !c.sub.Expires.After(time.Now()) {
		c.closeLocked(evid.Expired)
		c.changedLocked()
	}
	return c.reader != nil || !c.open
}

func (c *Cursor) closeOverdueLocked() {
	d := c.list.queue.disk
	switch expires := c.sub.Expires; {
	case !d.queue.params.PersistSubscribers:
		if n := c.countsLocked().Waiting; n > 0 {
			d.log.Warn("events abandoned: with persist_subscribers=0 nobody is subscribed after a restart",
				"event", c.list.name, "socket", c.sub.Socket, "abandoned", n)
		}
		c.closeLocked(evid.Unsubscribed)
	case c.open && !expires.IsZero() && !expires.After(d.started):
		c.closeLocked(evid.Expired)
	}
}

// attachLocked begins to deliver to a subscriber that was there before the restart. It
// reports whether there is something to save.
func (q *Queue) attachLocked(c *Cursor, s *evid.Subscription) (mustSave bool) {
	same := c.sub.Socket.String() == s.Socket.String() && c.sub.Script == s.Script &&
		c.sub.Expire == s.Expire && c.sub.Expires.Equal(s.Expires)
	c.reader = q.deliverer.Attach(c, s)
	if same && !c.open { // it has expired, and events still wait
		c.sub = s
	} else {
		c.openLocked(s)
	}
	if !same {
		c.changedLocked()
	}
	if c.waitingLocked(0, c.list.ring.tail) > 0 {
		q.deliverer.Wake([]*Cursor{c})
	} else {
		c.parkLocked()
	}
	return !same
}

// Restored implements [evid.Restorer]. With those that are subscribed are those that
// have expired and for which events still wait. The oldest come first.
func (q *Queue) Restored() iter.Seq[evid.Restored] {
	var cursors []*Cursor
	for _, l := range q.allLists() {
		l.mu.Lock()
		cursors = append(cursors, l.cursorsLocked()...)
		l.mu.Unlock()
	}
	slices.SortFunc(cursors, func(a, b *Cursor) int { return cmp.Compare(a.id, b.id) })
	return func(yield func(evid.Restored) bool) {
		for _, c := range cursors {
			if !yield(c.restored()) {
				return
			}
		}
	}
}

func (c *Cursor) restored() evid.Restored {
	c.list.mu.Lock()
	defer c.list.mu.Unlock()
	return evid.Restored{
		Event: c.list.name, Socket: c.sub.Socket.String(),
		Expire: c.sub.Expire, Expires: c.sub.Expires, Script: c.sub.Script, Ended: !c.open,
	}
}

// Discard implements [evid.Restorer]: of the subscriptions that are dormant.
func (q *Queue) Discard(event, socket string) (found bool, err error) {
	l := q.find(event)
	if l == nil || !l.discardDormant(socket) {
		return false, nil
	}
	return true, q.disk.saver.sync()
}

// discardDormant ends the subscription without a reader that has this socket. It reports
// whether there is one.
func (l *list) discardDormant(socket string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.cursors {
		if c.reader == nil && c.sub.Socket.String() == socket {
			c.closeLocked(evid.Unsubscribed)
			c.changedLocked()
			return true
		}
	}
	return false
}
