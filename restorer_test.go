package evid_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
)

// A keptKeeper has kept subscriptions from before a restart.
type keptKeeper struct {
	*slowKeeper
	kept []evid.Restored
}

func (k *keptKeeper) Restored() iter.Seq[evid.Restored] { return slices.Values(k.kept) }

// Discard discards what is kept with that socket.
func (k *keptKeeper) Discard(event, socket string) (found bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.kept)
	k.kept = slices.DeleteFunc(slices.Clone(k.kept), func(r evid.Restored) bool { return r.Event == event && r.Socket == socket })
	if len(k.kept) == n {
		return false, nil
	}
	k.callLocked(event, "discard "+event+" "+socket)
	return true, k.err
}

func newKept(t *testing.T, kept ...evid.Restored) (*evid.Interface, *keptKeeper) {
	k := &keptKeeper{&slowKeeper{open: make(map[string]*evid.Subscription)}, kept}
	i := evid.New(evid.Options{Keeper: k, Transports: []evid.Transport{testTransport{}}})
	t.Cleanup(i.Close)
	return i, k
}

// An idleKeeper does nothing itself.
type idleKeeper struct{ keptKeeper }

func (*idleKeeper) OpenSub(*evid.Subscription) error { return nil }

func wantCalls(t *testing.T, k *keptKeeper, want ...string) {
	t.Helper()
	if got := k.took(); !slices.Equal(got, want) {
		t.Errorf("the keeper was asked for %q, want %q", got, want)
	}
}

// What is subscribed tells when it expires, for the keeper to save it.
func TestSubscriptionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, k := newKept(t)
		for name, expire := range map[string]time.Duration{"short": 1, "hour": time.Hour, "never": evid.Never, "nearly never": evid.Never - 1} {
			check(t, i.Register("E_X"), i.Subscribe("E_X", "test:"+name, expire))
			var want time.Time
			if expire != evid.Never {
				want = time.Now().Add(expire)
			}
			if s := k.sub("E_X test:" + name); s.Expire != expire || !s.Expires.Equal(want) {
				t.Errorf("%s: expire %v, expires %v, want %v, %v", name, s.Expire, s.Expires, expire, want)
			}
		}
	})
}

func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) time.Time { return time.Now().Add(d).Round(0).UTC() } // as it is read from a disk
		i, k := newKept(t,
			evid.Restored{Event: "E_X", Socket: "test:a", Expire: evid.Never},
			evid.Restored{Event: "E_X", Socket: "test:b;sync", Expire: time.Hour, Expires: in(10 * time.Minute)},
			evid.Restored{Event: "E_Y", Socket: "test:a", Expire: time.Minute, Expires: in(time.Second)},
			evid.Restored{Event: "E_X", Socket: "test:over", Expire: time.Hour, Expires: in(-24 * time.Hour)},
			evid.Restored{Event: "E_X", Socket: "nope:a", Expire: evid.Never},
			evid.Restored{Event: "E_X", Socket: "test:now", Expire: time.Hour, Expires: in(0)},
			evid.Restored{Event: "E X", Socket: "test:a", Expire: evid.Never},
			evid.Restored{Event: "E_X", Socket: "test:set back", Expire: time.Hour, Expires: in(24 * time.Hour)},
			evid.Restored{Event: "E_X", Socket: "test:a", Expire: time.Hour, Expires: in(time.Minute)}, // twice
		)
		restored, failed := i.Restore()
		if restored != 4 || len(failed) != 2 {
			t.Fatalf("Restore = %d, %v, want 4 and 2 errors", restored, failed)
		}
		const want = `restore subscription of "nope:a" to "E_X": parse socket "nope:a": unknown transport "nope": expected a socket that starts with test:`
		if failed[0].Socket != "nope:a" || failed[0].Error() != want {
			t.Errorf("got %v, want %s", failed[0], want)
		}
		if failed[1].Event != "E X" || !errors.Is(failed[1], evid.ErrEventName) {
			t.Errorf("got %v, want ErrEventName", failed[1])
		}
		wantCalls(t, k, "open E_X test:a", "open E_X test:b", "open E_Y test:a", "open E_X test:over", "expired E_X test:over",
			"open E_X test:now", "expired E_X test:now", "open E_X test:set back")
		if s := k.sub("E_X test:b"); !s.Sync || s.Expire != time.Hour || !s.Expires.Equal(in(10*time.Minute)) || s.Transport == nil {
			t.Errorf("b was opened as %+v", s)
		}
		if events := i.Events(); len(events) != 2 || events[1].Name != "E_Y" {
			t.Errorf("registered: %v", events)
		}
		want2 := []time.Duration{time.Hour, 10 * time.Minute, evid.Never}
		for n, s := range i.Subscribers("E_X") {
			if n >= len(want2) || s.TTL != want2[n] {
				t.Errorf("%s has %v left, want %v", s.Socket, s.TTL, want2)
			}
		}

		for _, test := range []struct {
			after time.Duration
			x, y  string
		}{
			{0, "set back b a", "a"},
			{time.Second, "set back b a", ""},
			{10*time.Minute - time.Second - 1, "set back b a", ""},
			{1, "set back a", ""},
			{time.Hour, "a", ""},
		} {
			time.Sleep(test.after)
			synctest.Wait()
			if x, y := list(i, "E_X"), list(i, "E_Y"); x != test.x || y != test.y {
				t.Errorf("%v later %q and %q are subscribed, want %q and %q", test.after, x, y, test.x, test.y)
			}
		}
		check(t, k.sub("E_X test:a").Dismiss())
		if n := i.SubscriberCount(); n != 0 {
			t.Errorf("%d are subscribed", n)
		}
	})
}

