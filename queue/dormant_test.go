package queue_test

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
)

// A subscription ends because of the restart. What was acknowledged while it was there,
// right before a crash, counts for it all the same.
func TestOverdueAfterCrash(t *testing.T) {
	for _, persists := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newDiskRig(t)
			r.params.PersistSubscribers = persists
			r.start()
			r.subscribe("a", time.Minute)
			saved()
			r.raise(3) // and nothing is saved after that
			r.kill()
			time.Sleep(time.Hour)
			r.start()
			want := evid.Counts{Accepted: 3, Delivered: 3}
			if persists {
				if ids, lost := r.take("a", queue.Delivered); len(ids) != 3 || lost.Count != 0 {
					t.Errorf("got %d events, want 3; lost: %d", len(ids), lost.Count)
				}
			} else {
				r.logged("events abandoned", "abandoned=3")
				want = evid.Counts{Accepted: 3, Abandoned: 3}
			}
			if total := r.Totals(); total != want {
				t.Errorf("totals %+v, want %+v", total, want)
			}
			r.stop()
		})
	}
}

// Who had expired when an event was raised does not get it, even if a crash comes before
// the end of the subscription is saved: loading finds it open and reads on behind its end.
func TestNothingRaisedAfterExpiryComesAfterCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", time.Minute)
		r.subscribe("b", evid.Never)
		time.Sleep(time.Minute - time.Millisecond)
		r.raise(1)
		synctest.Wait() // it is saved, and nothing in the next 100 ms
		time.Sleep(time.Millisecond)
		r.must(r.CloseSub("E_X", "a", evid.Expired))
		r.raise(1)
		r.kill()
		r.start()
		for key, want := range map[string]int{"a": 1, "b": 2} {
			if ids, lost := r.take(key, queue.Delivered); len(ids) != want || lost.Count != 0 {
				t.Errorf("%s got %d events, want %d; lost: %d", key, len(ids), want, lost.Count)
			}
		}
		r.stop()
	})
}

// Who is not opened again after a restart expires all the same: only the queue knows of it,
// and would accept events for it for ever.
func TestDormantExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", time.Hour)
		r.raise(1)
		r.stop()
		r.load()
		r.raise(1)
		time.Sleep(2 * time.Hour)
		if kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || err != nil {
			t.Errorf("raise: %t, %v, want it not kept", kept, err)
		}
		r.restore()
		if ids, _ := r.take("a", queue.Delivered); len(ids) != 2 {
			t.Errorf("taken %d, want what was raised before it expired: 2", len(ids))
		}
		r.stop()
	})
}

// Dead letters of who is dormant are left as they are, and can be replayed once it is back.
// Else they would be promised to a subscriber whom nobody wakes.
func TestDormantIsNotReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.raise(1)
		r.take("a", queue.Dead)
		r.stop()
		r.load()
		if replayed, left, err := r.Replay(evid.DeadLetterFilter{}); replayed != 0 || left != 1 || err != nil {
			t.Errorf("dormant: replayed %d, left %d, %v", replayed, left, err)
		}
		r.restore()
		if replayed, left, err := r.Replay(evid.DeadLetterFilter{}); replayed != 1 || left != 0 || err != nil {
			t.Errorf("restored: replayed %d, left %d, %v", replayed, left, err)
		}
		if ids, _ := r.take("a", queue.Delivered); len(ids) != 1 || len(r.letters()) != 0 {
			t.Errorf("taken %d, %d dead letters left", len(ids), len(r.letters()))
		}
		r.stop()
	})
}

// What is of the script is so after a restart and a crash, until somebody else subscribes it.
func TestScriptIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribeScript("script")
		r.subscribeScript("taken")
		r.subscribe("own", evid.Never)
		r.subscribe("given", evid.Never)
		r.subscribe("taken", time.Hour)
		r.subscribeScript("given")
		for _, again := range []func(){r.kill, r.stop, r.kill} {
			again()
			r.load()
			for key, script := range map[string]bool{"script": true, "taken": false, "own": false, "given": true} {
				if s := r.restored(key); s.Script != script || s.Ended {
					t.Errorf("%s is restored as %+v", key, s)
				}
			}
			r.restore()
		}
		// Dormant, and somebody else subscribes it: also that is saved.
		r.stop()
		r.load()
		r.subscribe("script", evid.Never)
		r.kill()
		r.start()
		if s := r.restored("script"); s.Script {
			t.Error("it is still the script's")
		}
		r.stop()
	})
}

