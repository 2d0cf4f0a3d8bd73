package queue_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// A plainSocket is a socket of no transport.
type plainSocket string

func (s plainSocket) Key() string    { return string(s) }
func (s plainSocket) String() string { return string(s) }

// A courier is a Deliverer whose readers take events when a test says so.
type courier struct{ readers map[string]*reader } // by event and key

func (c *courier) Attach(cursor *queue.Cursor, s *evid.Subscription) queue.Reader {
	r := &reader{cursor: cursor}
	c.readers[s.Event+" "+s.Socket.Key()] = r
	return r
}

func (c *courier) Wake(cursors []*queue.Cursor) (kept bool) {
	for _, cursor := range cursors {
		cursor.Reader().(*reader).woken.Store(true)
	}
	return false
}

type reader struct {
	cursor *queue.Cursor
	woken  atomic.Bool
	ended  bool
}

func (r *reader) Renew(*evid.Subscription) {}
func (r *reader) Discard()                 {}
func (r *reader) Reads()                   {}
func (r *reader) Detach()                  { r.ended = true }
func (r *reader) Report(*evid.Status)      {}

// next takes up to limit events.
func (r *reader) next(limit int) ([]*evid.Event, queue.Batch) {
	if r == nil || r.ended || !r.woken.Swap(false) {
		return nil, queue.Batch{}
	}
	events := make([]*evid.Event, limit)
	batch := r.cursor.Next(events)
	return events[:batch.Events], batch
}

func (r *reader) done(events []*evid.Event, outcomes []queue.Outcome) {
	if r.cursor.Done(events, outcomes) != queue.Nothing {
		r.woken.Store(true)
	}
}

// A crashTest does random things to a queue on disk, kills it and looks what the next
// one makes of what was saved.
type crashTest struct {
	*testing.T
	rand    *rand.Rand
	params  queue.Params
	store   *storetest.Memory
	queue   *queue.Queue
	courier *courier
	subs    map[string]*crashSub // by event and key
	raised  int64
	maybe   map[int64]bool // their raisers were told that it is not known whether they are kept
	inOrder bool           // nothing is delivered before what was raised before it
	memory  int            // events of a list that are in memory; 0: as many as always
	faults  bool           // the store fails now and then
	wait    atomic.Int32   // appends until there is one; 0: there is none
	fault   atomic.Int32   // a storetest.Fault
}

// A crashSub is what a subscriber has to get.
type crashSub struct {
	event, key string
	open       bool
	expires    time.Time      // zero: never
	script     bool           // as it was last subscribed
	wants      []int64        // acknowledged while it was subscribed, in order
	dead       []int64        // became dead letters
	has        []int64        // what it got, or what became a dead letter, in order, without repetitions
	told       map[int64]bool // of these: what the queue that runs knows
	saved      map[int64]bool // and what was saved
}

func (s *crashSub) isOverdue() bool {
	return s.open && !s.expires.IsZero() && !s.expires.After(time.Now())
}

func (c *crashTest) start() {
	c.Helper()
	c.courier = &courier{readers: make(map[string]*reader)}
	q, err := queue.Open(c.params, c.courier, c.store, slog.New(slog.DiscardHandler))
	if err != nil {
		c.Fatal(err)
	}
	c.queue = q
	if c.memory > 0 {
		q.LimitMemory(c.memory)
	}
	for _, s := range c.subs {
		clear(s.told)
		s.dead = slices.DeleteFunc(s.dead, func(n int64) bool { return !s.saved[n] })
		if s.isOverdue() {
			s.open = false
		}
	}
	for r := range q.Restored() {
		s := c.subs[r.Event+" "+r.Socket]
		if s != nil && r.Script != s.script {
			c.Errorf("%s is of the script: %t, want %t", r.Socket, r.Script, s.script)
		}
		if s != nil && r.Ended == s.open {
			c.Errorf("%s has ended: %t", r.Socket, r.Ended)
		}
		if err := q.OpenSub(&evid.Subscription{Event: r.Event, Socket: plainSocket(r.Socket), Expire: r.Expire, Expires: r.Expires, Script: r.Script}); err != nil {
			c.Fatal(err)
		}
	}
}

// down lets the time pass that nothing runs: mostly none.
func (c *crashTest) down() {
	if c.rand.IntN(3) == 0 {
		time.Sleep(time.Duration(c.rand.IntN(5)) * time.Minute)
	}
}

// kill leaves the queue as it is and goes on with what is on disk.
func (c *crashTest) kill() {
	killed := c.queue
	c.store = c.store.Clone()
	defer killed.Close() // so that nothing is left running; it writes to the old store
	c.down()
	c.start()
}

func (c *crashTest) restart() {
	if err := c.queue.Close(); err != nil {
		c.Fatalf("close: %v", err)
	}
	c.settled()
	c.down()
	c.start()
}

// pass lets time pass while the queue runs. Then the subscriptions end that are overdue.
func (c *crashTest) pass(d time.Duration) {
	time.Sleep(d)
	for _, s := range c.subs {
		if !s.isOverdue() {
			continue
		}
		if err := c.queue.CloseSub(s.event, s.key, evid.Expired); err != nil {
			c.Fatal(err)
		}
		s.open = false
	}
}

