package evid_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// A testTransport knows the sockets "test:NAME[;sync]".
type testTransport struct{}

type testSocket struct {
	name string
	sync bool
}

func (s *testSocket) Key() string    { return "test:" + s.name }
func (s *testSocket) String() string { return "test:" + s.name }

func (s *testSocket) Policy() evid.Policy {
	p := evid.DefaultPolicy()
	p.Sync = s.sync
	return p
}

func (testTransport) Scheme() string { return "test" }

func (testTransport) Parse(addr string) (evid.Socket, error) {
	name, option, _ := strings.Cut(addr, ";")
	if name == "" {
		return nil, errors.New("name: expected one")
	}
	return &testSocket{name, option == "sync"}, nil
}

func (testTransport) Lane(s evid.Socket) string  { return s.Key() }
func (testTransport) Open(evid.Socket) evid.Lane { panic("nothing is delivered here") }

// A collector is a Deliverer that notes the events of each socket. It takes
// them when it is asked for them, unless it is held.
type collector struct {
	mu   sync.Mutex
	held bool
	got  map[string][]string
	wait []*queue.Cursor
}

type collected struct{}

func (c *collector) Attach(*queue.Cursor, *evid.Subscription) queue.Reader { return collected{} }

func (c *collector) Wake(cursors []*queue.Cursor) (kept bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait = append(c.wait, cursors...)
	return false
}

func (collected) Renew(*evid.Subscription) {}
func (collected) Discard()                 {}
func (collected) Reads()                   {}
func (collected) Detach()                  {}
func (collected) Report(*evid.Status)      {}

func (c *collector) take(cursor *queue.Cursor) {
	events := make([]*evid.Event, 10)
	outcomes := make([]queue.Outcome, 10)
	for i := range outcomes {
		outcomes[i].Fate = queue.Delivered
	}
	for more := true; more; {
		batch := cursor.Next(events)
		if batch.Events == 0 {
			return
		}
		key := batch.Subscription.Socket.Key()
		c.mu.Lock()
		for _, e := range events[:batch.Events] {
			c.got[key] = append(c.got[key], e.Params[0].Str)
		}
		c.mu.Unlock()
		more = cursor.Done(events[:batch.Events], outcomes[:batch.Events]) != queue.Nothing
	}
}

// release takes what waits.
func (c *collector) release() {
	c.mu.Lock()
	c.held = false
	wait := c.wait
	c.wait = nil
	c.mu.Unlock()
	for _, cursor := range wait {
		c.take(cursor)
	}
}

func (c *collector) of(name string) string {
	if !c.held {
		c.release()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.got["test:"+name], " ")
}

type fixture struct {
	*testing.T
	*evid.Interface
	queue *queue.Queue
	got   *collector
}

func newFixture(t *testing.T) *fixture {
	c := &collector{got: make(map[string][]string)}
	q := queue.New(queue.DefaultParams(), c)
	i := evid.New(evid.Options{Keeper: q, Transports: []evid.Transport{testTransport{}}})
	f := &fixture{t, i, q, c}
	f.must(i.Register("E_X"))
	t.Cleanup(i.Close)
	return f
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) raise(value string) {
	f.Helper()
	_, err := f.Raise(context.Background(), "E_X", evid.String("", value))
	if err != nil && !errors.Is(err, evid.ErrNoSubscribers) {
		f.Fatal(err)
	}
}

func (f *fixture) wantGot(name, want string) {
	f.Helper()
	if got := f.got.of(name); got != want {
		f.Errorf("%s got %q, want %q", name, got, want)
	}
}

func TestRegister(t *testing.T) {
	f := newFixture(t)
	f.must(f.Register("E_X")) // again is fine
	f.must(f.Register("E_Y"))
	f.must(f.Register(strings.Repeat("x", 64)))
	for _, bad := range []string{"", strings.Repeat("x", 65), "E X", "E\tX", "E\x7f", "E;X", "E\n"} {
		if err := f.Register(bad); !errors.Is(err, evid.ErrEventName) {
			t.Errorf("Register(%q): %v", bad, err)
		}
	}
	want := []evid.EventInfo{{"E_X", 0}, {"E_Y", 1}, {strings.Repeat("x", 64), 2}}
	if got := f.Events(); !slices.Equal(got, want) {
		t.Errorf("Events: %v, want %v", got, want)
	}
	if e, ok := f.Event("E_Y"); !ok || e.ID != 1 {
		t.Errorf("Event: %v, %t", e, ok)
	}
	if _, ok := f.Event("E_Z"); ok {
		t.Error("E_Z is registered")
	}
}

