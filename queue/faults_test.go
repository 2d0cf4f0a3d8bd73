package queue_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// Dead letters that were purged stay away, although an entry with them was not confirmed
// and is there after all: the queue does not know what is in it.
func TestUnconfirmedLettersStayPurged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.raise(2)
		r.fail(queue.LetterLog, storetest.Kept)
		r.take("a", queue.Dead)
		saved()
		if _, err := r.Purge(evid.DeadLetterFilter{Number: 2}); !errors.Is(err, queue.ErrUnhealthy) {
			t.Errorf("purge: %v, want that it is not saved", err)
		}
		r.heal()
		_, err := r.Purge(evid.DeadLetterFilter{Number: 1})
		r.must(err)
		r.stop()
		r.start()
		if letters := r.letters(); len(letters) != 0 {
			t.Errorf("dead letters are back: %+v", letters)
		}
		r.stop()
	})
}

// A save that is damaged or gone costs no event: the next one says up to where the log is
// in the lists, but not of the list that only the lost one had.
func TestLostSaveCostsNoEvents(t *testing.T) {
	for _, test := range []struct {
		name string
		lose func(m *storetest.Memory, pos uint64)
	}{
		{"damaged", func(m *storetest.Memory, pos uint64) { m.Damage(queue.StateLog, pos) }},
		{"gone", func(m *storetest.Memory, pos uint64) {
			if err := m.Delete(queue.StateLog, pos); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newDiskRig(t)
				r.start()
				r.subscribe("a", evid.Never)
				r.subscribeTo("E_Y", "a")
				saved()
				r.raise(10)
				saved()
				info, err := r.store.Info(queue.StateLog)
				r.must(err)
				r.raiseOf("E_Y", 1)
				saved()
				r.kill()
				test.lose(r.store, info.Last)
				r.start()
				if c := r.counts("a"); c.Waiting != 10 {
					t.Errorf("%+v, want 10 waiting", c)
				}
				r.LimitMemory(1)
				r.raise(10) // these have the ordinals after those
				if ids, lost := r.take("a", queue.Delivered); len(ids) != 20 || lost.Count != 0 {
					t.Errorf("taken %d, want 20; lost %d", len(ids), lost.Count)
				}
				r.stop()
			})
		})
	}
}

// Where all of the state is damaged the dead letters stay: nothing says which of them do
// not count.
func TestDamagedStateKeepsLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.raise(5)
		r.take("a", queue.Dead)
		r.stop()
		info, err := r.store.Info(queue.StateLog)
		r.must(err)
		for pos := info.First; pos <= info.Last; pos++ {
			r.store.Damage(queue.StateLog, pos)
		}
		for range 2 {
			r.start()
			if n := len(r.letters()); n != 5 {
				t.Errorf("%d dead letters, want 5", n)
			}
			r.stop()
		}
	})
}

// Unsubscribing that could not be saved fails again when it is tried again: the subscriber
// is gone from memory, and would be back after a restart.
func TestUnsubscribeFailsUntilSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.fail(queue.StateLog, storetest.Refused)
		for range 2 {
			if err := r.CloseSub("E_X", "a", evid.Unsubscribed); !errors.Is(err, storetest.ErrRefused) {
				t.Errorf("unsubscribe: %v, want that it is not saved", err)
			}
		}
		r.heal()
		r.must(r.CloseSub("E_X", "a", evid.Unsubscribed))
		r.kill()
		r.start()
		if _, known := r.Counts("E_X", "a"); known {
			t.Error("it is back")
		}
		r.stop()
	})
}

