package queue_test

import (
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