// untilExpiry is how long it takes until about the time when the next subscription expires.
func (c *crashTest) untilExpiry() time.Duration {
	next := time.Minute
	for _, s := range c.subs {
		if s.open && !s.expires.IsZero() {
			next = min(next, time.Until(s.expires))
		}
	}
	return next + time.Duration(c.rand.IntN(100)-80)*time.Millisecond
}

// settled notes that all is saved.
func (c *crashTest) settled() {
	for _, s := range c.subs {
		maps.Copy(s.saved, s.told)
	}
}

func (c *crashTest) subscribe(event, key string) {
	name := event + " " + key
	c.heal()
	sub := &evid.Subscription{Event: event, Socket: plainSocket(key), Expire: evid.Never, Script: c.rand.IntN(2) == 0}
	if c.rand.IntN(2) == 0 {
		sub.Expire = time.Duration(1+c.rand.IntN(5)) * time.Minute
		sub.Expires = time.Now().Add(sub.Expire)
	}
	if err := c.queue.OpenSub(sub); err != nil {
		c.Fatal(err)
	}
	s := c.subs[name]
	if s == nil {
		s = &crashSub{event: event, key: key, told: make(map[int64]bool), saved: make(map[int64]bool)}
		c.subs[name] = s
	}
	s.open, s.expires, s.script = true, sub.Expires, sub.Script
}

func (c *crashTest) unsubscribe(s *crashSub, why evid.Close) {
	c.heal()
	if err := c.queue.CloseSub(s.event, s.key, why); err != nil {
		c.Fatal(err)
	}
	s.open = false
	if why == evid.Unsubscribed {
		delete(c.subs, s.event+" "+s.key)
	}
}

// raise raises events at once: all but the first share a chunk.
func (c *crashTest) raise(event string, times int) {
	events := make([]*evid.Event, times)
	kept, errs := make([]bool, times), make([]error, times)
	held := make(chan struct{})
	c.holdAppends(held)
	for i := range times {
		c.raised++
		events[i] = &evid.Event{Name: event, Params: []evid.Param{evid.Int("n", c.raised), evid.String("", "text")}}
		go func() { kept[i], errs[i] = c.queue.Accept(c.Context(), events[i]) }()
		synctest.Wait()
	}
	close(held)
	synctest.Wait()
	for i, e := range events {
		c.raisedOne(e, kept[i], errs[i])
	}
}

// holdAppends lets no event be written until the channel is closed.
func (c *crashTest) holdAppends(until chan struct{}) {
	c.store.OnAppend(func(j queue.Journal, _ uint64, _ []byte) storetest.Fault {
		if j == queue.EventLog {
			<-until
		}
		if c.wait.Add(-1) == 0 {
			return storetest.Fault(c.fault.Load())
		}
		return storetest.None
	})
}

func (c *crashTest) raisedOne(e *evid.Event, kept bool, err error) {
	unconfirmed := errors.Is(err, queue.ErrUnconfirmed)
	if err != nil && !unconfirmed && !errors.Is(err, queue.ErrUnhealthy) {
		c.Fatal(err)
	}
	open := false
	n := e.Params[0].Int
	c.maybe[n] = unconfirmed
	for _, s := range c.subs {
		if s.event != e.Name || !s.open {
			continue
		}
		open = true
		if err == nil {
			s.wants = append(s.wants, n)
		}
	}
	if kept != open && err == nil || kept && err != nil {
		c.Fatalf("kept: %t, %v, want %t", kept, err, open)
	}
}

func (c *crashTest) heal() {
	c.wait.Store(0)
	c.store.OnAppend(nil)
	c.store.Heal()
}

// deliver hands a subscriber some events, of which not all go well.
func (c *crashTest) deliver(s *crashSub) {
	r := c.courier.readers[s.event+" "+s.key]
	events, batch := r.next(1 + c.rand.IntN(80))
	if batch.Lost.Count > 0 {
		c.Fatalf("%s has lost %d events", s.key, batch.Lost.Count)
	}
	if len(events) == 0 {
		return
	}
	outcomes := make([]queue.Outcome, len(events))
	for i, e := range events {
		fate := c.rand.IntN(20)
		if i > 0 && c.inOrder && outcomes[i-1].Fate == queue.Waits {
			fate = 0
		}
		switch fate {
		case 0:
			outcomes[i] = queue.Outcome{Fate: queue.Waits, Retried: true}
			continue
		case 1:
			outcomes[i] = queue.Outcome{Fate: queue.Dead, Reason: "refused", Attempts: 1, First: time.Now(), Last: time.Now()}
			s.dead = append(s.dead, e.Params[0].Int)
		default:
			outcomes[i] = queue.Outcome{Fate: queue.Delivered}
		}
		c.got(s, e)
	}
	r.done(events, outcomes)
}