// A subscription that could not be saved is not open, also if its subscriber was there
// already, had expired and has something left. That is still delivered.
func TestUnsavedSubscriptionIsNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.raise(1)
		r.must(r.CloseSub("E_X", "a", evid.Expired))
		r.store.Sicken(errors.New("full"))
		err := r.OpenSub(&evid.Subscription{Event: "E_X", Socket: plainSocket("a"), Expire: evid.Never})
		if !errors.Is(err, queue.ErrUnhealthy) {
			t.Errorf("subscribe: %v, want that it is not saved", err)
		}
		r.heal()
		if kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || err != nil {
			t.Errorf("raise: %t, %v, want it not kept", kept, err)
		}
		if ids, _ := r.take("a", queue.Delivered); len(ids) != 1 {
			t.Errorf("taken %d, want 1", len(ids))
		}
		r.stop()
	})
}

// Once a save has failed a subscription fails at once. It would cost much to prepare a save
// of all that could not be saved since then, for each one anew.
func TestSubscribingToSickStoreIsCheap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.raise(5000)
		r.store.Sicken(errors.New("full"))
		r.take("a", queue.Dead)
		subscribe := func(key string) {
			err := r.OpenSub(&evid.Subscription{Event: "E_X", Socket: plainSocket(key), Expire: evid.Never})
			if !errors.Is(err, queue.ErrUnhealthy) {
				t.Errorf("subscribe: %v", err)
			}
		}
		subscribe("first")
		const times = 10
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range times {
			subscribe(fmt.Sprint("b", i))
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 100<<10 {
			t.Errorf("%d bytes were allocated for each", each)
		}
		r.heal()
		r.stop()
		r.start()
		if n := len(r.letters()); n != 5000 {
			t.Errorf("%d dead letters after a restart, want 5000", n)
		}
		r.stop()
	})
}

// Entries without dead letters are deleted later if the store refuses to do it at once.
// Nobody would think of them again.
func TestLettersAreDeletedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		r.raise(5)
		r.take("a", queue.Dead)
		saved()
		r.store.OnTrim(func(queue.Journal, uint64) error { return errors.New("not now") })
		_, err := r.Purge(evid.DeadLetterFilter{})
		r.must(err)
		saved()
		r.store.OnTrim(nil)
		r.raise(1) // something to save
		saved()
		info, err := r.store.Info(queue.LetterLog)
		r.must(err)
		if info.Entries != 0 {
			t.Errorf("%d entries are left", info.Entries)
		}
		r.stop()
	})
}

// The largest event can become a dead letter. If that were too large to be saved nothing
// else would be from then on.
func TestLargestEventDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("a", evid.Never)
		most := slices.Repeat([]evid.Param{evid.Int("", math.MinInt64)}, 65535) // a number takes most where it is written
		e := &evid.Event{Name: "E_X", Params: most}
		if size := e.Size(); size > evid.MaxEventSize || size < evid.MaxEventSize-8 {
			t.Fatalf("the event has %d bytes, want %d", size, evid.MaxEventSize)
		}
		_, err := r.Accept(t.Context(), e)
		r.must(err)
		events, _ := r.reader("a").next(1)
		r.reader("a").done(events, []queue.Outcome{{Fate: queue.Dead, Reason: strings.Repeat("r", 1000)}})
		r.subscribe("b", evid.Never)
		r.stop()
		r.start()
		if letters := r.letters(); len(letters) != 1 || len(letters[0].Raised.Params) != len(most) {
			t.Errorf("%d dead letters, want the event", len(letters))
		}
		r.stop()
	})
}

// Dead letters of what was lost say from where on, also if that was lost after a restart:
// nobody has had these events in memory.
func TestLostRangeAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.params.MaxAge = time.Minute
		r.start()
		r.subscribe("a", evid.Never)
		r.subscribe("b", evid.Never)
		r.raise(10)
		ids, _ := r.take("b", queue.Delivered)
		r.stop()
		time.Sleep(2 * time.Minute)
		r.start()
		r.raise(1)
		saved()
		_, lost := r.take("a", queue.Delivered)
		if lost.Count != 10 || lost.FirstID != ids[0] || lost.LastID.Compare(ids[9]) < 0 {
			t.Errorf("lost %d, from %s to %s, want 10 from %s to %s", lost.Count, lost.FirstID, lost.LastID, ids[0], ids[9])
		}
		r.stop()
	})
}
