package queue

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
)

// A Deliverer takes what waits to the subscribers. The queue calls it and its
// Readers while it holds locks: they do not wait for anything and may not call the
// queue or a cursor.
type Deliverer interface {
	// Attach is told of each new subscriber.
	Attach(c *Cursor, s *evid.Subscription) Reader
	// Wake says that events wait for cursors whose Next had none; of those that
	// have had no event yet, the newest subscriber last.
	// It reports whether it keeps the slice, to go through it after it has returned.
	Wake(cursors []*Cursor) (kept bool)
}

// A Reader is the Deliverer's side of one cursor.
type Reader interface {
	// Renew says that its subscriber has subscribed again: maybe with other
	// options, and certainly alive.
	Renew(s *evid.Subscription)
	// Discard says that what the cursor has handed out is not wanted any more: its
	// subscriber has unsubscribed.
	Discard()
	// Detach says that the cursor has come to its end.
	Detach()
	// Report adds what the Deliverer knows of the subscriber to s.
	Report(s *evid.Status)
}

// A Queue keeps events in memory. [New] makes one.
type Queue struct {
	params    Params
	deliverer Deliverer
	letters   letters
	epoch     uint64
	seq       atomic.Uint64 // of the newest event
	closed    chan struct{} // closed by Close: no raiser waits any more

	mu      sync.RWMutex // held for reading by Accept until all are woken
	lists   map[string]*list
	refuses atomic.Bool // set with the lock held
}

var _ evid.Keeper = (*Queue)(nil)

// New returns an empty queue.
func New(params Params, deliverer Deliverer) *Queue {
	return &Queue{
		params:    params,
		deliverer: deliverer,
		letters:   letters{maxCount: params.MaxDeadLetters, maxBytes: params.MaxDeadLetterBytes},
		epoch:     evid.NewEpoch(time.Now()),
		closed:    make(chan struct{}),
		lists:     make(map[string]*list),
	}
}

// A list holds the events of one name. Lists stay until the queue goes.
type list struct {
	queue *Queue

	mu      sync.Mutex
	ring    ring
	cursors map[string]*Cursor // by socket key: those subscribed and those that still have events
	open    int                // cursors that accept
	sync    int                // of these: with a raiser that waits
	parked  []*Cursor          // cursors to wake
	retired evid.Counts        // of cursors that are no more

	// Each cursor that has something left is counted where it stands: before the
	// oldest event, because others were dropped before it had them; right before an
	// event, in its entry; or behind the newest.
	behind, atTail int

	// Of the events that were dropped while somebody needed them, the first since
	// nobody was behind, and the last.
	firstLost, lastLost evid.ID
}

func (q *Queue) find(event string) *list {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.lists[event]
}

