package evid_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
)

// A slowKeeper knows who is subscribed. What it is asked to do for one event can be held
// up, as by a disk, or fail.
type slowKeeper struct {
	resume chan struct{} // lets one call for the slow event go on

	mu    sync.Mutex
	slow  string        // the event; empty: none
	delay time.Duration // of calls for the others
	err   error
	open  map[string]*evid.Subscription // by event and key
	calls []string
	busy  int
	peak  int // of busy
}

// callLocked waits as long as a call takes.
func (k *slowKeeper) callLocked(event, call string) {
	k.calls = append(k.calls, call)
	k.busy++
	k.peak = max(k.peak, k.busy)
	slow, delay := event == k.slow, k.delay
	k.mu.Unlock()
	if slow {
		<-k.resume
	} else if delay > 0 {
		time.Sleep(delay)
	}
	k.mu.Lock()
	k.busy--
}

func (k *slowKeeper) Accept(_ context.Context, e *evid.Event) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.open {
		if s.Event == e.Name {
			return true, nil
		}
	}
	return false, nil
}

func (k *slowKeeper) OpenSub(s *evid.Subscription) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.callLocked(s.Event, "open "+s.Event+" "+s.Socket.Key())
	if k.err == nil || k.open[s.Event+" "+s.Socket.Key()] != nil { // a renewal takes effect
		k.open[s.Event+" "+s.Socket.Key()] = s
	}
	return k.err
}

func (k *slowKeeper) CloseSub(event, key string, why evid.Close) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.callLocked(event, why.String()+" "+event+" "+key)
	delete(k.open, event+" "+key)
	return k.err
}

func (k *slowKeeper) sub(who string) *evid.Subscription {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.open[who]
}

func (k *slowKeeper) slowDown(event string, delay time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.slow, k.delay = event, delay
}

func (k *slowKeeper) fail(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

// took returns the calls since it was last asked.
func (k *slowKeeper) took() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	calls := k.calls
	k.calls = nil
	return calls
}

func newSlow(t *testing.T) (*evid.Interface, *slowKeeper) {
	k := &slowKeeper{resume: make(chan struct{}), open: make(map[string]*evid.Subscription)}
	i := evid.New(evid.Options{Keeper: k, Transports: []evid.Transport{testTransport{}}, AutoRegister: true})
	t.Cleanup(i.Close)
	return i, k
}

// list returns who is subscribed to an event, the newest first.
func list(i *evid.Interface, event string) string {
	var names []string
	for _, s := range i.Subscribers(event) {
		names = append(names, strings.TrimPrefix(s.Socket.Key(), "test:"))
	}
	return strings.Join(names, " ")
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Whatever the keeper is busy with for one event, nothing else waits for it. If it did, this
// test would not end.
func TestSlowKeeper(t *testing.T) {
	for _, test := range []struct {
		name          string
		change        func(i *evid.Interface, k *slowKeeper) error
		before, after string // who is subscribed to E_SLOW, with a and then b before the change
	}{
		{"subscribe", func(i *evid.Interface, _ *slowKeeper) error {
			return i.Subscribe("E_SLOW", "test:c", evid.Never)
		}, "b a", "c b a"},
		{"renew", func(i *evid.Interface, _ *slowKeeper) error {
			return i.Subscribe("E_SLOW", "test:a", evid.Never)
		}, "b a", "b a"},
		{"unsubscribe", func(i *evid.Interface, _ *slowKeeper) error {
			return i.Unsubscribe("E_SLOW", "test:a")
		}, "b a", "b"},
		{"unsubscribe nobody", func(i *evid.Interface, _ *slowKeeper) error {
			return i.Unsubscribe("E_SLOW", "test:c")
		}, "b a", "b a"},
		{"dismiss", func(_ *evid.Interface, k *slowKeeper) error {
			return k.sub("E_SLOW test:b").Dismiss()
		}, "b a", "a"},
		{"expire", func(*evid.Interface, *slowKeeper) error { return nil }, "b a", "b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, k := newSlow(t)
				check(t, i.Subscribe("E_SLOW", "test:a", time.Hour), i.Subscribe("E_SLOW", "test:b", evid.Never),
					i.Subscribe("E_X", "test:a", time.Hour+time.Minute), i.Subscribe("E_X", "test:b", evid.Never))
				k.slowDown("E_SLOW", 0)
				changed := make(chan error, 1)
				go func() { changed <- test.change(i, k) }()
				if test.name == "expire" {
					time.Sleep(time.Hour)
				}
				synctest.Wait()
				k.took()

				check(t, i.Subscribe("E_X", "test:c", time.Minute), i.Subscribe("E_X", "test:b", time.Hour), i.Unsubscribe("E_X", "test:d"))
				for _, event := range []string{"E_X", "E_SLOW"} {
					_, err := i.Raise(t.Context(), event)
					check(t, err)
				}
				if got := list(i, "E_SLOW"); got != test.before {
					t.Errorf("under way: %q are subscribed, want %q", got, test.before)
				}
				if got, n := list(i, "E_X"), i.SubscriberCount(); got != "c b a" || n != 5 {
					t.Errorf("to another event %q are subscribed, %d in all", got, n)
				}
				if test.name == "expire" {
					time.Sleep(2 * time.Minute)
					synctest.Wait()
					if got := list(i, "E_X"); got != "b" {
						t.Errorf("after their expiry %q are subscribed, want b", got)
					}
				}

				for _, call := range k.took() {
					if strings.Contains(call, "E_SLOW") {
						t.Errorf("at the same time: %s", call)
					}
				}
				k.resume <- struct{}{} // there is a call under way
				check(t, <-changed)
				synctest.Wait()
				if got := list(i, "E_SLOW"); got != test.after {
					t.Errorf("%q are subscribed, want %q", got, test.after)
				}
			})
		})
	}
}

