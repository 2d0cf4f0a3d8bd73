package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/delivery"
	"github.com/evid/evid/queue"
)

// A world is a network with moods. What it does to a call depends on the mood of
// the host and of the subscriber; it keeps account of all that came of the events.
type world struct {
	t *testing.T

	mu    sync.Mutex
	rng   *rand.Rand
	moods map[string]mood // by host, and by host/method
	fates map[attempt]*fate
	last  map[string]evid.ID // by subscriber: the highest id that it took
	lanes int
}

type attempt struct {
	subscriber string
	id         evid.ID
}

// A fate is what came of an event for one subscriber.
type fate struct {
	confirmed bool
	overtaken bool // it has failed in a call that delivered later ones
	attempts  int
}

type mood int

const (
	fine mood = iota
	refuses
	silent
	slow
	resets    // takes the event and ends without an answer
	busy      // 503
	faulty    // a fault that asks for another attempt, now and then
	rejecting // another fault, now and then
	gone
	noFiles
	moods
)

// A worldSocket is "world:HOST/METHOD[;OPTION]".
type worldSocket struct {
	host, method string
	policy       evid.Policy
}

func (s *worldSocket) Key() string         { return "world:" + s.host + "/" + s.method }
func (s *worldSocket) String() string      { return s.Key() }
func (s *worldSocket) Policy() evid.Policy { return s.policy }

func (w *world) Scheme() string { return "world" }

func (w *world) Parse(addr string) (evid.Socket, error) {
	addr, option, _ := strings.Cut(addr, ";")
	host, method, _ := strings.Cut(addr, "/")
	s := &worldSocket{host, method, evid.DefaultPolicy()}
	switch option {
	case "own":
		s.policy.OwnLane = true
	case "two":
		s.policy.Connections = 2
	case "few":
		s.policy.MaxAttempts = 2
	case "short":
		s.policy.MaxAge = time.Minute
	case "sync":
		s.policy.Sync = true
	}
	return s, nil
}

func (w *world) Lane(s evid.Socket) string {
	to := s.(*worldSocket)
	return fmt.Sprint(to.host, to.policy.Connections)
}

func (w *world) Open(evid.Socket) evid.Lane {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lanes++
	l := &worldLane{world: w, closed: make(chan struct{})}
	if w.lanes%2 == 0 {
		return suspendingLane{l}
	}
	return l
}

type worldLane struct {
	world  *world
	busy   sync.Mutex // held by Deliver and Idle: one goroutine at a time
	once   sync.Once
	closed chan struct{}
}

// moodOf draws how a call goes, and how much of the batch it takes.
func (w *world) moodOf(s *worldSocket, batch int) (of mood, takes int, lasts time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if of = w.moods[s.host]; of == fine {
		of = w.moods[s.host+"/"+s.method]
	}
	return of, 1 + w.rng.IntN(batch), time.Duration(w.rng.IntN(2000)) * time.Millisecond
}

func (l *worldLane) Deliver(batch []evid.Item) {
	if !l.busy.TryLock() {
		panic("two goroutines deliver over one lane")
	}
	defer l.busy.Unlock()
	s := batch[0].Socket.(*worldSocket)
	of, takes, lasts := l.world.moodOf(s, len(batch))
	switch of {
	case silent:
		lasts = 5 * time.Second
	case slow:
	default:
		lasts = 0
	}
	if lasts > 0 {
		select {
		case <-l.closed:
			return
		case <-time.After(lasts):
		}
	}
	l.world.answer(of, batch[:takes])
}

func (l *worldLane) Idle() (keep bool) {
	if !l.busy.TryLock() {
		panic("Idle while Deliver runs")
	}
	defer l.busy.Unlock()
	l.world.mu.Lock()
	defer l.world.mu.Unlock()
	return l.world.rng.IntN(2) == 0
}

func (l *worldLane) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.world.mu.Lock()
		l.world.lanes--
		l.world.mu.Unlock()
	})
	return nil
}

// answer sets the results of a call.
func (w *world) answer(of mood, items []evid.Item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	retry := func(item *evid.Item, blame evid.Blame, sent, answered bool) {
		item.Result = evid.Result{Verdict: evid.Retry, Blame: blame, Sent: sent, Answered: answered, Detail: fmt.Sprint("mood ", of)}
	}
	failed := false
	for i := range items {
		item := &items[i]
		fate := w.attempt(item)
		switch {
		case of == refuses:
			retry(item, evid.TheDestination, false, false)
		case of == silent, of == resets:
			retry(item, evid.TheSubscriber, true, false)
		case of == busy:
			retry(item, evid.TheSubscriber, true, true)
		case of == noFiles:
			retry(item, evid.TheProcess, false, false)
		case of == gone:
			item.Result = evid.Result{Verdict: evid.Gone, Answered: true}
		case of == faulty && w.rng.IntN(2) == 0:
			retry(item, evid.TheEvent, true, true)
		case of == rejecting && w.rng.IntN(2) == 0:
			item.Result = evid.Result{Verdict: evid.Rejected, Answered: true, Detail: "rejected"}
		default:
			w.take(item, fate)
		}
		if item.Result.Verdict == evid.Retry {
			failed = true
			fate.overtaken = true // if later ones of this call are delivered
		}
		if failed && of != faulty && of != rejecting || item.Result.Verdict == evid.Gone {
			return // the rest was not attempted
		}
	}
}

