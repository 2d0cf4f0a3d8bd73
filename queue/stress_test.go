package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/evid/evid"
)

// A pool is a Deliverer whose goroutines have the cursors in turn.
type pool struct {
	t       *testing.T
	workers sync.WaitGroup
	settled atomic.Bool // all is delivered at once from now on

	mu     sync.Mutex
	change sync.Cond // more is queued, nobody is busy, or the pool is closed
	queued []*Cursor
	busy   int
	closed bool
}

// A pooled reader is what the pool knows of a cursor.
type pooled struct {
	pool     *pool
	key      string
	has      atomic.Bool // a goroutine has the cursor
	detached atomic.Bool
	last     evid.ID              // the highest that was handed out
	waits    map[*evid.Event]bool // what comes again
	got      uint64               // delivered, but for replays
}

func newPool(t *testing.T, workers int) *pool {
	p := &pool{t: t}
	p.change.L = &p.mu
	for n := range workers {
		p.workers.Go(func() { p.work(rand.New(rand.NewPCG(uint64(n), 7))) })
	}
	return p
}

func (p *pool) Attach(_ *Cursor, s *evid.Subscription) Reader {
	return &pooled{pool: p, key: s.Socket.Key(), waits: make(map[*evid.Event]bool)}
}

func (p *pool) Wake(cursors []*Cursor) (kept bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queued = append(p.queued, cursors...)
	p.change.Broadcast()
	return false
}

// rest waits until nobody has anything to do.
func (p *pool) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queued) > 0 || p.busy > 0 {
		p.change.Wait()
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.change.Broadcast()
	p.mu.Unlock()
	p.workers.Wait()
}

// take waits for a cursor; nil: the pool is closed.
func (p *pool) take() *Cursor {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queued) == 0 && !p.closed {
		p.change.Wait()
	}
	if p.closed {
		return nil
	}
	c := p.queued[0]
	p.queued = p.queued[1:]
	p.busy++
	return c
}

// back ends a turn; with more, there is to be another.
func (p *pool) back(c *Cursor, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	if more {
		p.queued = append(p.queued, c)
	}
	p.change.Broadcast()
}

func (p *pool) work(rng *rand.Rand) {
	var events [MaxBatch]*evid.Event
	var outcomes [MaxBatch]Outcome
	for c := p.take(); c != nil; c = p.take() {
		r := c.Reader().(*pooled)
		if !r.has.CompareAndSwap(false, true) {
			p.t.Errorf("%s is with two goroutines", r.key)
		}
		batch := c.Next(events[:1+rng.IntN(MaxBatch)])
		if batch.Ended != r.detached.Load() {
			p.t.Errorf("%s: Next has said that it has ended: %t", r.key, batch.Ended)
		}
		n := batch.Events
		clear(outcomes[:n])
		for i := range n {
			p.settle(rng, &outcomes[i])
		}
		if !batch.Replay {
			r.note(events[:n], outcomes[:n])
		}
		// The goroutine has not got it any more from the end of Done on, or of
		// Next if that had nothing: others may be quicker than it can say so.
		r.has.Store(false)
		p.back(c, n > 0 && c.Done(events[:n], outcomes[:n]) != Nothing)
	}
}

// settle says what becomes of an event: nothing for some, as long as others go on.
func (p *pool) settle(rng *rand.Rand, o *Outcome) {
	switch n := rng.IntN(10); {
	case p.settled.Load() || n > 2:
		o.Fate = Delivered
	case n == 0:
		*o = Outcome{Fate: Dead, Reason: "refused", Attempts: 1}
	default:
		*o = Outcome{Fate: Waits, Retried: true}
	}
}

// note checks that events come in order, but for those that come again.
func (r *pooled) note(events []*evid.Event, outcomes []Outcome) {
	for i, e := range events {
		if e.ID.Compare(r.last) <= 0 && !r.waits[e] {
			r.pool.t.Errorf("%s was handed %v after %v", r.key, e.ID, r.last)
		}
		if e.ID.Compare(r.last) > 0 {
			r.last = e.ID
		}
		delete(r.waits, e)
		switch outcomes[i].Fate {
		case Waits:
			r.waits[e] = true
		case Delivered:
			r.got++
		case Dead:
		}
	}
}

func (r *pooled) Renew(*evid.Subscription) {}
func (r *pooled) Discard()                 {}
func (r *pooled) Reads()                   {}
func (r *pooled) Report(s *evid.Status)    { s.LastError = r.key }

func (r *pooled) Detach() {
	if r.detached.Swap(true) {
		r.pool.t.Errorf("%s was detached twice", r.key)
	}
}

// A crowd is all that goes on with a queue at the same time.
type crowd struct {
	*Queue
	t      *testing.T
	pool   *pool
	raised [2]atomic.Uint64 // kept, of each event
}

var crowdEvents = [2]string{"E_X", "E_Y"}

