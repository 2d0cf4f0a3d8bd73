package route_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/delivery"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
	"github.com/evid/evid/transport/route"
)

// A script has routes that are functions.
type script struct {
	mu     sync.Mutex
	routes map[string]func(ctx context.Context, e *evid.Event) error
	ran    []string // route and the first parameter
}

func (s *script) HasEvent(name string) bool { return s.route(name) != nil }

func (s *script) RunEvent(ctx context.Context, name string, e *evid.Event) error {
	err := s.route(name)(ctx, e)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran = append(s.ran, name+" "+e.Params[0].Text())
	return err
}

func (s *script) route(name string) func(context.Context, *evid.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.routes[name]
}

// set has the script have another route of this name; nil: none.
func (s *script) set(name string, run func(context.Context, *evid.Event) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.routes[name] = run
}

type fixture struct {
	*testing.T
	*evid.Interface
	script *script
	engine *delivery.Engine
	queue  *queue.Queue
	raised int64
}

// inBubble runs a test with an engine and a queue, once in memory and once on disk, under a
// clock of its own.
func inBubble(t *testing.T, test func(*fixture)) {
	for name, store := range map[string]queue.Store{"memory": nil, "disk": storetest.NewMemory()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, store)
				test(f)
				f.stop()
			})
		})
	}
}

// newFixture starts with what is in the store; nil: there is only memory.
func newFixture(t *testing.T, store queue.Store) *fixture {
	f := &fixture{T: t, script: &script{routes: make(map[string]func(context.Context, *evid.Event) error)}}
	log := slog.New(slog.DiscardHandler)
	f.engine = delivery.New(delivery.Options{Log: log})
	if store == nil {
		f.queue = queue.New(queue.DefaultParams(), f.engine)
	} else {
		var err error
		f.queue, err = queue.Open(queue.DefaultParams(), f.engine, store, log)
		f.must(err)
	}
	f.Interface = evid.New(evid.Options{Keeper: f.queue, Transports: route.New(f.script).Schemes(), AutoRegister: true})
	return f
}

func (f *fixture) stop() {
	f.Helper()
	f.Close()
	f.queue.Refuse()
	f.engine.Close()
	f.must(f.queue.Close())
}

// route makes an event route and subscribes it.
func (f *fixture) route(name, options string, run func(context.Context, *evid.Event) error) {
	f.Helper()
	f.script.set(name, run)
	f.subscribe(name, "route:"+name+options)
}

func (f *fixture) subscribe(event, socket string) {
	f.Helper()
	if err := f.SubscribeFromScript(event, socket, evid.Never); err != nil {
		f.Fatal(err)
	}
}