func (q *Queue) findOrMake(event string) *list {
	if l := q.find(event); l != nil {
		return l
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lists[event]
	if l == nil {
		l = &list{queue: q, cursors: make(map[string]*Cursor)}
		q.lists[event] = l
	}
	return l
}

// Accept implements [evid.Keeper].
func (q *Queue) Accept(ctx context.Context, e *evid.Event) (kept bool, err error) {
	kept, raise, err := q.accept(e)
	if raise != nil {
		err = raise.wait(ctx, q.closed)
	}
	return kept, err
}

// accept keeps an event and wakes those that it is for. It returns what the raiser
// has to wait for; nil: nothing.
func (q *Queue) accept(e *evid.Event) (kept bool, raise *syncRaise, err error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.refuses.Load() {
		return false, nil, evid.ErrClosed
	}
	l := q.lists[e.Name]
	if l == nil {
		return false, nil, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == 0 {
		return false, nil, nil
	}
	size := eventSize(e)
	if q.params.OnFull == Reject && l.ring.len() > 0 && l.isFullLocked(1, size) {
		return false, nil, evid.ErrQueueFull
	}
	if raise, err = l.expectLocked(); err != nil {
		return false, nil, err
	}
	e.ID = evid.ID{Epoch: q.epoch, Seq: q.seq.Add(1)}
	e.Time = time.Now()
	e.Shared = l.open > 1
	l.appendLocked(e, size)
	l.wakeLocked()
	return true, raise, nil
}

// eventSize is the memory that an event takes, about.
func eventSize(e *evid.Event) int {
	const perEvent, perParam = 160, 48
	return e.Size() + perEvent + perParam*len(e.Params)
}

// isFullLocked reports whether the list is above its limits with so much more in it.
func (l *list) isFullLocked(events, bytes int) bool {
	p := &l.queue.params
	return l.ring.len()+events > p.MaxEvents || l.ring.bytes+bytes > p.MaxBytes
}

// appendLocked appends an event and keeps the list within its limits.
func (l *list) appendLocked(e *evid.Event, size int) {
	l.ring.push(entry{event: e, size: size, readers: l.atTail})
	l.atTail = 0
	for l.isFullLocked(0, 0) && l.ring.len() > 1 {
		oldest := l.ring.at(l.ring.head)
		if l.behind == 0 {
			l.firstLost = oldest.event.ID
		}
		l.lastLost = oldest.event.ID
		l.behind += oldest.readers
		l.ring.pop()
	}
}

// wakeLocked wakes the cursors that had nothing to do.
func (l *list) wakeLocked() {
	if len(l.parked) == 0 {
		return
	}
	if l.queue.deliverer.Wake(l.parked) {
		l.parked = nil
		return
	}
	clear(l.parked)
	l.parked = l.parked[:0]
}

// OpenSub implements [evid.Keeper].
func (q *Queue) OpenSub(s *evid.Subscription) error {
	l := q.findOrMake(s.Event)
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.refuses.Load() {
		return evid.ErrClosed
	}
	c := l.cursors[s.Socket.Key()]
	if c != nil {
		c.openLocked(s)
		c.reader.Renew(s)
		return nil
	}
	c = &Cursor{list: l, pos: nowhere}
	c.reader = q.deliverer.Attach(c, s)
	l.cursors[s.Socket.Key()] = c
	c.parkLocked()
	c.openLocked(s)
	return nil
}

// CloseSub implements [evid.Keeper].
func (q *Queue) CloseSub(event, key string, why evid.Close) error {
	l := q.find(event)
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.cursors[key]; c != nil {
		c.closeLocked(why)
	}
	return nil
}

// Refuse makes the queue accept no more events. When it returns, everyone has
// been woken for those that it has accepted.
func (q *Queue) Refuse() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refuses.Store(true)
}

// Close refuses, and releases the raisers that wait for an attempt: nobody is
// going to make it. It is called once, when nothing is delivered any more.
func (q *Queue) Close() {
	q.Refuse()
	close(q.closed)
}

// A Subscriber is what the queue knows of a subscriber.
type Subscriber struct {
	Event  string
	Socket evid.Socket
	Open   bool // it accepts events; else it only gets what waits
	Counts evid.Counts
}

// Subscribers lists the subscribers that are subscribed or for which events
// wait, sorted by event and socket key.
func (q *Queue) Subscribers() []Subscriber {
	q.mu.RLock()
	lists := maps.Clone(q.lists)
	q.mu.RUnlock()
	var subscribers []Subscriber
	for _, event := range slices.Sorted(maps.Keys(lists)) {
		l := lists[event]
		l.mu.Lock()
		for _, key := range slices.Sorted(maps.Keys(l.cursors)) {
			c := l.cursors[key]
			subscribers = append(subscribers, Subscriber{event, c.sub.Socket, c.open, c.countsLocked()})
		}
		l.mu.Unlock()
	}
	return subscribers
}

// Counts returns what became of the events of one subscriber, since it was
// first subscribed or last had nothing left.
func (q *Queue) Counts(event, key string) (evid.Counts, bool) {
	var counts evid.Counts
	ok := q.with(event, key, func(c *Cursor) { counts = c.countsLocked() })
	return counts, ok
}

// Status says how one subscriber is doing.
func (q *Queue) Status(event, key string) (evid.Status, bool) {
	var status evid.Status
	ok := q.with(event, key, func(c *Cursor) {
		c.reader.Report(&status)
		status.Counts = c.countsLocked()
	})
	return status, ok
}

// with looks at one cursor, if there is one.
func (q *Queue) with(event, key string, look func(*Cursor)) bool {
	l := q.find(event)
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.cursors[key]
	if c != nil {
		look(c)
	}
	return c != nil
}

// Totals returns what became of the events of all subscribers since the start,
// those included that are no more.
func (q *Queue) Totals() evid.Counts {
	q.mu.RLock()
	defer q.mu.RUnlock()
	var total evid.Counts
	for _, l := range q.lists {
		l.mu.Lock()
		total.Add(l.retired)
		for _, c := range l.cursors {
			total.Add(c.countsLocked())
		}
		l.mu.Unlock()
	}
	return total
}