// A subscription without an expiry that has ended is not open after a restart, for as long
// as events wait for it.
func TestEndedStaysEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribeScript("a")
		r.raise(2)
		r.must(r.CloseSub("E_X", "a", evid.Expired))
		for range 2 {
			r.kill()
			r.load()
			if s := r.restored("a"); !s.Ended || !s.Script {
				t.Errorf("restored: %+v", s)
			}
			r.restore()
			if kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || err != nil {
				t.Errorf("raise: %t, %v, want it not kept", kept, err)
			}
		}
		if ids, _ := r.take("a", queue.Delivered); len(ids) != 2 {
			t.Errorf("taken %d, want 2", len(ids))
		}
		r.stop()
		r.load()
		if all := slices.Collect(r.Restored()); len(all) != 0 {
			t.Errorf("restored: %v", all)
		}
		r.stop()
	})
}

// Who is dormant can be discarded, with what waits; that is saved. Others cannot.
func TestDiscardDormant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.subscribe("b", time.Hour)
		r.raise(3)
		if found, err := r.Discard("E_X", "a"); found || err != nil {
			t.Errorf("discard who is not dormant: %t, %v", found, err)
		}
		r.take("a", queue.Dead)
		r.raise(2)
		r.stop()
		r.load()
		for key, want := range map[string]bool{"c": false, "a": true, "b": true} {
			if found, err := r.Discard("E_X", key); found != want || err != nil {
				t.Errorf("discard %s: %t, %v, want %t", key, found, err, want)
			}
		}
		if found, err := r.Discard("E_Y", "a"); found || err != nil {
			t.Errorf("discard of an unknown event: %t, %v", found, err)
		}
		want := evid.Counts{Accepted: 10, Dead: 3, Abandoned: 2 + 5}
		for range 2 {
			if total := r.Totals(); total != want {
				t.Errorf("totals %+v, want %+v", total, want)
			}
			if kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || err != nil {
				t.Errorf("raise: %t, %v, want it not kept", kept, err)
			}
			r.kill()
			r.start()
		}
		time.Sleep(2 * time.Hour) // nothing is left of the one that would have expired
		if total := r.Totals(); total != want {
			t.Errorf("totals %+v, want %+v", total, want)
		}
		if letters := r.letters(); len(letters) != 3 {
			t.Errorf("%d dead letters, want those that there were", len(letters))
		}
		r.stop()
	})
}

// The interface with a queue on disk: what an earlier script subscribed follows the script.
func TestScriptFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.load()
		i := evid.New(evid.Options{Keeper: r, Transports: []evid.Transport{plainTransport{}}, AutoRegister: true})
		for _, key := range []string{"plain:stays", "plain:goes"} {
			r.must(i.SubscribeFromScript("E_X", key, evid.Never))
		}
		r.must(i.Subscribe("E_X", "plain:own", evid.Never))
		r.subscribeScript("lost:route")
		r.raise(2)
		i.Close()
		r.kill()

		r.load()
		i = evid.New(evid.Options{Keeper: r, Transports: []evid.Transport{plainTransport{}}, AutoRegister: true})
		if restored, failed := i.Restore(); restored != 3 || len(failed) != 1 {
			t.Fatalf("Restore = %d, %v", restored, failed)
		}
		r.must(i.SubscribeFromScript("E_X", "plain:stays", evid.Never))
		ended, err := i.EndOldScript()
		r.must(err)
		if len(ended) != 2 || ended[0].Socket != "plain:goes" || ended[1].Socket != "lost:route" {
			t.Errorf("ended: %v", ended)
		}
		r.raise(1)
		got := make(map[string]int)
		for _, key := range []string{"plain:stays", "plain:goes", "plain:own"} {
			ids, _ := r.take(key, queue.Delivered)
			got[key] = len(ids)
		}
		if want := map[string]int{"plain:stays": 3, "plain:goes": 2, "plain:own": 3}; !maps.Equal(got, want) {
			t.Errorf("taken %v, want %v", got, want)
		}
		if total := r.Totals(); total.Abandoned != 2 || total.Waiting != 0 {
			t.Errorf("totals %+v", total)
		}
		i.Close()
		r.stop()

		r.load()
		if all := slices.Collect(r.Restored()); len(all) != 2 {
			t.Errorf("restored: %v", all)
		}
		r.stop()
	})
}

// A plainTransport reads the sockets of scheme plain. Nothing is delivered over it.
type plainTransport struct{}

func (plainTransport) Scheme() string { return "plain" }
func (plainTransport) Parse(addr string) (evid.Socket, error) {
	return plainSocket("plain:" + addr), nil
}
func (plainTransport) Lane(s evid.Socket) string  { return s.Key() }
func (plainTransport) Open(evid.Socket) evid.Lane { panic("nothing is delivered here") }