func subscriberOf(item *evid.Item) string { return item.Event.Name + " " + item.Socket.Key() }

func (w *world) attempt(item *evid.Item) *fate {
	key := attempt{subscriberOf(item), item.Event.ID}
	f := w.fates[key]
	if f == nil {
		f = new(fate)
		w.fates[key] = f
	}
	if f.confirmed {
		w.t.Errorf("%s: event %v is sent again after it was confirmed", key.subscriber, key.id)
	}
	f.attempts++
	return f
}

func (w *world) take(item *evid.Item, f *fate) {
	subscriber := subscriberOf(item)
	f.confirmed = true
	item.Result = evid.Result{Verdict: evid.Delivered, Answered: true}
	if last := w.last[subscriber]; item.Event.ID.Compare(last) < 0 {
		if !f.overtaken {
			w.t.Errorf("%s: event %v is delivered after %v", subscriber, item.Event.ID, last)
		}
		return
	}
	w.last[subscriber] = item.Event.ID
}

// An attacher is an engine, and knows the readers that were ever attached to it.
type attacher struct {
	*delivery.Engine
	mu      sync.Mutex
	readers []queue.Reader
}

func (a *attacher) Attach(c *queue.Cursor, s *evid.Subscription) queue.Reader {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.Engine.Attach(c, s)
	a.readers = append(a.readers, r)
	return r
}

// A worldTest is an engine in a world.
type worldTest struct {
	*testing.T
	world  *world
	rng    *rand.Rand
	queue  *queue.Queue
	engine *attacher
	events *evid.Interface
	raises sync.WaitGroup
	hosts  int
	scarce bool   // few workers and connections: all have to wait for them
	steps  string // since the last check
}

// steadyHost is one that is never in a bad mood: nothing may ever wait for it, if
// there are workers and connections for all.
const steadyHost = "steady"

func (w *worldTest) act() {
	host := fmt.Sprint("h", w.rng.IntN(w.hosts))
	method := fmt.Sprint("m", w.rng.IntN(3))
	event := fmt.Sprint("E_", w.rng.IntN(2))
	socket := fmt.Sprintf("world:%s/%s", host, method)
	switch op := w.rng.IntN(30); {
	case op < 12:
		atOnce := w.rng.IntN(2) == 0
		for range 1 + w.rng.IntN(5) {
			w.raise(event)
			if !atOnce {
				synctest.Wait()
			}
		}
	case op < 16:
		option := []string{"", "", "", ";own", ";two", ";few", ";short", ";sync"}[w.rng.IntN(8)]
		expire := []time.Duration{evid.Never, evid.Never, 3 * time.Second}[w.rng.IntN(3)]
		w.did("subscribe %s %s%s for %v", event, socket, option, expire)
		if err := w.events.Subscribe(event, socket+option, expire); err != nil {
			w.Fatal(err)
		}
	case op == 16:
		w.did("unsubscribe %s %s", event, socket)
		if err := w.events.Unsubscribe(event, socket); err != nil && !errors.Is(err, evid.ErrNotRegistered) {
			w.Fatal(err)
		}
	case op == 17:
		w.did("replay")
		synctest.Wait() // so that no letter comes between the two
		w.forgive()
		w.queue.Replay(evid.DeadLetterFilter{})
	case op < 20:
		w.setMood(host, refuses+mood(w.rng.IntN(2))*(noFiles-refuses))
	case op < 25:
		w.setMood(host+"/"+method, mood(w.rng.IntN(int(moods))))
	default:
		w.setMood(host, fine)
	}
}

// forgive lets what was given up come again, out of order.
func (w *worldTest) forgive() {
	w.world.mu.Lock()
	defer w.world.mu.Unlock()
	for d := range w.queue.DeadLetters(evid.DeadLetterFilter{}) {
		if f := w.world.fates[attempt{d.Event + " " + d.Socket.Key(), d.FirstID}]; f != nil {
			f.overtaken = true
		} else if d.Raised != nil {
			w.world.fates[attempt{d.Event + " " + d.Socket.Key(), d.FirstID}] = &fate{overtaken: true}
		}
	}
}

