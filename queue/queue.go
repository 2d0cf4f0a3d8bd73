package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/modparam"
)

// A Deliverer takes what waits to the subscribers.
type Deliverer interface {
	// Attach is told of each new subscriber. It may not call the cursor.
	Attach(c *Cursor, s evid.Subscription) Reader
}

// A Reader is the Deliverer's side of one cursor.
type Reader interface {
	// Wake says that events wait for a cursor whose Next had none. It does not
	// wait for anything.
	Wake()
	// Discard says that what the cursor has handed out is not wanted any more: its
	// subscriber has unsubscribed. It does not wait for anything and may not call
	// the cursor.
	Discard()
	// Detach says that the cursor has come to its end. It does not wait for
	// anything and may not call the cursor.
	Detach()
}

// Params are the parameters of module queue.
type Params struct {
	MaxEvents int // events that one list holds
	MaxBytes  int // bytes of the events that one list holds
}

// DefaultParams returns the values that parameters have when nothing is said.
func DefaultParams() Params { return Params{MaxEvents: 1024, MaxBytes: 8 << 20} }

// Modparams lists the parameters for the script.
func (p *Params) Modparams() []modparam.Param {
	return []modparam.Param{
		{
			Name: "max_events", Value: modparam.Int(&p.MaxEvents, 1, 16<<20),
			Usage: "events that wait under one event name, at most; the oldest is dropped",
		},
		{
			Name: "max_bytes", Value: modparam.Int(&p.MaxBytes, 1<<20, 1<<40),
			Usage: "bytes of events that wait under one event name, at most; the oldest is dropped",
		},
	}
}

// A Queue keeps events in memory. [New] makes one.
type Queue struct {
	params    Params
	deliverer Deliverer
	epoch     uint64
	seq       atomic.Uint64 // of the newest event
	closed    chan struct{} // closed by Close: no raiser waits any more

	mu      sync.RWMutex // held for reading by Accept until all are woken
	lists   map[string]*list
	refuses bool
}

var _ evid.Keeper = (*Queue)(nil)

// New returns an empty queue.
func New(params Params, deliverer Deliverer) *Queue {
	return &Queue{
		params:    params,
		deliverer: deliverer,
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
}

func (q *Queue) find(event string) *list {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.lists[event]
}

func (q *Queue) findOrMake(event string) (*list, error) {
	if l := q.find(event); l != nil {
		return l, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuses {
		return nil, evid.ErrClosed
	}
	l := q.lists[event]
	if l == nil {
		l = &list{queue: q, cursors: make(map[string]*Cursor)}
		q.lists[event] = l
	}
	return l, nil
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
	if q.refuses {
		return false, nil, evid.ErrClosed
	}
	l := q.lists[e.Name]
	if l == nil {
		return false, nil, nil
	}
	l.mu.Lock()
	if l.open == 0 {
		l.mu.Unlock()
		return false, nil, nil
	}
	raise, err = l.expectLocked()
	if err != nil {
		l.mu.Unlock()
		return false, nil, err
	}
	e.ID = evid.ID{Epoch: q.epoch, Seq: q.seq.Add(1)}
	e.Time = time.Now()
	l.appendLocked(e)
	woken := l.parked
	l.parked = nil
	for _, c := range woken {
		c.parkedAt = notParked
	}
	l.mu.Unlock()

	for _, c := range slices.Backward(woken) { // the newest subscriber first, as OpenSIPS
		c.reader.Wake()
	}
	return true, raise, nil
}

// appendLocked appends an event and keeps the list within its limits.
func (l *list) appendLocked(e *evid.Event) {
	// The bookkeeping of an event and its parameters counts as well.
	const perEvent, perParam = 160, 48
	size := e.Size() + perEvent + perParam*len(e.Params)
	l.ring.push(entry{event: e, size: size, readers: l.atTail})
	l.atTail = 0
	for l.ring.len() > l.queue.params.MaxEvents || (l.ring.bytes > l.queue.params.MaxBytes && l.ring.len() > 1) {
		l.behind += l.ring.at(l.ring.head).readers
		l.ring.pop()
	}
}

// OpenSub implements [evid.Keeper].
func (q *Queue) OpenSub(s evid.Subscription) error {
	l, err := q.findOrMake(s.Event)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.cursors[s.Socket.Key()]
	if c == nil {
		c = &Cursor{list: l, pos: l.ring.tail, parkedAt: notParked}
		c.reader = q.deliverer.Attach(c, s)
		l.cursors[s.Socket.Key()] = c
		l.enterLocked(c.pos)
		c.parkLocked()
	}
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
	c := l.cursors[key]
	if c == nil {
		l.mu.Unlock()
		return nil
	}
	retired := c.closeLocked(why)
	l.mu.Unlock()
	switch {
	case retired:
		c.reader.Detach()
	case why != evid.Expired:
		c.reader.Discard()
	}
	return nil
}

// Refuse makes the queue accept no more events. When it returns, everyone has
// been woken for those that it has accepted.
func (q *Queue) Refuse() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refuses = true
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
	l := q.find(event)
	if l == nil {
		return evid.Counts{}, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.cursors[key]
	if c == nil {
		return evid.Counts{}, false
	}
	return c.countsLocked(), true
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

// A syncRaise is a raiser that waits for one attempt at each synchronous
// subscriber. The list's lock guards it until done is closed.
type syncRaise struct {
	pending int
	errs    []error
	done    chan struct{} // closed when nothing is pending
}

// expectLocked returns what the raiser of the next event has to wait for, of which
// the cursors know: nil without synchronous subscribers. It is an error if
// something waits before the event at one of them.
func (l *list) expectLocked() (*syncRaise, error) {
	if l.sync == 0 {
		return nil, nil
	}
	var waiting []*Cursor
	var errs []error
	for _, c := range l.cursors {
		if !c.open || !c.sub.Sync {
			continue
		}
		waiting = append(waiting, c)
		if n := c.countsLocked().Waiting; n > 0 {
			errs = append(errs, fmt.Errorf("subscriber %q: events wait before it: %d", c.sub.Socket, n))
		}
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	r := &syncRaise{pending: len(waiting), done: make(chan struct{})}
	for _, c := range waiting {
		c.raise = r
	}
	return r, nil
}

// resolve tells what became of one of the attempts.
func (r *syncRaise) resolve(s evid.Socket, err error) {
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("subscriber %q: %w", s, err))
	}
	if r.pending--; r.pending == 0 {
		close(r.done)
	}
}

func (r *syncRaise) wait(ctx context.Context, closed <-chan struct{}) error {
	select {
	case <-r.done:
		return errors.Join(r.errs...)
	case <-ctx.Done():
		return fmt.Errorf("wait for synchronous subscribers: %w", context.Cause(ctx))
	case <-closed:
		return fmt.Errorf("wait for synchronous subscribers: %w", evid.ErrClosed)
	}
}
