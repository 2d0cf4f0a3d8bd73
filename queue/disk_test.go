package queue_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// A log that has reached a limit loses its oldest events. Who has not had them gets one
// dead letter with their number.
func TestLimits(t *testing.T) {
	for _, test := range []struct {
		name  string
		limit func(*queue.Params)
		why   string
	}{
		{"events", func(p *queue.Params) { p.MaxEvents = 100 }, "max_events"},
		{"bytes", func(p *queue.Params) { p.MaxBytes = 30_000 }, "max_bytes"},
		{"age", func(p *queue.Params) { p.MaxAge = time.Minute }, "max_age"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newDiskRig(t)
				test.limit(&r.params)
				r.start()
				r.LimitMemory(10)
				r.subscribe("x:1", evid.Never)
				r.raise(1000)
				if test.name == "age" {
					time.Sleep(2 * time.Minute)
					r.raise(50)
				}
				saved()
				total := r.counts("x:1").Accepted
				ids, lost := r.take("x:1", queue.Delivered)
				c := r.counts("x:1")
				if c.Dropped == 0 || c.Dropped != lost.Count || c.Delivered != uint64(len(ids)) || c.Dropped+c.Delivered != total || len(ids) < 50 {
					t.Errorf("%+v, lost %d, taken %d", c, lost.Count, len(ids))
				}
				if lost.LastID.Compare(ids[0]) >= 0 || lost.FirstID.Compare(lost.LastID) > 0 {
					t.Errorf("lost are %s to %s, before %s", lost.FirstID, lost.LastID, ids[0])
				}
				letters := r.letters()
				if len(letters) != 1 || letters[0].Count != lost.Count || letters[0].Raised != nil {
					t.Errorf("dead letters: %+v", letters)
				}
				r.logged("events dropped", test.why)
				r.stop()
			})
		})
	}
}

// With on_full=reject a log that has reached a limit takes nothing until there is room.
func TestReject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.params.MaxEvents, r.params.OnFull = 100, queue.Reject
		r.start()
		r.subscribe("x:1", evid.Never)
		r.raise(150)
		saved()
		if kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || !errors.Is(err, evid.ErrQueueFull) {
			t.Errorf("raise: %t, %v", kept, err)
		}
		if ids, _ := r.take("x:1", queue.Delivered); len(ids) != 150 {
			t.Errorf("taken %d", len(ids))
		}
		saved()
		r.raise(1)
		r.stop()
	})
}

// A store that takes no events, as its disk is full, gets room as soon as these are
// delivered: that is saved, and the log is trimmed.
func TestTrimForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("x:1", evid.Never)
		r.raise(100)
		r.store.Fill(errors.New("the disk is full"))
		if _, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); !errors.Is(err, queue.ErrUnhealthy) {
			t.Errorf("raise: %v", err)
		}
		r.subscribe("x:2", evid.Never)
		r.take("x:1", queue.Dead)
		saved()
		info, err := r.store.Info(queue.EventLog)
		r.must(err)
		if info.Entries != 0 {
			t.Errorf("%d chunks are left", info.Entries)
		}
		r.store.Fill(nil)
		r.raise(1)
		r.stop()
		r.start()
		if n := len(r.letters()); n != 100 {
			t.Errorf("%d dead letters after a restart", n)
		}
		r.stop()
	})
}

// The limit that comes from what is free leaves room for all else.
func TestLimitFromRoom(t *testing.T) {
	for _, test := range []struct {
		free, want uint64
	}{
		{1 << 30, 3 << 28},
		{64 << 20, 48 << 20},
		{32 << 20, 16 << 20},
		{20 << 20, 8 << 20},
		{0, 8 << 20},
	} {
		r := newDiskRig(t)
		r.store.SetFree(test.free, true)
		r.start()
		if got := r.MaxLogBytes(); got != test.want {
			t.Errorf("%d bytes free: the limit is %d, want %d", test.free, got, test.want)
		}
		r.stop()
	}
}