func (w *worldTest) setMood(of string, m mood) {
	w.did("mood of %s: %d", of, m)
	w.world.mu.Lock()
	defer w.world.mu.Unlock()
	w.world.moods[of] = m
}

// raise raises an event. Who waits for a synchronous subscriber waits aside.
func (w *worldTest) raise(event string) {
	w.did("raise %s", event)
	w.raises.Go(func() { w.events.Raise(context.Background(), event, evid.String("k", "v")) })
}

// did notes what was done, for those who look for a cause.
func (w *worldTest) did(format string, args ...any) { w.steps += "; " + fmt.Sprintf(format, args...) }

// check compares the counts: nothing is lost uncounted, nothing waits for who is
// well, and the engine knows what it does.
func (w *worldTest) check() {
	w.Helper()
	synctest.Wait()
	var total evid.Counts
	subscribers := w.queue.Subscribers()
	for _, s := range subscribers {
		c := s.Counts
		if c.Accepted != c.Delivered+c.Dead+c.Dropped+c.Abandoned+c.Waiting {
			w.Errorf("after %s: %s %s: counts do not add up: %+v", w.steps, s.Event, s.Socket, c)
		}
		if !w.scarce && strings.Contains(s.Socket.Key(), steadyHost) && c.Waiting > 0 {
			w.Errorf("after %s: %d events wait for %s", w.steps, c.Waiting, s.Socket)
		}
		total.Add(c)
	}
	all := w.queue.Totals()
	if all.Accepted != all.Delivered+all.Dead+all.Dropped+all.Abandoned+all.Waiting {
		w.Errorf("after %s: counts do not add up: %+v", w.steps, all)
	}
	if all.Waiting != total.Waiting {
		w.Errorf("after %s: %d events wait in all, %d for subscribers", w.steps, all.Waiting, total.Waiting)
	}
	for _, wrong := range w.engine.Audit(w.engine.readers) {
		w.Errorf("after %s: %s", w.steps, wrong)
	}
	w.steps = ""
}

// confirmed counts the events that subscribers have confirmed.
func (w *world) confirmed() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := uint64(0)
	for _, f := range w.fates {
		if f.confirmed {
			n++
		}
	}
	return n
}

func newWorldTest(t *testing.T, seed uint64) *worldTest {
	w := &worldTest{T: t, rng: rand.New(rand.NewPCG(seed, 1)), hosts: 3, scarce: seed%2 == 1}
	w.world = &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 2)),
		moods: make(map[string]mood), fates: make(map[attempt]*fate), last: make(map[string]evid.ID),
	}
	opts := delivery.Options{
		Log: slog.New(slog.DiscardHandler),
		Raise: func(ctx context.Context, event string, params ...evid.Param) (evid.ID, error) {
			return w.events.Raise(ctx, event, params...)
		},
	}
	if w.scarce {
		w.hosts = 8
		opts.MaxConnections = 2 + w.rng.IntN(3)
	}
	w.engine = &attacher{Engine: delivery.New(opts)}
	if w.scarce {
		w.engine.LimitCrew(2, 1, 40, 30)
	}
	params := queue.DefaultParams()
	params.MaxEvents = 50
	w.queue = queue.New(params, w.engine)
	w.events = evid.New(evid.Options{Keeper: w.queue, Transports: []evid.Transport{w.world}, AutoRegister: true})
	for _, event := range append(delivery.Events(), "E_0", "E_1") {
		if err := w.events.Subscribe(event, "world:"+steadyHost+"/"+event, evid.Never); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func runWorld(t *testing.T, seed uint64) {
	w := newWorldTest(t, seed)
	for range 100 {
		for range 1 + w.rng.IntN(3) {
			w.act()
		}
		w.check()
		time.Sleep([]time.Duration{0, 10 * time.Millisecond, 300 * time.Millisecond, 3 * time.Second, 30 * time.Second}[w.rng.IntN(5)])
		w.check()
	}
	w.world.mu.Lock()
	clear(w.world.moods)
	w.world.mu.Unlock()
	w.did("all is well")
	time.Sleep(3 * time.Minute)
	w.check()
	if all := w.queue.Totals(); all.Waiting > 0 {
		t.Errorf("%d events still wait", all.Waiting)
	}
	if got, want := w.queue.Totals().Delivered+w.queue.DeadLetterCounts().Replayed, w.world.confirmed(); got != want {
		t.Errorf("%d events are counted as delivered, %d were confirmed", got, want)
	}
	w.events.Close()
	w.raises.Wait()
	w.engine.Close()
	w.queue.Close()
	if w.world.lanes != 0 {
		t.Errorf("%d lanes are still open", w.world.lanes)
	}
}

// TestWorld does random things to an engine and to the network around it, and
// looks at the guarantees after each.
func TestWorld(t *testing.T) {
	seeds := uint64(120)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { runWorld(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