func TestRegisteredEventsAreBounded(t *testing.T) {
	i := evid.New(evid.Options{})
	for n := range 65536 {
		if err := i.Register(fmt.Sprint("E_", n)); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.Register("E_ONE_MORE"); !errors.Is(err, evid.ErrTooManyEvents) {
		t.Errorf("Register: %v", err)
	}
}

func TestErrors(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	raise := func(event string, params ...evid.Param) error {
		_, err := f.Raise(ctx, event, params...)
		return err
	}
	big := strings.Repeat("x", evid.MaxEventSize)
	for _, test := range []struct {
		name string
		err  error
		want error
		text string
	}{
		{"raise unknown", raise("E_NOPE"), evid.ErrNotRegistered, `raise event "E_NOPE": the event is not registered`},
		{"raise unheard", raise("E_X"), evid.ErrNoSubscribers, `raise event "E_X": nobody is subscribed`},
		{"raise too large", raise("E_X", evid.String("", big)), evid.ErrTooLarge, ""},
		{
			"subscribe to unknown", f.Subscribe("E_NOPE", "test:a", time.Second), evid.ErrNotRegistered,
			`subscribe to "E_NOPE": the event is not registered`,
		},
		{"no time", f.Subscribe("E_X", "test:a", 0), evid.ErrExpire, ""},
		{"negative time", f.Subscribe("E_X", "test:a", -1), evid.ErrExpire, ""},
		{"unsubscribe from unknown", f.Unsubscribe("E_NOPE", "test:a"), evid.ErrNotRegistered, ""},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, test.err, test.want)
		}
		if test.text != "" && test.err.Error() != test.text {
			t.Errorf("%s: %v, want %s", test.name, test.err, test.text)
		}
	}
	for socket, want := range map[string]string{
		"test:":  `subscribe to "E_X": parse socket "test:": name: expected one`,
		"nope:a": `subscribe to "E_X": parse socket "nope:a": unknown transport "nope": expected a socket that starts with test:`,
		"":       `subscribe to "E_X": parse socket "": unknown transport "": expected a socket that starts with test:`,
	} {
		err := f.Subscribe("E_X", socket, time.Second)
		if socketErr := (*evid.SocketError)(nil); !errors.As(err, &socketErr) || err.Error() != want {
			t.Errorf("Subscribe(%q): %v, want %s", socket, err, want)
		}
	}
	f.must(f.Unsubscribe("E_X", "test:unknown"))
}

func TestAutoRegister(t *testing.T) {
	c := &collector{got: make(map[string][]string)}
	q := queue.New(queue.DefaultParams(), c)
	i := evid.New(evid.Options{Keeper: q, Transports: []evid.Transport{testTransport{}}, AutoRegister: true})
	defer i.Close()
	if _, err := i.Raise(t.Context(), "E_RAISED"); !errors.Is(err, evid.ErrNoSubscribers) {
		t.Errorf("Raise: %v", err)
	}
	if err := i.Subscribe("E_SUBSCRIBED", "test:a", evid.Never); err != nil {
		t.Errorf("Subscribe: %v", err)
	}
	if _, err := i.Raise(t.Context(), "E BAD"); !errors.Is(err, evid.ErrEventName) {
		t.Errorf("Raise: %v", err)
	}
	if got := i.Events(); len(got) != 2 {
		t.Errorf("Events: %v", got)
	}
}

// Each subscriber gets what was raised while it was subscribed, in order.
func TestSubscribe(t *testing.T) {
	f := newFixture(t)
	f.raise("before")
	f.must(f.Subscribe("E_X", "test:a", evid.Never))
	f.raise("1")
	f.must(f.Subscribe("E_X", "test:b", time.Hour))
	f.raise("2")
	f.wantGot("a", "1 2")
	f.must(f.Unsubscribe("E_X", "test:a"))
	f.raise("3")
	f.wantGot("a", "1 2")
	f.wantGot("b", "2 3")
	if f.Raised() != 4 {
		t.Errorf("Raised: %d", f.Raised())
	}
}