// What is on disk is read when the store can read again.
func TestReadErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.LimitMemory(10)
		r.subscribe("x:1", evid.Never)
		r.raise(500)
		r.store.OnRead(func(queue.Journal, uint64) error { return errors.New("it hangs") })
		if ids, lost := r.take("x:1", queue.Delivered); len(ids) != 0 || lost.Count != 0 {
			t.Errorf("taken %d, lost %d", len(ids), lost.Count)
		}
		saved()
		r.store.OnRead(nil)
		saved()
		if ids, lost := r.take("x:1", queue.Delivered); len(ids) != 500 || lost.Count != 0 {
			t.Errorf("taken %d, lost %d", len(ids), lost.Count)
		}
		r.stop()
	})
}

// A raise that was not confirmed fails and says so; others fail at once. When the store
// is well again all goes on, and what was there after all is delivered.
func TestUnconfirmed(t *testing.T) {
	for _, test := range []struct {
		fault storetest.Fault
		want  int
	}{{storetest.Kept, 3}, {storetest.Lost, 2}} {
		synctest.Test(t, func(t *testing.T) {
			r := newDiskRig(t)
			r.start()
			r.subscribe("x:1", evid.Never)
			r.raise(1)
			r.store.OnAppend(func(queue.Journal, uint64, []byte) storetest.Fault { return test.fault })
			_, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"})
			if !errors.Is(err, queue.ErrUnconfirmed) || !strings.Contains(err.Error(), "not confirmed: it may still be delivered") {
				t.Errorf("raise: %v", err)
			}
			if _, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); !errors.Is(err, queue.ErrUnhealthy) {
				t.Errorf("raise: %v", err)
			}
			err = r.OpenSub(&evid.Subscription{Event: "E_X", Socket: plainSocket("x:2"), Expire: evid.Never})
			if !errors.Is(err, queue.ErrUnhealthy) {
				t.Errorf("subscribe: %v", err)
			}
			if _, known := r.Counts("E_X", "x:2"); known {
				t.Error("a subscription that could not be saved is open")
			}
			if err := r.CloseSub("E_X", "x:1", evid.Expired); !errors.Is(err, queue.ErrUnhealthy) {
				t.Errorf("unsubscribe: %v", err)
			}
			r.store.OnAppend(nil)
			r.store.Heal()
			r.subscribe("x:1", evid.Never)
			r.raise(1)
			if ids, _ := r.take("x:1", queue.Delivered); len(ids) != test.want {
				t.Errorf("taken %d, want %d", len(ids), test.want)
			}
			r.stop()
		})
	}
}

// A subscriber with too many dead letters that cannot be saved waits until they are.
func TestUnsavedLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("x:1", evid.Never)
		r.raise(10_200)
		r.store.OnAppend(func(j queue.Journal, _ uint64, _ []byte) storetest.Fault {
			if j == queue.LetterLog {
				return storetest.Refused
			}
			return storetest.None
		})
		ids, _ := r.take("x:1", queue.Dead)
		if n := len(ids); n < 10_000 || n > 10_064 {
			t.Errorf("taken %d, want 10,000", n)
		}
		saved()
		if more, _ := r.take("x:1", queue.Dead); len(more) != 0 {
			t.Errorf("taken %d more", len(more))
		}
		r.store.OnAppend(nil)
		saved()
		more, _ := r.take("x:1", queue.Dead)
		if n := len(ids) + len(more); n != 10_200 {
			t.Errorf("taken %d in all", n)
		}
		r.stop()
		r.start()
		if n := len(r.letters()); n != 10_200 {
			t.Errorf("%d dead letters after a restart", n)
		}
		r.stop()
	})
}

// The same holds for few that are large: on a full disk there may be room for some.
func TestLargeUnsavedLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("x:1", evid.Never)
		for range 200 {
			e := &evid.Event{Name: "E_X", Params: []evid.Param{evid.String("", strings.Repeat("x", 100_000))}}
			_, err := r.Accept(t.Context(), e)
			r.must(err)
		}
		ids, _ := r.take("x:1", queue.Dead)
		if n := len(ids); n < 40 || n > 110 {
			t.Errorf("taken %d, want 4 MB and a batch", n)
		}
		for range 10 {
			saved()
			more, _ := r.take("x:1", queue.Dead)
			ids = append(ids, more...)
		}
		if n := len(ids); n != 200 {
			t.Errorf("taken %d in all", n)
		}
		r.stop()
	})
}