// Changes of one event are made one after the other, and Close waits for the one that is
// under way.
func TestChangesOfOneEvent(t *testing.T) {
	i, k := newSlow(t)
	k.slowDown("E_SLOW", 0)
	var changes sync.WaitGroup
	for _, socket := range []string{"test:a", "test:b"} {
		changes.Go(func() {
			if err := i.Subscribe("E_SLOW", socket, evid.Never); err != nil {
				t.Errorf("Subscribe: %v", err)
			}
		})
	}
	until := func(done func() bool) {
		for !done() {
			time.Sleep(time.Millisecond)
		}
	}
	const soon = 20 * time.Millisecond
	until(func() bool { return k.took() != nil })
	time.Sleep(soon)
	if calls := k.took(); calls != nil {
		t.Errorf("at the same time: %q", calls)
	}
	k.resume <- struct{}{}
	k.resume <- struct{}{}
	changes.Wait()
	k.took()

	var refused error
	changes.Go(func() { i.Unsubscribe("E_SLOW", "test:a") })
	until(func() bool { return k.took() != nil })
	closed := make(chan struct{})
	go func() {
		i.Close()
		close(closed)
	}()
	until(func() bool {
		_, err := i.Raise(t.Context(), "E_X")
		return errors.Is(err, evid.ErrClosed)
	})
	changes.Go(func() { refused = i.Subscribe("E_SLOW", "test:c", evid.Never) })
	select {
	case <-closed:
		t.Error("Close did not wait")
	case <-time.After(soon):
	}
	k.resume <- struct{}{}
	<-closed
	changes.Wait()
	if got := list(i, "E_SLOW"); got != "b" || !errors.Is(refused, evid.ErrClosed) {
		t.Errorf("%q are subscribed after Close, and subscribing: %v", got, refused)
	}
}

// Very many can expire at the same time: they do so side by side, but not all at once, and
// none waits for an event that is held up.
func TestManyExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2000
		i, k := newSlow(t)
		for event := range n {
			check(t, i.Subscribe(fmt.Sprint("E_", event), "test:a", time.Hour))
		}
		for name := range n {
			check(t, i.Subscribe("E_MANY", fmt.Sprint("test:", name), time.Hour))
		}
		check(t, i.Subscribe("E_MANY", "test:stays", evid.Never),
			i.Subscribe("E_SLOW", "test:a", time.Hour), i.Subscribe("E_SLOW", "test:b", time.Hour))
		k.slowDown("E_SLOW", time.Millisecond)
		time.Sleep(time.Hour + n*time.Millisecond)
		synctest.Wait()
		if got := i.SubscriberCount(); got != 3 {
			t.Errorf("%d are subscribed, want 3", got)
		}
		if k.peak < 32 || k.peak > 64 {
			t.Errorf("%d were ended at the same time, want 32 to 64", k.peak)
		}
		k.resume <- struct{}{}
		k.resume <- struct{}{}
		synctest.Wait()
		if got := list(i, "E_MANY"); got != "stays" || i.SubscriberCount() != 1 {
			t.Errorf("%q of %d are subscribed", got, i.SubscriberCount())
		}
	})
}