func TestRaiseReturnsTheID(t *testing.T) {
	f := newFixture(t)
	f.must(f.Subscribe("E_X", "test:a", evid.Never))
	var last evid.ID
	for range 3 {
		id, err := f.Raise(t.Context(), "E_X", evid.String("", "x"))
		if err != nil || id.Compare(last) != 1 {
			t.Errorf("Raise: %v, %v after %v", id, err, last)
		}
		last = id
	}
}

// Raise keeps no hold of the raiser's parameters.
func TestRaiseCopies(t *testing.T) {
	f := newFixture(t)
	f.got.held = true
	f.must(f.Subscribe("E_X", "test:a", evid.Never))
	params := []evid.Param{evid.String("", "as raised")}
	if _, err := f.Raise(t.Context(), "E_X", params...); err != nil {
		t.Fatal(err)
	}
	params[0].Str = "changed"
	f.got.release()
	f.wantGot("a", "as raised")
}

func TestSubscribersList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.must(f.Subscribe("E_X", "test:a", evid.Never))
		f.must(f.Subscribe("E_X", "test:b", time.Hour))
		f.must(f.Subscribe("E_X", "test:c", 60*time.Second))
		time.Sleep(10 * time.Second)
		f.must(f.Subscribe("E_X", "test:b", 100*time.Second)) // renewed: it keeps its place
		time.Sleep(10 * time.Second)
		type row struct {
			socket      string
			expire, ttl time.Duration
		}
		var got []row
		for _, s := range f.Subscribers("E_X") {
			got = append(got, row{s.Socket.String(), s.Expire, s.TTL})
		}
		want := []row{
			{"test:c", 60 * time.Second, 40 * time.Second},
			{"test:b", 100 * time.Second, 90 * time.Second},
			{"test:a", evid.Never, evid.Never},
		}
		if !slices.Equal(got, want) {
			t.Errorf("Subscribers: %v, want %v", got, want)
		}
		if s := f.Subscribers("E_Y"); len(s) != 0 {
			t.Errorf("Subscribers of another event: %v", s)
		}
	})
}

// Expiry happens by itself, at its time.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.must(f.Subscribe("E_X", "test:a", 10*time.Second))
		time.Sleep(10*time.Second - time.Nanosecond)
		f.raise("1")
		time.Sleep(1 * time.Nanosecond)
		synctest.Wait()
		if s := f.Subscribers("E_X"); len(s) != 0 {
			t.Errorf("still subscribed: %v", s)
		}
		f.raise("2")
		f.wantGot("a", "1")
	})
}

func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.must(f.Subscribe("E_X", "test:a", 10*time.Second))
		time.Sleep(9 * time.Second)
		f.must(f.Subscribe("E_X", "test:a", 10*time.Second))
		time.Sleep(9 * time.Second)
		f.raise("1")
		time.Sleep(time.Second)
		synctest.Wait()
		f.raise("2")
		f.must(f.Subscribe("E_X", "test:b", 10*time.Second))
		f.must(f.Subscribe("E_X", "test:b", evid.Never)) // for good, now
		time.Sleep(time.Hour)
		f.raise("3")
		f.wantGot("a", "1")
		f.wantGot("b", "3")
	})
}

// What waits when a subscription expires is still delivered. Subscribing again
// starts at the tail; the old range comes first.
func TestExpiredDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.got.held = true
		f.must(f.Subscribe("E_X", "test:a", time.Second))
		f.must(f.Subscribe("E_X", "test:keeps", evid.Never))
		f.raise("1")
		f.raise("2")
		time.Sleep(time.Second)
		synctest.Wait()
		f.raise("missed")
		f.must(f.Subscribe("E_X", "test:a", time.Second))
		f.raise("3")
		f.got.release()
		f.wantGot("a", "1 2 3")
		f.wantGot("keeps", "1 2 missed 3")
		if c, _ := f.queue.Counts("E_X", "test:a"); c != (evid.Counts{Accepted: 3, Delivered: 3}) {
			t.Errorf("counts: %+v", c)
		}
	})
}