// What is damaged is told, and the rest goes on.
func TestDamage(t *testing.T) {
	for _, test := range []struct {
		name    string
		journal queue.Journal
		message string
		check   func(r *diskRig)
	}{
		{"events", queue.EventLog, "events lost", func(r *diskRig) {
			ids, lost := r.take("x:1", queue.Delivered)
			if len(ids) != 99 || lost.Count != 1 {
				r.Errorf("taken %d, lost %d", len(ids), lost.Count)
			}
		}},
		{"letters", queue.LetterLog, "dead letters lost", func(r *diskRig) {
			if ids, _ := r.take("x:1", queue.Delivered); len(ids) != 100 {
				r.Errorf("taken %d", len(ids))
			}
		}},
		{"state", queue.StateLog, "changes of subscribers lost", func(r *diskRig) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newDiskRig(t)
				r.start()
				r.subscribe("x:1", evid.Never)
				r.subscribe("x:2", evid.Never)
				r.raise(100)
				r.take("x:2", queue.Dead)
				r.stop()
				info, err := r.store.Info(test.journal)
				r.must(err)
				r.store.Damage(test.journal, (info.First+info.Last)/2)
				r.start()
				test.check(r)
				r.logged(test.message, "it is damaged")
				r.raiseAny()
				r.stop()
			})
		})
	}
}

// raiseAny raises an event, whoever is subscribed.
func (r *diskRig) raiseAny() {
	r.Helper()
	if _, err := r.Accept(r.Context(), &evid.Event{Name: "E_X"}); err != nil {
		r.Error(err)
	}
}

// Subscriptions outlive a restart with their options, their counts and what waits; what
// has expired meanwhile gets what waits and no more.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("x:1", evid.Never)
		r.subscribe("x:2", time.Hour)
		r.subscribe("x:3", 3*time.Hour)
		r.raise(10)
		r.take("x:1", queue.Delivered)
		r.stop()
		time.Sleep(2 * time.Hour)
		r.start()
		var got []string
		for s := range r.Restored() {
			got = append(got, fmt.Sprint(s.Event, " ", s.Socket, " ", s.Expire))
		}
		want := []string{"E_X x:1 " + evid.Never.String(), "E_X x:2 1h0m0s", "E_X x:3 3h0m0s"}
		if !slices.Equal(got, want) {
			t.Errorf("restored %q, want %q", got, want)
		}
		r.raise(1)
		for key, want := range map[string]evid.Counts{
			"x:1": {Accepted: 11, Delivered: 10, Waiting: 1},
			"x:2": {Accepted: 10, Waiting: 10},
			"x:3": {Accepted: 11, Waiting: 11},
		} {
			if got := r.counts(key); got != want {
				t.Errorf("%s: %+v, want %+v", key, got, want)
			}
		}
		if ids, _ := r.take("x:2", queue.Delivered); len(ids) != 10 {
			t.Errorf("taken %d", len(ids))
		}
		if _, known := r.Counts("E_X", "x:2"); known {
			t.Error("x:2 is still there")
		}
		if got, want := r.Totals(), (evid.Counts{Accepted: 32, Delivered: 20, Waiting: 12}); got != want {
			t.Errorf("totals %+v, want %+v", got, want)
		}
		r.stop()
	})
}

// With persist_subscribers=0 nobody is subscribed after a restart.
func TestForgetSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.params.PersistSubscribers = false
		r.start()
		r.subscribe("x:1", evid.Never)
		r.raise(10)
		r.stop()
		r.start()
		for s := range r.Restored() {
			t.Errorf("%s is subscribed", s.Socket)
		}
		if got, want := r.Totals(), (evid.Counts{Accepted: 10, Abandoned: 10}); got != want {
			t.Errorf("totals %+v, want %+v", got, want)
		}
		r.logged("abandoned", "x:1")
		r.stop()
	})
}

// No id is given twice, even if the clock goes back.
func TestIDsAcrossRestarts(t *testing.T) {
	r := newDiskRig(t)
	var last evid.ID
	for year := range 3 { // each time in a bubble whose clock begins at the same time
		synctest.Test(t, func(t *testing.T) {
			r.T = t
			time.Sleep(time.Duration(3-year) * 365 * 24 * time.Hour)
			r.start()
			r.subscribe("x:1", evid.Never)
			r.raise(10)
			ids, _ := r.take("x:1", queue.Delivered)
			for _, id := range ids {
				if id.Compare(last) <= 0 {
					t.Errorf("id %s after %s", id, last)
				}
				last = id
			}
			r.stop()
		})
	}
}