// raise raises an event with the next number.
func (f *fixture) raise(event string) error {
	f.raised++
	_, err := f.Raise(context.Background(), event, evid.Int("", f.raised))
	return err
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// raises is a route that raises another event, and fails as that does.
func (f *fixture) raises(event string) func(context.Context, *evid.Event) error {
	return func(ctx context.Context, e *evid.Event) error {
		_, err := f.Raise(ctx, event, e.Params...)
		return err
	}
}

func (f *fixture) wantRan(want ...string) {
	f.Helper()
	synctest.Wait()
	f.script.mu.Lock()
	defer f.script.mu.Unlock()
	if !slices.Equal(f.script.ran, want) {
		f.Errorf("ran %q, want %q", f.script.ran, want)
	}
}

func (f *fixture) wantCounts(want evid.Counts) {
	f.Helper()
	synctest.Wait()
	if got := f.queue.Totals(); got != want {
		f.Errorf("counts %+v, want %+v", got, want)
	}
}

// wantLetters compares the reasons of the dead letters.
func (f *fixture) wantLetters(want ...string) {
	f.Helper()
	synctest.Wait()
	var got []string
	for letter, err := range f.queue.DeadLetters(evid.DeadLetterFilter{}) {
		f.must(err)
		got = append(got, letter.Reason)
	}
	if !slices.Equal(got, want) {
		f.Errorf("dead letters %q, want %q", got, want)
	}
}

func nothing(context.Context, *evid.Event) error { return nil }

// blocks runs until it is cut short.
func blocks(ctx context.Context, _ *evid.Event) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestSockets(t *testing.T) {
	transport := route.New(&script{routes: map[string]func(context.Context, *evid.Event) error{"E_X": nothing, "E:Y": nothing}})
	for _, test := range []struct{ addr, text, err string }{
		{"E_X", "route:E_X", ""},
		{"E_X;sync_mode=1", "route:E_X;sync_mode=1", ""},
		{"E_X;sync_mode=0", "route:E_X", ""},
		{"E_X;sync_mode=1;sync_mode=0", "route:E_X", ""},
		{"E:Y", "route:E:Y", ""},
		{"E_Z", "", "the script has no event_route[E_Z]"},
		{"", "", "the script has no event_route[]"},
		{"e_x", "", "the script has no event_route[e_x]"},
		{"E_X;", "", `option "": expected name=value`},
		{"E_X;sync", "", `option "sync": expected name=value`},
		{"E_X;timeout=5", "", `option "timeout=5": expected sync_mode`},
		{"E_X;sync_mode=yes", "", `option "sync_mode=yes": sync_mode: expected 0 or 1, got "yes"`},
	} {
		s, err := transport.Parse(test.addr)
		if err != nil || test.err != "" {
			if err == nil || err.Error() != test.err || s != nil {
				t.Errorf("Parse(%q) = %v, %v, want %s", test.addr, s, err, test.err)
			}
			continue
		}
		key, _, _ := strings.Cut(test.text, ";")
		if s.String() != test.text || s.Key() != key {
			t.Errorf("Parse(%q) = %s with key %s, want %s", test.addr, s, s.Key(), test.text)
		}
		if want := strings.HasSuffix(test.text, "=1"); evid.PolicyOf(s).Sync != want {
			t.Errorf("%s is synchronous: %t", s, !want)
		}
		again, err := transport.Parse(strings.TrimPrefix(s.String(), "route:"))
		if err != nil || again != s {
			t.Errorf("%s is parsed as %v, %v", s, again, err)
		}
	}
	if transport.Replaced() != 0 {
		t.Error("characters were replaced")
	}
}

// A route runs in order; one that takes its time holds up no other, and no raiser.
func TestOrder(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.route("E_SLOW", "", func(ctx context.Context, _ *evid.Event) error {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			return ctx.Err()
		})
		f.route("E_X", "", nothing)
		begun := time.Now()
		for range 3 {
			f.must(errors.Join(f.raise("E_SLOW"), f.raise("E_X")))
		}
		f.wantRan("E_X 2", "E_X 4", "E_X 6")
		if time.Since(begun) != 0 {
			t.Error("somebody waited")
		}
		time.Sleep(3 * time.Second)
		f.wantRan("E_X 2", "E_X 4", "E_X 6", "E_SLOW 1", "E_SLOW 3", "E_SLOW 5")
		f.wantCounts(evid.Counts{Accepted: 6, Delivered: 6})
	})
}

// What a script fails at is not tried again, and can be replayed when it is mended.
func TestFailure(t *testing.T) {
	inBubble(t, func(f *fixture) {
		failure := errors.Join(errors.New("evid.cfg:5:3: more than 10000 turns"), errors.New("and more"))
		f.route("E_X", "", func(_ context.Context, e *evid.Event) error {
			if e.Params[0].Int == 2 {
				return failure
			}
			return nil
		})
		for range 3 {
			f.must(f.raise("E_X"))
		}
		f.wantRan("E_X 1", "E_X 2", "E_X 3")
		f.wantLetters("evid.cfg:5:3: more than 10000 turns; and more")
		f.script.set("E_X", nothing)
		replayed, _, err := f.queue.Replay(evid.DeadLetterFilter{})
		if replayed != 1 || err != nil {
			t.Errorf("replayed %d, %v", replayed, err)
		}
		f.wantRan("E_X 1", "E_X 2", "E_X 3", "E_X 2")
		f.wantLetters()
		time.Sleep(time.Hour)
		f.wantCounts(evid.Counts{Accepted: 3, Delivered: 2, Dead: 1})
	})
}