func (c *crashTest) got(s *crashSub, e *evid.Event) {
	n := e.Params[0].Int
	if c.maybe[n] && !slices.Contains(s.wants, n) {
		s.wants = append(s.wants, n)
		slices.Sort(s.wants)
	}
	s.told[n] = true
	switch {
	case s.saved[n]:
		c.Errorf("%s got event %d again, which was saved", s.key, n)
	case !slices.Contains(s.has, n):
		s.has = append(s.has, n)
	}
}

// check compares the counts.
func (c *crashTest) check() {
	for _, s := range c.subs {
		counts, ok := c.queue.Counts(s.event, s.key)
		if !ok {
			if s.open {
				c.Errorf("%s is unknown", s.key)
			}
			continue
		}
		if sum := counts.Delivered + counts.Dead + counts.Dropped + counts.Abandoned + counts.Waiting; sum != counts.Accepted {
			c.Errorf("%s: %+v do not add up", s.key, counts)
		}
		if waiting := len(s.wants) - len(s.has); counts.Waiting < uint64(waiting) {
			c.Errorf("%s: %d wait, want at least %d", s.key, counts.Waiting, waiting)
		}
	}
}

func (c *crashTest) step() {
	events := [...]string{"E_A", "E_B", "E_C"}
	event := events[c.rand.IntN(len(events))]
	subs := slices.Sorted(maps.Keys(c.subs))
	var s *crashSub
	if len(subs) > 0 {
		s = c.subs[subs[c.rand.IntN(len(subs))]]
	}
	if c.faults && c.rand.IntN(20) == 0 {
		c.fault.Store(int32([...]storetest.Fault{storetest.Kept, storetest.Lost}[c.rand.IntN(2)]))
		c.wait.Store(1 + c.rand.Int32N(5))
	} else if c.faults && c.rand.IntN(4) == 0 {
		c.heal()
	}
	switch n := c.rand.IntN(100); {
	case n < 4:
		c.subscribe(event, fmt.Sprintf("x:%d", c.rand.IntN(5)))
	case n < 5 && s != nil:
		c.unsubscribe(s, evid.Unsubscribed)
	case n < 7 && s != nil:
		c.unsubscribe(s, evid.Expired)
	case n < 60:
		c.raise(event, 1+c.rand.IntN(20))
	case n < 84 && s != nil:
		c.deliver(s)
	case n < 90:
		c.pass(time.Duration(c.rand.IntN(60)) * time.Millisecond) // not all is saved
	case n < 92:
		c.pass(c.untilExpiry())
	case n < 96:
		c.heal()
		c.pass(3 * time.Second) // all is saved, and trimmed
		c.settled()
	case n < 98:
		c.heal()
		c.restart()
	case n < 100:
		c.kill()
	}
}

// drain delivers all that waits.
func (c *crashTest) drain() {
	c.heal()
	c.pass(3 * time.Second) // those that could not read are woken
	for _, s := range c.subs {
		r := c.courier.readers[s.event+" "+s.key]
		for r != nil && r.woken.Load() && !r.ended {
			events, batch := r.next(64)
			if batch.Lost.Count > 0 {
				c.Errorf("%s has lost %d events", s.key, batch.Lost.Count)
			}
			if len(events) == 0 {
				break
			}
			outcomes := make([]queue.Outcome, len(events))
			for i, e := range events {
				outcomes[i].Fate = queue.Delivered
				c.got(s, e)
			}
			r.done(events, outcomes)
		}
	}
}

// checkAll checks that everybody got all, and that what was refused is a dead letter.
func (c *crashTest) checkAll() {
	for name, s := range c.subs {
		if !c.inOrder || c.faults { // what was not confirmed may come later
			slices.Sort(s.has)
		}
		if !slices.Equal(s.has, s.wants) {
			c.Errorf("%s got\n%v, want\n%v", name, s.has, s.wants)
		}
		letters := make(map[int64]bool)
		for d, err := range c.queue.DeadLetters(evid.DeadLetterFilter{Event: s.event, Key: s.key}) {
			if err != nil {
				c.Fatal(err)
			}
			letters[d.Raised.Params[0].Int] = true
		}
		for _, n := range s.dead {
			if s.saved[n] && !letters[n] {
				c.Errorf("%s: event %d is no dead letter", name, n)
			}
		}
	}
}

// What was acknowledged is delivered, in order, whenever the process is killed. What was
// saved as delivered is not delivered again. Who has expired, at whatever time, gets what was
// acknowledged before that, and nothing that was raised after it.
func TestCrashes(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &crashTest{
					T: t, rand: rand.New(rand.NewPCG(seed, 1)), params: queue.DefaultParams(),
					store: storetest.NewMemory(), subs: make(map[string]*crashSub), maybe: make(map[int64]bool), inOrder: seed%2 == 0,
					memory: []int{0, 1, 5}[seed%3], faults: seed%4 > 1,
				}
				c.start()
				for range 300 {
					c.step()
					c.check()
					if t.Failed() {
						t.FailNow()
					}
				}
				c.drain()
				c.check()
				c.checkAll()
				if err := c.queue.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
