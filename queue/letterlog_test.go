package queue_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// A letter that was saved twice, as its replay has failed, and is then purged does not
// come back from where it was saved first: not even once the log has forgotten where it
// was saved last, and the state was written anew.
func TestPurgedForGood(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newDiskRig(t)
			r.start()
			r.subscribe("a", evid.Never)
			r.raise(2)
			r.take("a", queue.Dead)
			saved()
			if replayed, _, err := r.Replay(evid.DeadLetterFilter{Number: 2}); replayed != 1 || err != nil {
				t.Fatal(replayed, err)
			}
			r.take("a", queue.Dead)
			saved()
			if restarts {
				r.stop()
				r.start()
			}
			if purged, err := r.Purge(evid.DeadLetterFilter{Number: 2}); purged != 1 || err != nil {
				t.Fatal(purged, err)
			}
			saved()
			fails := 1
			r.store.OnAppend(func(j queue.Journal, _ uint64, _ []byte) storetest.Fault {
				if j != queue.StateLog || fails == 0 {
					return storetest.None
				}
				fails--
				return storetest.Lost
			})
			r.raise(1)
			saved()
			r.store.OnAppend(nil)
			r.store.Heal()
			saved() // and that has all
			r.stop()
			r.start()
			var numbers []uint64
			for _, d := range r.letters() {
				numbers = append(numbers, d.Number)
			}
			if !slices.Equal(numbers, []uint64{1}) {
				t.Errorf("restarted %t: dead letters %d, want 1 only", restarts, numbers)
			}
			r.stop()
		})
	}
}