// Unsubscribing discards what waits, also for a subscriber that has expired.
func TestUnsubscribeDiscards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.got.held = true
		f.must(f.Subscribe("E_X", "test:a", evid.Never))
		f.must(f.Subscribe("E_X", "test:expired", time.Second))
		f.raise("1")
		time.Sleep(time.Second)
		synctest.Wait()
		f.must(f.Unsubscribe("E_X", "test:a"))
		f.must(f.Unsubscribe("E_X", "test:expired"))
		f.got.release()
		f.wantGot("a", "")
		f.wantGot("expired", "")
		if c := f.queue.Totals(); c != (evid.Counts{Accepted: 2, Abandoned: 2}) {
			t.Errorf("counts: %+v", c)
		}
	})
}

func TestDismiss(t *testing.T) {
	k := &keeper{Queue: queue.New(queue.DefaultParams(), &collector{got: make(map[string][]string)})}
	i := evid.New(evid.Options{Keeper: k, Transports: []evid.Transport{testTransport{}}, AutoRegister: true})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(i.Subscribe("E_X", "test:a", evid.Never))
	must(i.Subscribe("E_X", "test:a", evid.Never)) // renewed since the first was called
	must(k.subs[0].Dismiss())
	if len(i.Subscribers("E_X")) != 1 {
		t.Error("a renewed subscription was dismissed for what its former self answered")
	}
	must(k.subs[1].Dismiss())
	if len(i.Subscribers("E_X")) != 0 {
		t.Error("still subscribed")
	}
	must(k.subs[0].Dismiss()) // again is fine
}

type keeper struct {
	*queue.Queue
	subs []*evid.Subscription
}

func (k *keeper) OpenSub(s *evid.Subscription) error {
	k.subs = append(k.subs, s)
	return k.Queue.OpenSub(s)
}

// Events that raise each other in a circle come to an end.
func TestHops(t *testing.T) {
	f := newFixture(t)
	f.must(f.Subscribe("E_X", "test:a", evid.Never))
	ctx := t.Context()
	for hop := 0; ; hop++ {
		_, err := f.Raise(ctx, "E_X", evid.String("", "x"))
		if hop <= evid.MaxHops && err != nil || hop > evid.MaxHops && !errors.Is(err, evid.ErrTooManyHops) {
			t.Fatalf("hop %d: %v", hop, err)
		}
		if err != nil {
			return
		}
		ctx = evid.CausedBy(t.Context(), &evid.Event{Name: "E_X", Hops: uint8(hop)})
	}
}

func TestClosed(t *testing.T) {
	f := newFixture(t)
	f.must(f.Subscribe("E_X", "test:a", time.Hour))
	f.Close()
	f.queue.Close()
	if err := f.Subscribe("E_X", "test:b", time.Hour); !errors.Is(err, evid.ErrClosed) {
		t.Errorf("Subscribe: %v", err)
	}
	if _, err := f.Raise(t.Context(), "E_X"); !errors.Is(err, evid.ErrClosed) {
		t.Errorf("Raise: %v", err)
	}
}

func TestSyncSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.got.held = true
		f.must(f.Subscribe("E_X", "test:a;sync", evid.Never))
		raised := make(chan error)
		go func() {
			_, err := f.Raise(context.Background(), "E_X", evid.String("", "1"))
			raised <- err
		}()
		synctest.Wait()
		select {
		case err := <-raised:
			t.Fatalf("Raise did not wait: %v", err)
		default:
		}
		f.got.release()
		f.must(<-raised)
	})
}

func BenchmarkRaise(b *testing.B) {
	c := &collector{got: make(map[string][]string)}
	q := queue.New(queue.DefaultParams(), c)
	i := evid.New(evid.Options{Keeper: q, Transports: []evid.Transport{testTransport{}}})
	if err := errors.Join(i.Register("E_X"), i.Subscribe("E_X", "test:a", evid.Never)); err != nil {
		b.Fatal(err)
	}
	c.held = true // its subscriber is behind: what is measured is the raiser's part
	b.ReportAllocs()
	for b.Loop() {
		i.Raise(context.Background(), "E_X", evid.String("ip", "192.168.2.11"))
	}
}