// A synchronous raise waits for the attempt, which is made once the event is on disk.
func TestSyncOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.must(r.OpenSub(&evid.Subscription{Event: "E_X", Socket: plainSocket("x:1"), Sync: true, Expire: evid.Never}))
		result := make(chan error)
		raise := func() {
			_, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"})
			result <- err
		}
		go raise()
		synctest.Wait()
		r.take("x:1", queue.Delivered)
		if err := <-result; err != nil {
			t.Errorf("delivered: %v", err)
		}
		go raise()
		synctest.Wait()
		r.take("x:1", queue.Dead)
		if err := <-result; err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("refused: %v", err)
		}
		r.store.OnAppend(func(queue.Journal, uint64, []byte) storetest.Fault { return storetest.Lost })
		go raise()
		if err := <-result; !errors.Is(err, queue.ErrUnconfirmed) {
			t.Errorf("not confirmed: %v", err)
		}
		r.store.OnAppend(nil)
		r.store.Heal()
		go raise()
		synctest.Wait()
		r.take("x:1", queue.Delivered)
		if err := <-result; err != nil {
			t.Errorf("after that: %v", err)
		}
		r.stop()
	})
}

// A disk that hangs holds up few of those that read.
func TestReadersDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.LimitMemory(10)
		const subscribers = 10
		for i := range subscribers {
			r.subscribe(fmt.Sprintf("x:%d", i), evid.Never)
		}
		r.raise(500)
		r.hang()
		returned := make(chan time.Duration, subscribers)
		began := time.Now()
		for i := range subscribers {
			go func() {
				r.take(fmt.Sprintf("x:%d", i), queue.Delivered)
				returned <- time.Since(began)
			}()
		}
		late := 0
		for range subscribers {
			if <-returned > time.Second {
				late++
			}
		}
		if late != 2 {
			t.Errorf("%d were held up, want 2", late)
		}
		r.store.OnRead(nil)
		saved()
		for i := range subscribers {
			if ids, lost := r.take(fmt.Sprintf("x:%d", i), queue.Delivered); len(ids) != 500 || lost.Count > 0 {
				t.Errorf("%d: taken %d, lost %d", i, len(ids), lost.Count)
			}
		}
		r.stop()
	})
}

// A journal that is gone costs what was in it, and nothing else.
func TestLostJournals(t *testing.T) {
	for _, test := range []struct {
		journal queue.Journal
		message string
		want    evid.Counts // of x:1, once all was taken
		letters int
	}{
		{queue.EventLog, "events lost", evid.Counts{Accepted: 105, Delivered: 5, Dropped: 100}, 101}, // one is about the 100
		{queue.LetterLog, "", evid.Counts{Accepted: 105, Delivered: 105}, 0},
		{queue.StateLog, "subscribers lost", evid.Counts{Accepted: 5, Delivered: 5}, 100},
	} {
		t.Run(test.journal.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newDiskRig(t)
				r.start()
				r.subscribe("x:1", evid.Never)
				r.subscribe("x:2", evid.Never)
				r.raise(100)
				r.take("x:2", queue.Dead)
				r.stop()
				r.store.Lose(test.journal)
				r.start()
				r.subscribe("x:1", evid.Never)
				r.raise(5)
				r.take("x:1", queue.Delivered)
				if got := r.counts("x:1"); got != test.want {
					t.Errorf("counts %+v, want %+v", got, test.want)
				}
				if got := len(r.letters()); got != test.letters {
					t.Errorf("%d dead letters, want %d", got, test.letters)
				}
				if test.message != "" {
					r.logged(test.message)
				}
				r.stop()
				r.start() // once more: nothing of what was lost comes back or goes on
				if got := len(r.letters()); got != test.letters {
					t.Errorf("%d dead letters after another restart, want %d", got, test.letters)
				}
				r.raise(5)
				if ids, _ := r.take("x:1", queue.Delivered); len(ids) != 5 {
					t.Errorf("taken %d after another restart", len(ids))
				}
				r.stop()
			})
		})
	}
}
