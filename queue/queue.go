package queue

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
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
	// Reads says, to who calls Next, that it is about to wait for the disk.
	Reads()
	// Detach says that the cursor has come to its end.
	Detach()
	// Report adds what the Deliverer knows of the subscriber to s.
	Report(s *evid.Status)
}

// A Queue keeps events, in memory or also on disk. [New] and [Open] make one.
type Queue struct {
	params    Params
	deliverer Deliverer
	disk      *disk // nil: there is only memory
	memory    limits
	letters   letters
	epoch     uint64
	seq       atomic.Uint64 // of the newest event
	counters  counters
	closed    chan struct{} // closed by Close: no raiser waits any more
	lists     sync.Map      // of [*list], by name: who raises looks without a lock that all share
	refuses   atomic.Bool   // looked at with the list's lock held
}

var _ evid.Restorer = (*Queue)(nil)

// New returns an empty queue in memory.
func New(params Params, deliverer Deliverer) *Queue {
	return &Queue{
		params:    params,
		memory:    params.memory(),
		deliverer: deliverer,
		letters:   letters{maxCount: params.MaxDeadLetters, maxBytes: params.MaxDeadLetterBytes},
		epoch:     evid.NewEpoch(time.Now()),
		closed:    make(chan struct{}),
	}
}

// A list holds the events of one name. Lists stay until the queue goes.
type list struct {
	queue *Queue
	name  string

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

	onDisk
}

// onDisk is what a list has more of a queue on disk.
type onDisk struct {
	marks      marks
	committing int // events that are being written
	place      int // in the chunk that is being written; of who writes

	changed        bool      // since the last save
	changedCursors []*Cursor // of these: more than their place
	gone           []uint64  // ids of cursors that have ended since
	savingNeed     uint64    // chunk that is needed as the list was last looked at; of the saver
	savedNeed      uint64    // and as it was last saved
}

func (q *Queue) find(event string) *list {
	found, _ := q.lists.Load(event)
	l, _ := found.(*list)
	return l
}

func (q *Queue) findOrMake(event string) *list {
	if l := q.find(event); l != nil {
		return l
	}
	l := newList(q, strings.Clone(event))
	made, _ := q.lists.LoadOrStore(l.name, l)
	return made.(*list)
}

func newList(q *Queue, name string) *list {
	return &list{queue: q, name: name, cursors: make(map[string]*Cursor), onDisk: onDisk{savedNeed: math.MaxUint64}}
}

// allLists returns the lists there are now.
func (q *Queue) allLists() []*list {
	var all []*list
	for _, l := range q.lists.Range {
		all = append(all, l.(*list))
	}
	return all
}

// Accept implements [evid.Keeper].
func (q *Queue) Accept(ctx context.Context, e *evid.Event) (kept bool, err error) {
	l, raise, err := q.accept(e)
	if l == nil {
		return false, err
	}
	kept = true
	if q.disk != nil {
		kept, err = q.disk.commit(raising{event: e, list: l, raise: raise})
	}
	if raise != nil && kept {
		err = raise.wait(ctx, q.closed)
	}
	return kept, err
}