func (c *crowd) raise(n int) {
	name := n % 2
	kept, err := c.Accept(context.Background(), &evid.Event{Name: crowdEvents[name]})
	switch {
	case kept && err == nil:
		c.raised[name].Add(1)
	case kept || !errors.Is(err, evid.ErrQueueFull):
		c.t.Errorf("Accept = %t, %v", kept, err)
	}
}

// come has somebody subscribe or unsubscribe.
func (c *crowd) come(n int) {
	key := fmt.Sprint("passing ", n%7)
	if n%3 == 0 {
		if err := c.CloseSub(crowdEvents[n%2], key, evid.Close(n/3%3)); err != nil {
			c.t.Errorf("CloseSub: %v", err)
		}
		return
	}
	if err := c.OpenSub(subscription(crowdEvents[n%2], key)); err != nil {
		c.t.Errorf("OpenSub: %v", err)
	}
}

func (c *crowd) tend(n int) {
	f := evid.DeadLetterFilter{Event: crowdEvents[n%2]}
	if n%5 == 0 {
		c.Purge(f)
	} else {
		c.Replay(f)
	}
}

// look checks guarantee 4 wherever it can be seen.
func (c *crowd) look(n int) {
	key := fmt.Sprint("passing ", n%7)
	if s, ok := c.Status(crowdEvents[n%2], key); ok {
		checkSum(c.t, key, s.Counts)
		if s.LastError != key {
			c.t.Errorf("Status of %s is of %s", key, s.LastError)
		}
	}
	for _, s := range c.Subscribers() {
		checkSum(c.t, s.Socket.Key(), s.Counts)
	}
	checkSum(c.t, "all", c.Totals())
	for d := range c.DeadLetters(evid.DeadLetterFilter{}) {
		if d.Count == 0 || (d.Raised == nil) != (d.Reason == errDropped.Error()) {
			c.t.Errorf("letter: %+v", d)
		}
	}
}

// TestConcurrency has everything going on at once. In the end nothing waits, and
// those who stayed have had all that was kept.
func TestConcurrency(t *testing.T) {
	tight := small(20, DropOldest)
	tight.MaxDeadLetters = 10
	for _, test := range []struct {
		name   string
		params Params
		lossy  bool
	}{
		{"enough room", small(1<<20, DropOldest), false},
		{"drop the oldest", tight, true},
		{"reject", small(20, Reject), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			pool := newPool(t, 4)
			c := &crowd{Queue: New(test.params, pool), t: t, pool: pool}
			c.run()
			pool.settled.Store(true)
			pool.rest()
			c.Replay(evid.DeadLetterFilter{})
			pool.rest()
			c.check(test.lossy)
			pool.close()
		})
	}
}

// run has all go on until each has done its part.
func (c *crowd) run() {
	for _, name := range crowdEvents {
		if err := c.OpenSub(subscription(name, "stays")); err != nil {
			c.t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for _, part := range []struct {
		do    func(n int)
		times int
	}{{c.raise, 2000}, {c.raise, 2000}, {c.raise, 2000}, {c.come, 1000}, {c.tend, 200}, {c.look, 100}} {
		all.Go(func() {
			for n := range part.times {
				part.do(n)
			}
		})
	}
	all.Wait()
}

// check checks what is left when all have come to rest.
func (c *crowd) check(lossy bool) {
	total := c.Totals()
	checkSum(c.t, "all", total)
	if total.Waiting != 0 || !lossy && total.Dropped != 0 {
		c.t.Errorf("totals: %+v", total)
	}
	for i, name := range crowdEvents {
		l := c.find(name)
		if l.ring.len() != 0 || l.behind != 0 {
			c.t.Errorf("%s: %d events are kept, %d cursors are behind", name, l.ring.len(), l.behind)
		}
		counts, _ := c.Counts(name, "stays")
		checkSum(c.t, name, counts)
		got := l.cursors["stays"].reader.(*pooled).got
		if raised := c.raised[i].Load(); counts.Accepted != raised || counts.Delivered != got || counts.Abandoned != 0 {
			c.t.Errorf("%s: %d kept, %d handed out; counts: %+v", name, raised, got, counts)
		}
	}
	for _, s := range c.Subscribers() {
		for d := range c.DeadLetters(evid.DeadLetterFilter{Event: s.Event, Key: s.Socket.Key()}) {
			if d.Raised != nil {
				c.t.Errorf("letter %d was to be replayed, and is kept", d.Number)
			}
		}
	}
	for _, d := range c.letters.kept {
		if d.replaying {
			c.t.Errorf("letter %d is with a cursor, and all rest", d.Number)
		}
	}
	if n := c.DeadLetterCounts(); n.Kept+n.Purged+n.Replayed < c.letters.last { // what is purged on its way can count twice
		c.t.Errorf("counts of letters: %+v of %d", n, c.letters.last)
	}
	checkBytes(c.t, &c.letters)
}
