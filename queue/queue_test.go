package queue

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
)

func TestNobodySubscribed(t *testing.T) {
	r := newRig(t, DefaultParams())
	accept := func(when string) {
		t.Helper()
		if kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || err != nil {
			t.Errorf("%s: Accept = %t, %v, want false, nil", when, kept, err)
		}
	}
	accept("never")
	r.open("a")
	r.close("a", evid.Expired)
	accept("not any more")
	if l := r.find("E_X"); l.ring.tail != 0 {
		t.Errorf("%d events were numbered", l.ring.tail)
	}
}

// What does not fit drops the oldest, by count and by bytes; the newest always fits.
func TestListIsBounded(t *testing.T) {
	for _, test := range []struct {
		name              string
		events, bytes     int
		size, raise, want int
	}{
		{"by count", 10, 1 << 30, 10, 30, 10},
		{"by bytes", 1000, 1 << 20, 100_000, 30, 10},
		{"one event above the bytes", 1000, 1 << 10, 100_000, 3, 1},
		{"one event", 1, 1 << 30, 10, 3, 1},
		{"enough room", 1000, 1 << 30, 10, 30, 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := small(test.events, DropOldest)
			p.MaxBytes = test.bytes
			r := newRig(t, p)
			reader := r.open("slow")
			for range test.raise {
				if kept, err := r.Accept(t.Context(), large(test.size)); !kept || err != nil {
					t.Fatalf("Accept = %t, %v", kept, err)
				}
			}
			dropped := uint64(test.raise - test.want)
			want := evid.Counts{Accepted: uint64(test.raise), Dropped: dropped, Waiting: uint64(test.want)}
			if diff := cmp.Diff(want, r.counts("slow")); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			if l := r.find("E_X"); l.ring.len() != test.want || test.want > 1 && l.ring.bytes > test.bytes {
				t.Errorf("list holds %d events of %d bytes, want %d", l.ring.len(), l.ring.bytes, test.want)
			}
			batch := reader.next(MaxBatch)
			if batch.Events != test.want || batch.Lost.Count != dropped || reader.events[0].ID.Seq != dropped+1 {
				t.Errorf("Next = %+v from %d, want %d from %d", batch, reader.events[0].ID.Seq, test.want, dropped+1)
			}
		})
	}
}

// With on_full=reject a raise for which there is no room fails: nobody has got the
// event and nothing is counted. It works again when there is room.
func TestReject(t *testing.T) {
	r := newRig(t, small(3, Reject))
	slow, quick := r.open("slow"), r.open("quick")
	r.raise(3)
	quick.next(8)
	quick.done(Delivered, Delivered, Delivered)
	wakes := len(r.recorder.wakes)
	before := r.Totals()
	for range 2 {
		e := &evid.Event{Name: "E_X"}
		if kept, err := r.Accept(t.Context(), e); kept || !errors.Is(err, evid.ErrQueueFull) {
			t.Errorf("Accept = %t, %v, want ErrQueueFull", kept, err)
		}
		if e.ID != (evid.ID{}) {
			t.Errorf("the event was numbered: %v", e.ID)
		}
	}
	if diff := cmp.Diff(before, r.Totals()); diff != "" || len(r.recorder.wakes) != wakes {
		t.Errorf("woken: %t; totals (-before +after):\n%s", len(r.recorder.wakes) != wakes, diff)
	}
	other := r.openSub(subscription("E_Y", "other"))
	if kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_Y"}); !kept || err != nil || !other.woken {
		t.Errorf("Accept of another event = %t, %v", kept, err)
	}
	slow.next(1)
	slow.done(Delivered)
	r.raise(1)
	if _, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); !errors.Is(err, evid.ErrQueueFull) {
		t.Errorf("Accept: %v, want ErrQueueFull", err)
	}
	slow.next(8)
	if diff := cmp.Diff([]uint64{2, 3, 5}, slow.seqs()); diff != "" {
		t.Errorf("slow was handed (-want +got):\n%s", diff)
	}
}

func TestRejectByBytes(t *testing.T) {
	p := small(1000, Reject)
	p.MaxBytes = 10_000
	r := newRig(t, p)
	reader := r.open("a")
	accept := func(bytes int, want error) {
		t.Helper()
		if kept, err := r.Accept(t.Context(), large(bytes)); kept != (want == nil) || !errors.Is(err, want) {
			t.Errorf("Accept of %d bytes = %t, %v, want %v", bytes, kept, err, want)
		}
	}
	accept(20_000, nil) // larger than all, and alone
	accept(1, evid.ErrQueueFull)
	reader.next(1)
	accept(1, evid.ErrQueueFull) // it is handed out, and may have to come again
	reader.done(Delivered)
	accept(4000, nil)
	accept(4000, nil)
	accept(4000, evid.ErrQueueFull)
	accept(20_000, evid.ErrQueueFull)
	accept(1000, nil)
	if c := r.counts("a"); c.Accepted != 4 || c.Dropped != 0 {
		t.Errorf("counts: %+v, want 4 accepted, none dropped", c)
	}
}

func TestClosedQueueRefuses(t *testing.T) {
	r := newRig(t, DefaultParams())
	reader := r.open("a")
	r.raise(1)
	r.Close()
	if kept, err := r.Accept(t.Context(), &evid.Event{Name: "E_X"}); kept || !errors.Is(err, evid.ErrClosed) {
		t.Errorf("Accept = %t, %v, want ErrClosed", kept, err)
	}
	if err := r.OpenSub(subscription("E_NEW", "a")); !errors.Is(err, evid.ErrClosed) {
		t.Errorf("OpenSub: %v, want ErrClosed", err)
	}
	if reader.next(8); len(reader.events) != 1 {
		t.Errorf("%d events handed out, want what was accepted before", len(reader.events))
	}
}