// accept keeps an event in memory and wakes those that it is for; or it is to be
// written to disk. It returns the list; nil: the event is not kept. The raiser has to
// wait for raise; nil: for nothing.
func (q *Queue) accept(e *evid.Event) (l *list, raise *syncRaise, err error) {
	l = q.find(e.Name)
	if l != nil {
		e.Time = time.Now() // before: it takes longer than what is done with the lock held
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	if q.refuses.Load() {
		return nil, nil, evid.ErrClosed
	}
	if l == nil || l.open == 0 {
		return nil, nil, nil
	}
	size := eventSize(e)
	if q.params.OnFull == Reject && l.hasNoRoomLocked(size) {
		q.counters.refused.Add(1)
		return nil, nil, evid.ErrQueueFull
	}
	if raise, err = l.expectLocked(); err != nil {
		return nil, nil, err
	}
	if q.disk != nil {
		l.committing++
		return l, raise, nil
	}
	e.ID = evid.ID{Epoch: q.epoch, Seq: q.seq.Add(1)}
	e.Shared = l.open > 1
	l.appendLocked(entry{event: e, size: size})
	l.wakeLocked()
	return l, raise, nil
}

// eventSize is the memory that an event takes, about.
func eventSize(e *evid.Event) int {
	const perEvent, perParam = 160, 48
	return e.Size() + perEvent + perParam*len(e.Params)
}

// hasNoRoomLocked reports whether an event of that size cannot be kept.
func (l *list) hasNoRoomLocked(size int) bool {
	if d := l.queue.disk; d != nil {
		return d.full.Load()
	}
	return l.ring.len() > 0 && l.isFullLocked(1, size)
}

// isFullLocked reports whether the list is above its limits with so much more in it.
func (l *list) isFullLocked(events, bytes int) bool {
	q := l.queue
	if q.disk != nil && q.disk.inMemory.Load() > memoryOfAll {
		return true
	}
	return l.ring.len()+events > q.memory.events || l.ring.bytes+bytes > q.memory.bytes
}

// appendLocked appends an event and keeps what the list has in memory within its
// limits.
func (l *list) appendLocked(e entry) {
	if d := l.queue.disk; d != nil {
		d.inMemory.Add(int64(e.size))
	}
	e.readers = l.atTail
	l.ring.push(e)
	l.atTail = 0
	for l.isFullLocked(0, 0) && l.ring.len() > 1 {
		l.dropLocked()
	}
	l.freeLocked()
}

// dropLocked drops the oldest event, whoever needs it.
func (l *list) dropLocked() {
	oldest := l.ring.at(l.ring.head)
	if l.behind == 0 {
		l.firstLost = oldest.event.ID
	}
	l.lastLost = oldest.event.ID
	l.behind += oldest.readers
	l.popLocked()
}

func (l *list) popLocked() {
	if d := l.queue.disk; d != nil {
		d.inMemory.Add(-int64(l.ring.at(l.ring.head).size))
	}
	l.ring.pop()
}

// freeLocked drops the events that nobody needs to have in memory.
func (l *list) freeLocked() {
	for (l.behind == 0 || l.queue.disk != nil) && l.ring.len() > 0 && l.ring.at(l.ring.head).readers == 0 {
		l.popLocked()
	}
}

// skipToLocked makes that the ordinal of the next event, which is at the tail or after
// it. Those between were lost.
func (l *list) skipToLocked(ordinal uint64) {
	if ordinal == l.ring.tail {
		return
	}
	for l.ring.len() > 0 {
		l.dropLocked()
	}
	l.behind += l.atTail
	l.atTail = 0
	l.ring.head, l.ring.tail = ordinal, ordinal
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
	wasOpen, mustSave, err := q.open(s)
	if err != nil || !mustSave || q.disk == nil {
		return err
	}
	if err = q.disk.saver.sync(); err != nil && !wasOpen {
		q.close(s.Event, s.Socket.Key(), evid.Expired) // what was accepted meanwhile, or before, is still delivered
	}
	return err
}

// open opens a subscription. It reports whether it was open, and whether there is
// something of it to save.
func (q *Queue) open(s *evid.Subscription) (wasOpen, mustSave bool, err error) {
	l := q.findOrMake(s.Event)
	l.mu.Lock()
	defer l.mu.Unlock()
	if q.refuses.Load() {
		return false, false, evid.ErrClosed
	}
	c := l.cursors[s.Socket.Key()]
	if c == nil {
		c = q.newCursorLocked(l, s)
	} else {
		wasOpen = c.open
		if c.reader == nil {
			mustSave = q.attachLocked(c, s)
			return wasOpen, mustSave, nil
		}
		defer c.reader.Renew(s) // once it is open
	}
	c.openLocked(s)
	c.changedLocked()
	return wasOpen, true, nil
}

// newCursorLocked returns a cursor for a new subscriber.
func (q *Queue) newCursorLocked(l *list, s *evid.Subscription) *Cursor {
	c := &Cursor{list: l, pos: nowhere}
	c.reader = q.deliverer.Attach(c, s)
	if q.disk != nil {
		c.id = q.disk.newID()
	}
	l.cursors[s.Socket.Key()] = c
	c.parkLocked()
	return c
}

// CloseSub implements [evid.Keeper].
func (q *Queue) CloseSub(event, key string, why evid.Close) error {
	if !q.close(event, key, why) || q.disk == nil {
		return nil
	}
	return q.disk.saver.sync()
}

// close ends a subscription. It reports whether that has to be saved at once: what is
// overdue ends when it is loaded.
func (q *Queue) close(event, key string, why evid.Close) (mustSave bool) {
	l := q.find(event)
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.cursors[key]
	if c == nil {
		return l.queue.disk != nil && (len(l.gone) > 0 || l.queue.disk.saver.failing.Load()) // it may be one of these
	}
	if !c.open && why == evid.Expired {
		return false // it is so already
	}
	c.closeLocked(why)
	c.changedLocked()
	switch expires := c.sub.Expires; why {
	case evid.Dismissed:
		return false // if it comes back it is dismissed again, and who delivers does not wait
	case evid.Expired:
		return expires.IsZero() || time.Now().Before(expires)
	default:
		return true
	}
}

// Refuse makes the queue accept no more events. When it returns, everyone has
// been woken for those that it has accepted.
func (q *Queue) Refuse() {
	q.refuses.Store(true)
	for _, l := range q.allLists() {
		l.wait()
	}
	if q.disk != nil {
		q.disk.waitIdle()
	}
}

// wait waits for who has the lock.
func (l *list) wait() {
	l.mu.Lock()
	defer l.mu.Unlock()
}

// Close refuses, and releases the raisers that wait for an attempt: nobody is
// going to make it. A queue on disk saves what has become of its subscribers; the store
// is left to who has opened it. It is called once, when nothing is delivered any more.
func (q *Queue) Close() error {
	q.Refuse()
	close(q.closed)
	if q.disk == nil {
		return nil
	}
	return q.disk.close()
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
	lists := q.allLists()
	slices.SortFunc(lists, func(a, b *list) int { return strings.Compare(a.name, b.name) })
	var subscribers []Subscriber
	for _, l := range lists {
		l.mu.Lock()
		for _, key := range slices.Sorted(maps.Keys(l.cursors)) {
			c := l.cursors[key]
			subscribers = append(subscribers, Subscriber{l.name, c.sub.Socket, c.open, c.countsLocked()})
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
	var total evid.Counts
	for _, l := range q.allLists() {
		l.mu.Lock()
		total.Add(l.retired)
		for _, c := range l.cursors {
			total.Add(c.countsLocked())
		}
		l.mu.Unlock()
	}
	return total
}