// Close does not wait for all that is due.
func TestCloseWhileExpiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, k := newSlow(t)
		for name := range 1000 {
			check(t, i.Subscribe("E_X", fmt.Sprint("test:", name), time.Hour))
		}
		k.slowDown("", time.Second)
		time.Sleep(time.Hour + time.Minute)
		begun := time.Now()
		i.Close()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("closed after %v", took)
		}
		if n := i.SubscriberCount(); n < 900 || n == 1000 {
			t.Errorf("%d are left of 1000", n)
		}
	})
}

func TestKeeperErrors(t *testing.T) {
	full := errors.New("disk full")
	for _, test := range []struct {
		name   string
		change func(i *evid.Interface, k *slowKeeper) error
		want   error
		list   string // of a and b that were subscribed
	}{
		{"subscribe", func(i *evid.Interface, _ *slowKeeper) error { return i.Subscribe("E_X", "test:c", evid.Never) }, full, "b a"},
		{"renew", func(i *evid.Interface, _ *slowKeeper) error { return i.Subscribe("E_X", "test:a", evid.Never) }, full, "b a"},
		{"unsubscribe", func(i *evid.Interface, _ *slowKeeper) error { return i.Unsubscribe("E_X", "test:a") }, full, "b"},
		{"unsubscribe nobody", func(i *evid.Interface, _ *slowKeeper) error { return i.Unsubscribe("E_X", "test:c") }, full, "b a"},
		{"dismiss", func(_ *evid.Interface, k *slowKeeper) error { return k.sub("E_X test:b").Dismiss() }, full, "a"},
		{"dismiss a renewal that failed", func(i *evid.Interface, k *slowKeeper) error {
			i.Subscribe("E_X", "test:b", time.Minute)
			return k.sub("E_X test:b").Dismiss()
		}, full, "a"},
		{"expire", func(*evid.Interface, *slowKeeper) error {
			time.Sleep(time.Hour)
			synctest.Wait()
			return nil
		}, nil, "b"},
		{"expire after a renewal that failed", func(i *evid.Interface, _ *slowKeeper) error {
			i.Subscribe("E_X", "test:a", evid.Never)
			time.Sleep(time.Hour)
			synctest.Wait()
			return nil
		}, nil, "b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, k := newSlow(t)
				check(t, i.Subscribe("E_X", "test:a", time.Hour), i.Subscribe("E_X", "test:b", evid.Never))
				k.fail(full)
				if err := test.change(i, k); !errors.Is(err, test.want) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if got := list(i, "E_X"); got != test.list {
					t.Errorf("%q are subscribed, want %q", got, test.list)
				}
				k.fail(nil)
				k.took()
				time.Sleep(time.Minute)
				if calls := k.took(); calls != nil {
					t.Errorf("later: %q", calls)
				}
				check(t, i.Subscribe("E_X", "test:a", evid.Never))
				check(t, i.Unsubscribe("E_X", "test:a"), i.Unsubscribe("E_X", "test:b"))
				if n := i.SubscriberCount(); n != 0 {
					t.Errorf("%d are subscribed", n)
				}
			})
		})
	}
}

// Whatever happens at the same time, those who are listed are those whom the keeper has.
func TestConcurrentChanges(t *testing.T) {
	i, k := newSlow(t)
	k.slowDown("", 10*time.Microsecond)
	var changes sync.WaitGroup
	for range 8 {
		changes.Go(func() {
			for range 500 {
				event, name := fmt.Sprint("E_", rand.N(3)), fmt.Sprint("test:", rand.N(5))
				var err error
				switch rand.N(4) {
				case 0:
					err = i.Subscribe(event, name, evid.Never)
				case 1:
					err = i.Subscribe(event, name, rand.N(5*time.Millisecond)+1)
				case 2:
					err = i.Unsubscribe(event, name)
				case 3:
					if s := k.sub(event + " " + name); s != nil {
						err = s.Dismiss()
					}
				}
				if err != nil && !errors.Is(err, evid.ErrNotRegistered) {
					t.Error(err)
				}
				i.Subscribers(event)
			}
		})
	}
	changes.Wait()
	time.Sleep(10 * time.Millisecond)
	i.Close()
	var listed []string
	for _, event := range i.Events() {
		for _, s := range i.Subscribers(event.Name) {
			listed = append(listed, event.Name+" "+s.Socket.Key())
		}
	}
	slices.Sort(listed)
	if kept := slices.Sorted(maps.Keys(k.open)); !slices.Equal(listed, kept) {
		t.Errorf("listed: %q, kept: %q", listed, kept)
	}
}
