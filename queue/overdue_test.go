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
			killed := r.Queue
			r.store = r.store.Clone()
			time.Sleep(time.Hour)
			r.start()
			if persists {
				if ids, lost := r.take("a", queue.Delivered); len(ids) != 3 || lost.Count != 0 {
					t.Errorf("got %d events, want 3; lost: %d", len(ids), lost.Count)
				}
			} else {
				r.logged("events abandoned", "abandoned=3")
			}
			want := evid.Counts{Accepted: 3, Delivered: 3}
			if !persists {
				want = evid.Counts{Accepted: 3, Abandoned: 3}
			}
			if total := r.Totals(); total != want {
				t.Errorf("totals %+v, want %+v", total, want)
			}
			r.stop()
			r.must(killed.Close()) // so that nothing is left running
		})
	}
}
