package queue_test

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evid/evid"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// checkOverview compares what a queue says of itself, but for its bytes.
func checkOverview(t *testing.T, q *queue.Queue, lags int, want queue.Overview) {
	t.Helper()
	got := q.Overview(lags)
	if (got.Bytes == 0) != (got.Events == 0) {
		t.Errorf("%d bytes, %d events", got.Bytes, got.Events)
	}
	ignore := cmpopts.IgnoreFields(queue.Overview{}, "Bytes", "OnFull", "MaxAge", "MaxEvents", "MaxBytes")
	if diff := cmp.Diff(want, got, ignore, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func lag(key string, waiting uint64, oldest time.Time) queue.Lag {
	return queue.Lag{Event: "E_X", Socket: plainSocket(key), Waiting: waiting, Oldest: oldest}
}

// What waits is told, the longest first, also where it is on disk only.
func TestOverview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.store.SetFree(1<<30, true)
		r.start()
		r.LimitMemory(10)
		first := time.Now()
		r.subscribe("x:1", evid.Never)
		r.subscribe("x:2", evid.Never)
		r.raise(1000)
		time.Sleep(time.Minute)
		second := time.Now()
		r.subscribe("x:3", evid.Never)
		r.subscribe("x:4", evid.Never)
		r.raise(5)
		saved()
		want := queue.Overview{
			Mode: queue.Durable, Events: 1005, Oldest: first, Waiting: 2*1005 + 2*5, Behind: 4, Commits: 1005, Committed: 1005,
			Lags: []queue.Lag{lag("x:1", 1005, first), lag("x:2", 1005, first), lag("x:3", 5, second)},
		}
		// Where the disk cannot be read it is not told when they were raised.
		reads := 0
		r.store.OnRead(func(queue.Journal, uint64) error { reads++; return errors.New("it hangs") })
		unread := want
		unread.Lags = []queue.Lag{lag("x:1", 1005, time.Time{}), lag("x:2", 1005, time.Time{}), want.Lags[2]}
		checkOverview(t, r.Queue, 3, unread)
		if reads != 1 {
			t.Errorf("%d reads of a disk that hangs", reads)
		}
		r.store.OnRead(nil)
		checkOverview(t, r.Queue, 3, want)
		events, _ := r.reader("x:2").next(64)
		r.reader("x:2").done(events, make([]queue.Outcome, len(events))) // it is paused
		checkOverview(t, r.Queue, 3, want)
		o := r.Overview(0)
		if o.Lags != nil || o.MaxBytes == 0 || o.MaxBytes > 1<<30 || o.MaxEvents != 0 || o.MaxAge != 7*24*time.Hour || o.OnFull != queue.DropOldest {
			t.Errorf("limits: %+v", o)
		}

		// Where nothing waits nothing is kept.
		for _, key := range []string{"x:1", "x:2", "x:3", "x:4"} {
			r.take(key, queue.Delivered)
		}
		saved()
		checkOverview(t, r.Queue, 3, queue.Overview{Mode: queue.Durable, Commits: 1005, Committed: 1005})
		r.raise(1)
		if o := r.Overview(3); o.Events != 1 || o.Waiting != 4 || len(o.Lags) != 3 {
			t.Errorf("%+v", o)
		}
		r.stop()
	})
}

// Subscribers that nobody has opened after a restart are dormant, with what waits.
func TestOverviewDormant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		first := time.Now()
		r.subscribe("x:1", evid.Never)
		r.raise(3)
		r.subscribe("x:2", evid.Never)
		r.stop()
		q, err := queue.Open(r.params, &courier{readers: make(map[string]*reader)}, r.store, slog.New(slog.DiscardHandler))
		r.must(err)
		o := q.Overview(10)
		var got []string
		for _, l := range o.Lags {
			got = append(got, l.Socket.String())
			if !l.Dormant || !l.Oldest.Equal(first) && l.Waiting > 0 {
				t.Errorf("%+v", l)
			}
		}
		if o.Dormant != 2 || o.Behind != 2 || !cmp.Equal(got, []string{"x:1", "x:2"}) {
			t.Errorf("%+v", o)
		}
		r.must(q.OpenSub(&evid.Subscription{Event: "E_X", Socket: plainSocket("x:2"), Expire: evid.Never}))
		if o = q.Overview(10); o.Dormant != 1 || o.Behind != 1 {
			t.Errorf("%+v", o)
		}
		r.must(q.Close())
	})
}

// That it cannot write is told, since when, and how many raises that has cost.
func TestOverviewSick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("x:1", evid.Never)
		r.raise(1)
		saved()
		r.store.OnAppend(func(queue.Journal, uint64, []byte) storetest.Fault { return storetest.Lost })
		since := time.Now()
		for range 3 {
			if _, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); err == nil {
				t.Fatal("kept")
			}
		}
		time.Sleep(10 * time.Second)
		o := r.Overview(0)
		if !errors.Is(o.Err, queue.ErrUnhealthy) || !o.Since.Equal(since) || o.Refused != 3 || o.CommitFailures != 3 || o.Commits != 1 {
			t.Errorf("%+v", o)
		}
		if err := r.CloseSub("E_X", "x:1", evid.Unsubscribed); err == nil {
			t.Error("unsubscribed")
		}
		r.store.OnAppend(nil)
		r.store.Heal()
		time.Sleep(10 * time.Second)
		if o = r.Overview(0); o.Err != nil || !o.Since.IsZero() || o.SaveFailures == 0 {
			t.Errorf("%+v", o)
		}
		r.stop()
	})
}

// A queue in memory tells what is in its lists.
func TestOverviewMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		params := queue.DefaultParams()
		params.Mode, params.MaxEvents, params.OnFull = queue.Memory, 4, queue.Reject
		c := &courier{readers: make(map[string]*reader)}
		r := &diskRig{T: t, Queue: queue.New(params, c), courier: c}
		checkOverview(t, r.Queue, 10, queue.Overview{Mode: queue.Memory})
		r.subscribe("x:1", evid.Never)
		first := time.Now()
		r.raise(4)
		time.Sleep(time.Second)
		if _, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); !errors.Is(err, evid.ErrQueueFull) {
			t.Errorf("raise: %v", err)
		}
		checkOverview(t, r.Queue, 10, queue.Overview{
			Mode: queue.Memory, Events: 4, Oldest: first, Waiting: 4, Behind: 1, Refused: 1, Lags: []queue.Lag{lag("x:1", 4, first)},
		})
		if o := r.Overview(0); o.MaxEvents != 4 || o.MaxBytes != 8<<20 || o.MaxAge != 0 || o.OnFull != queue.Reject {
			t.Errorf("limits: %+v", o)
		}
	})
}

// The limit that comes from what is free drops nothing of what there is: others may have
// filled up the disk meanwhile.
func TestLimitOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newDiskRig(t)
		r.start()
		r.subscribe("x:1", evid.Never)
		r.raise(100)
		r.stop()
		r.store.SetFree(0, true)
		r.start()
		saved()
		if o := r.Overview(0); o.MaxBytes != 8<<20 || o.Events != 100 {
			t.Errorf("%+v", o)
		}
		if ids, lost := r.take("x:1", queue.Delivered); len(ids) != 100 || lost.Count != 0 {
			t.Errorf("taken %d, lost %d", len(ids), lost.Count)
		}
		r.stop()
	})
}