func TestRestoreErrors(t *testing.T) {
	full := errors.New("disk full")
	a := evid.Restored{Event: "E_X", Socket: "test:a", Expire: evid.Never}
	b := evid.Restored{Event: "E_X", Socket: "test:b", Expire: time.Hour, Expires: time.Unix(0, 0)}
	for _, test := range []struct {
		name     string
		before   func(*evid.Interface, *keptKeeper)
		restored int
		errs     []error
		list     string
	}{
		{"the keeper fails", func(_ *evid.Interface, k *keptKeeper) { k.fail(full) }, 0, []error{full, full}, ""},
		{"closed", func(i *evid.Interface, _ *keptKeeper) { i.Close() }, 0, []error{evid.ErrClosed, evid.ErrClosed}, ""},
		{"subscribed since", func(i *evid.Interface, _ *keptKeeper) {
			check(t, i.Register("E_X"), i.Subscribe("E_X", "test:b", evid.Never))
		}, 1, nil, "a b"},
	} {
		i, k := newKept(t, a, b)
		test.before(i, k)
		restored, failed := i.Restore()
		if restored != test.restored || len(failed) != len(test.errs) {
			t.Errorf("%s: Restore = %d, %v, want %d, %v", test.name, restored, failed, test.restored, test.errs)
			continue
		}
		for n, err := range failed {
			if !errors.Is(err, test.errs[n]) {
				t.Errorf("%s: got %v, want %v", test.name, err, test.errs[n])
			}
		}
		if got := list(i, "E_X"); got != test.list {
			t.Errorf("%s: %q are subscribed, want %q", test.name, got, test.list)
		}
	}
}

func TestRestoreFromAKeeperThatKeepsNone(t *testing.T) {
	i, _ := newSlow(t)
	if restored, failed := i.Restore(); restored != 0 || failed != nil {
		t.Errorf("Restore = %d, %v", restored, failed)
	}
}

// keptMany returns n subscriptions. The last to be restored is the first to expire: the worst
// order for those who expect the other.
func keptMany(n int) []evid.Restored {
	kept := make([]evid.Restored, n)
	now := time.Now()
	for i := range kept {
		kept[i] = evid.Restored{Event: "E_X", Socket: fmt.Sprint("test:", i), Expire: 2 * time.Hour, Expires: now.Add(2*time.Hour - time.Duration(i)*time.Millisecond)}
	}
	return kept
}

func TestRestoreMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		i, _ := newKept(t, keptMany(n)...)
		if restored, failed := i.Restore(); restored != n || failed != nil {
			t.Fatalf("Restore = %d, %v", restored, failed)
		}
		subs := i.Subscribers("E_X")
		if len(subs) != n || subs[0].Socket.Key() != fmt.Sprint("test:", n-1) || subs[n-1].Socket.Key() != "test:0" {
			t.Errorf("%d are subscribed, not the newest first", len(subs))
		}
		time.Sleep(2*time.Hour - n/2*time.Millisecond)
		synctest.Wait()
		if got := i.SubscriberCount(); got != n/2 {
			t.Errorf("%d are subscribed, want %d", got, n/2)
		}
	})
}

// BenchmarkRestore restores 10,000 subscriptions: the Interface's part of it.
func BenchmarkRestore(b *testing.B) {
	kept := keptMany(10_000)
	b.ReportAllocs()
	for b.Loop() {
		i := evid.New(evid.Options{Keeper: &idleKeeper{keptKeeper{kept: kept}}, Transports: []evid.Transport{testTransport{}}})
		if restored, _ := i.Restore(); restored != len(kept) {
			b.Fatalf("%d are restored, want %d", restored, len(kept))
		}
		i.Close()
	}
}