// A route that the script no longer has rejects what comes, and can be unsubscribed.
func TestRouteGoes(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.route("E_X", ";sync_mode=1", nothing)
		f.script.set("E_X", nil)
		err := f.raise("E_X")
		if err == nil || !strings.Contains(err.Error(), `subscriber "route:E_X;sync_mode=1": the script has no event_route[E_X]`) {
			t.Errorf("raise: %v", err)
		}
		f.wantLetters("the script has no event_route[E_X]")
		var socket *evid.SocketError
		if err := f.Subscribe("E_X", "route:E_X", evid.Never); !errors.As(err, &socket) {
			t.Errorf("subscribe: %v", err)
		}
		if err := f.Unsubscribe("E_X", "route:E_Y"); !errors.As(err, &socket) {
			t.Errorf("unsubscribe another: %v", err)
		}
		f.must(f.Unsubscribe("E_X", "route:E_X;sync_mode=1"))
		if n := f.SubscriberCount(); n != 0 {
			t.Errorf("%d are subscribed", n)
		}
	})
}

// A run that is cut short when evid ends leaves its event where it is.
func TestClose(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.route("E_X", "", blocks)
		f.must(errors.Join(f.raise("E_X"), f.raise("E_X")))
		synctest.Wait()
		f.engine.Close()
		f.wantRan("E_X 1")
		f.wantCounts(evid.Counts{Accepted: 2, Waiting: 2})
	})
	lane := route.New(&script{}).Open(nil)
	lane.Close()
	lane.Idle()
	socket, err := route.New(&script{routes: map[string]func(context.Context, *evid.Event) error{"E_X": nothing}}).Parse("E_X")
	if err != nil {
		t.Fatal(err)
	}
	item := []evid.Item{{Event: &evid.Event{Name: "E_X"}, Socket: socket}}
	if lane.Deliver(item); item[0].Result != (evid.Result{}) {
		t.Errorf("delivered by a lane that is closed: %+v", item[0].Result)
	}
	lane.Close()
}

// Who unsubscribes ends a run that takes long.
func TestUnsubscribe(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.route("E_X", "", blocks)
		f.must(f.raise("E_X"))
		time.Sleep(time.Minute)
		f.must(f.Unsubscribe("E_X", "route:E_X"))
		f.wantRan("E_X 1")
		f.wantCounts(evid.Counts{Accepted: 1, Abandoned: 1})
	})
}

// A run that could not raise because evid ends is made again.
func TestStopping(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.route("E_Y", "", nothing)
		f.route("E_X", "", func(ctx context.Context, e *evid.Event) error {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			return f.raises("E_Y")(ctx, e)
		})
		f.must(f.raise("E_X"))
		synctest.Wait()
		f.Close()
		f.must(f.engine.Drain(context.Background()))
		f.wantRan("E_X 1")
		f.wantLetters()
		f.wantCounts(evid.Counts{Accepted: 1, Waiting: 1, Retried: 1})
	})
}

// Routes that raise each other in a circle do not do that for ever.
func TestHops(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.route("E_A", "", f.raises("E_B"))
		f.route("E_B", "", f.raises("E_A"))
		f.must(f.raise("E_A"))
		f.wantCounts(evid.Counts{Accepted: evid.MaxHops + 1, Delivered: evid.MaxHops, Dead: 1})
		f.wantLetters(`raise event "E_B": ` + evid.ErrTooManyHops.Error())
	})
}

// A synchronous route that raises its own event would wait for itself.
func TestSyncRaisesItself(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.route("E_A", ";sync_mode=1", f.raises("E_A"))
		begun := time.Now()
		err := f.raise("E_A")
		const want = `raise event "E_A": subscriber "route:E_A;sync_mode=1": ` +
			`raise event "E_A": subscriber "route:E_A;sync_mode=1": events wait before it: 1`
		if err == nil || err.Error() != want {
			t.Errorf("raise: %v, want %s", err, want)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
		f.wantRan("E_A 1")
		f.wantCounts(evid.Counts{Accepted: 1, Dead: 1})
	})
}