// One call wakes all that had nothing to do, and nobody else.
func TestWake(t *testing.T) {
	r := newRig(t, DefaultParams())
	readers := []*recordedReader{r.open("a"), r.open("b"), r.open("c")}
	r.openSub(subscription("E_Y", "a"))
	check := func(want ...*recordedReader) {
		t.Helper()
		var cursors []*Cursor
		for _, reader := range want {
			cursors = append(cursors, reader.cursor)
		}
		got := r.recorder.wakes
		if len(got) != 1 || !cmp.Equal(cursors, got[0], cmp.Comparer(func(a, b *Cursor) bool { return a == b })) {
			t.Errorf("woken: %v, want once %v", got, cursors)
		}
		r.recorder.wakes = nil
	}
	r.raise(1)
	check(readers...) // they have just subscribed: the newest last
	r.raise(1)
	if len(r.recorder.wakes) != 0 {
		t.Error("somebody was woken who had something to do")
	}
	readers[1].next(8)
	readers[1].done(Delivered, Delivered)
	r.raise(1)
	check(readers[1])
	readers[1].next(8)
	if left := readers[1].done(Waits); left != Events {
		t.Errorf("Done = %d, want %d", left, Events)
	}
	if r.raise(1); len(r.recorder.wakes) != 0 {
		t.Error("somebody was woken for whom an event came again")
	}
}

// Subscribers and Totals tell of all, sorted, and of those that are no more.
func TestSubscribers(t *testing.T) {
	r := newRig(t, DefaultParams())
	r.openSub(subscription("E_Y", "b"))
	r.open("c")
	reader := r.open("a")
	r.open("gone")
	r.raise(2)
	r.close("a", evid.Expired)
	r.close("gone", evid.Unsubscribed)
	type row struct {
		Event, Key string
		Open       bool
		Counts     evid.Counts
	}
	rows := func() (rows []row) {
		for _, s := range r.Subscribers() {
			rows = append(rows, row{s.Event, s.Socket.Key(), s.Open, s.Counts})
		}
		return rows
	}
	want := []row{
		{"E_X", "a", false, evid.Counts{Accepted: 2, Waiting: 2}},
		{"E_X", "c", true, evid.Counts{Accepted: 2, Waiting: 2}},
		{"E_Y", "b", true, evid.Counts{}},
	}
	if diff := cmp.Diff(want, rows()); diff != "" {
		t.Errorf("subscribers (-want +got):\n%s", diff)
	}
	reader.next(8)
	reader.settle(Outcome{Fate: Delivered, Odd: true}, Outcome{Fate: Delivered, Unconfirmed: true})
	if diff := cmp.Diff(want[1:], rows()); diff != "" {
		t.Errorf("subscribers with one less (-want +got):\n%s", diff)
	}
	total := evid.Counts{Accepted: 6, Delivered: 2, Odd: 1, Unconfirmed: 1, Abandoned: 2, Waiting: 2}
	if diff := cmp.Diff(total, r.Totals()); diff != "" {
		t.Errorf("totals (-want +got):\n%s", diff)
	}
}

func TestUnknownSubscriber(t *testing.T) {
	r := newRig(t, DefaultParams())
	r.open("a")
	for _, name := range []struct{ event, key string }{{"E_X", "b"}, {"E_Y", "a"}} {
		if err := r.CloseSub(name.event, name.key, evid.Unsubscribed); err != nil {
			t.Errorf("CloseSub of %v: %v", name, err)
		}
		if c, ok := r.Counts(name.event, name.key); ok {
			t.Errorf("Counts of %v = %+v", name, c)
		}
		if s, ok := r.Status(name.event, name.key); ok {
			t.Errorf("Status of %v = %+v", name, s)
		}
	}
}

// Status is what the reader reports, with the queue's counts.
func TestStatus(t *testing.T) {
	r := newRig(t, DefaultParams())
	r.open("a")
	r.open("b")
	r.raise(2)
	want := evid.Status{LastError: "of b", Counts: evid.Counts{Accepted: 2, Waiting: 2}}
	if got, ok := r.Status("E_X", "b"); !ok || got != want {
		t.Errorf("Status = %+v, %t, want %+v", got, ok, want)
	}
	r.close("b", evid.Expired)
	if got, ok := r.Status("E_X", "b"); !ok || got != want {
		t.Errorf("Status of one for whom events wait = %+v, %t, want %+v", got, ok, want)
	}
}

// Many raisers and one reader: the ids come in order and none is missing.
func TestOrder(t *testing.T) {
	r := newRig(t, small(1<<20, DropOldest))
	reader := r.open("a")
	const raisers, each = 4, 500
	var wg sync.WaitGroup
	for range raisers {
		wg.Go(func() {
			for range each {
				if kept, err := r.Accept(context.Background(), &evid.Event{Name: "E_X"}); !kept || err != nil {
					t.Errorf("Accept = %t, %v", kept, err)
				}
			}
		})
	}
	wg.Wait()
	var events []*evid.Event
	for reader.woken {
		reader.next(MaxBatch)
		events = append(events, reader.events...)
		reader.done(delivered(len(reader.events))...)
	}
	if len(events) != raisers*each {
		t.Fatalf("%d events, want %d", len(events), raisers*each)
	}
	for i, e := range events {
		if e.ID.Seq != uint64(i+1) || e.Time.IsZero() || time.Since(e.Time) > time.Hour {
			t.Fatalf("event %d has ID %v and time %v", i, e.ID, e.Time)
		}
	}
}

// delivered is the fate of n events.
func delivered(n int) []Fate {
	fates := make([]Fate, n)
	for i := range fates {
		fates[i] = Delivered
	}
	return fates
}