// And so do two that raise each other's.
func TestSyncRaiseEachOther(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.route("E_A", ";sync_mode=1", f.raises("E_B"))
		f.route("E_B", ";sync_mode=1", f.raises("E_A"))
		begun := time.Now()
		err := f.raise("E_A")
		const want = `raise event "E_A": subscriber "route:E_A;sync_mode=1": ` +
			`raise event "E_B": subscriber "route:E_B;sync_mode=1": ` +
			`raise event "E_A": subscriber "route:E_A;sync_mode=1": events wait before it: 1`
		if err == nil || err.Error() != want {
			t.Errorf("raise: %v, want %s", err, want)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
		f.wantRan("E_B 1", "E_A 1")
		f.wantCounts(evid.Counts{Accepted: 2, Dead: 2})
	})
}

// Raised at the same time each waits for the other, and neither for ever.
func TestSyncMeet(t *testing.T) {
	inBubble(t, func(f *fixture) {
		meet := make(chan struct{})
		raises := func(event string) func(context.Context, *evid.Event) error {
			return func(ctx context.Context, e *evid.Event) error {
				<-meet
				return f.raises(event)(ctx, e)
			}
		}
		f.route("E_A", ";sync_mode=1", raises("E_B"))
		f.route("E_B", ";sync_mode=1", raises("E_A"))
		errs := make(chan error, 2)
		for _, event := range []string{"E_A", "E_B"} {
			go func() {
				_, err := f.Raise(context.Background(), event, evid.Int("", 0))
				errs <- err
			}()
		}
		synctest.Wait()
		close(meet)
		for range 2 {
			if err := <-errs; err == nil || !strings.Contains(err.Error(), "events wait before it: 1") {
				t.Errorf("raise: %v", err)
			}
		}
		synctest.Wait()
		if got := f.queue.Totals(); got.Dead != got.Accepted { // one can fail before the other raises
			t.Errorf("counts %+v, want all dead", got)
		}
	})
}

// One route can be subscribed to several events, and raise one for the other and wait, as
// deep as hops go.
func TestSyncChain(t *testing.T) {
	inBubble(t, func(f *fixture) {
		f.script.set("E_X", func(ctx context.Context, e *evid.Event) error {
			if e.Hops == evid.MaxHops {
				return nil
			}
			return f.raises(fmt.Sprint("E_", e.Hops+1))(ctx, e)
		})
		for n := range evid.MaxHops + 1 {
			f.subscribe(fmt.Sprint("E_", n), "route:E_X;sync_mode=1")
		}
		begun := time.Now()
		f.must(f.raise("E_0"))
		if took := time.Since(begun); took != 0 {
			t.Errorf("it took %v", took)
		}
		f.wantCounts(evid.Counts{Accepted: evid.MaxHops + 1, Delivered: evid.MaxHops + 1})
	})
}

// After a restart a route gets what waited, if the script still has it. Else that is
// discarded once the script has run.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := storetest.NewMemory()
		f := newFixture(t, store)
		f.route("E_STAYS", "", blocks)
		f.route("E_GOES", "", blocks)
		f.must(errors.Join(f.raise("E_STAYS"), f.raise("E_GOES"), f.raise("E_STAYS")))
		synctest.Wait()
		f.stop()

		f = newFixture(t, store)
		f.script.set("E_STAYS", nothing)
		restored, failed := f.Restore()
		if restored != 1 || len(failed) != 1 || !strings.HasSuffix(failed[0].Error(), `parse socket "route:E_GOES": the script has no event_route[E_GOES]`) {
			t.Errorf("Restore = %d, %v", restored, failed)
		}
		f.route("E_STAYS", "", nothing)
		ended, err := f.EndOldScript()
		if len(ended) != 1 || ended[0].Socket != "route:E_GOES" || err != nil {
			t.Errorf("EndOldScript = %v, %v", ended, err)
		}
		f.wantRan("E_STAYS 1", "E_STAYS 3")
		f.wantCounts(evid.Counts{Accepted: 3, Delivered: 2, Abandoned: 1})
		f.stop()
	})
}
