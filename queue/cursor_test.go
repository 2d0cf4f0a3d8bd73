package queue

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
)

func TestNext(t *testing.T) {
	for _, test := range []struct {
		name                 string
		waiting, limit, want int
	}{
		{"one", 1, 32, 1},
		{"fewer than asked for", 5, 32, 5},
		{"more than asked for", 50, 32, 32},
		{"more than a batch", 100, 100, MaxBatch},
		{"just a batch", MaxBatch, MaxBatch, MaxBatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, DefaultParams())
			reader := r.open("a")
			r.raise(test.waiting)
			if batch := reader.next(test.limit); batch.Events != test.want {
				t.Fatalf("Next = %+v, want %d events", batch, test.want)
			}
			more := reader.done(delivered(test.want)...) == Events
			if left := test.waiting - test.want; more != (left > 0) || r.find("E_X").ring.len() != left {
				t.Errorf("Done: more %t with %d in the list, want %d left", more, r.find("E_X").ring.len(), left)
			}
			if c := r.counts("a"); c.Delivered != uint64(test.want) {
				t.Errorf("counts: %+v, want %d delivered", c, test.want)
			}
		})
	}
}

// Events after one that waits can be done already. They are not handed out again,
// and none is handed out across them.
func TestHoles(t *testing.T) {
	const w, d, x = Waits, Delivered, Dead
	type turn struct {
		fates []Fate
		want  []uint64 // handed out then
	}
	for _, test := range []struct {
		name  string
		turns []turn // the first Next has 1 to 5; 6 to 8 are there, too
	}{
		{"nothing was attempted", []turn{{[]Fate{w, w, w, w, w}, []uint64{1, 2, 3, 4, 5}}}},
		{"a prefix is done", []turn{{[]Fate{d, x, d, w, w}, []uint64{4, 5, 6, 7, 8}}}},
		{"all are done", []turn{{[]Fate{d, x, d, d, d}, []uint64{6, 7, 8}}}},
		{"the first waits", []turn{
			{[]Fate{w, d, d, d, d}, []uint64{1}},
			{[]Fate{w}, []uint64{1}},
			{[]Fate{x}, []uint64{6, 7, 8}},
		}},
		{"one within waits", []turn{
			{[]Fate{d, d, w, d, d}, []uint64{3}},
			{[]Fate{d}, []uint64{6, 7, 8}},
		}},
		{"every other one", []turn{
			{[]Fate{w, d, w, d, w}, []uint64{1}},
			{[]Fate{d}, []uint64{3}},
			{[]Fate{d}, []uint64{5, 6, 7, 8}},
			{[]Fate{w, d, d, w}, []uint64{5}},
			{[]Fate{d}, []uint64{8}},
		}},
		{"the last waits", []turn{{[]Fate{d, d, d, d, w}, []uint64{5, 6, 7, 8}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, DefaultParams())
			reader := r.open("a")
			r.raise(8)
			reader.next(5)
			left := uint64(8)
			for i, turn := range test.turns {
				for _, fate := range turn.fates {
					if fate != w {
						left--
					}
				}
				if got := reader.done(turn.fates...); got != Events {
					t.Fatalf("turn %d: Done = %d, want %d", i, got, Events)
				}
				if c := r.counts("a"); c.Waiting != left {
					t.Errorf("turn %d: counts: %+v, want %d waiting", i, c, left)
				}
				reader.next(5)
				if diff := cmp.Diff(turn.want, reader.seqs()); diff != "" {
					t.Fatalf("turn %d handed out (-want +got):\n%s", i, diff)
				}
				if head := r.find("E_X").ring.head + 1; head != turn.want[0] {
					t.Errorf("turn %d: kept from event %d on, want %d", i, head, turn.want[0])
				}
			}
		})
	}
}

// Done says what is left; a raiser who waits comes before all else.
func TestLeft(t *testing.T) {
	raiseSync := func(r *rig) {
		r.t.Helper()
		r.openSync("a")
		if l, raise, err := r.accept(&evid.Event{Name: "E_X"}); l == nil || raise == nil || err != nil {
			r.t.Fatalf("accept = %v, %v, %v, want somebody to wait for it", l, raise, err)
		}
	}
	replay := func(r *rig) { r.Replay(evid.DeadLetterFilter{}) }
	for _, test := range []struct {
		name string
		hand func(r *rig) // what is handed out comes of this
		then func(r *rig) // while it is
		fate Fate
		want Left
	}{
		{"nothing", nil, nil, Delivered, Nothing},
		{"it waits", nil, nil, Waits, Events},
		{"another waits", nil, func(r *rig) { r.raise(1) }, Delivered, Events},
		{"a dead letter is to be replayed", nil, replay, Delivered, Events},
		{"a dead letter waits", replay, nil, Waits, Events},
		{"a dead letter was delivered", replay, nil, Delivered, Nothing},
		{"an event after a dead letter", replay, func(r *rig) { r.raise(1) }, Delivered, Events},
		{"a raiser waits", raiseSync, nil, Waits, ARaise},
		{"a raiser waits, and a dead letter", raiseSync, replay, Waits, ARaise},
		{"no raiser waits any more", raiseSync, replay, Dead, Events},
		{"it has expired", nil, func(r *rig) { r.close("a", evid.Expired) }, Waits, Events},
		{"it has ended", nil, func(r *rig) { r.close("a", evid.Unsubscribed) }, Waits, Nothing},
		{"a raiser waits for one that has ended", raiseSync, func(r *rig) { r.close("a", evid.Unsubscribed) }, Waits, Nothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, DefaultParams())
			reader := r.open("a")
			r.bury(reader, 1)
			if test.hand == nil {
				r.raise(1)
			} else {
				test.hand(r)
			}
			if batch := reader.next(8); batch.Events != 1 {
				t.Fatalf("Next = %+v, want one event", batch)
			}
			if test.then != nil {
				test.then(r)
			}
			if got := reader.done(test.fate); got != test.want {
				t.Errorf("Done = %d, want %d", got, test.want)
			}
			if l := r.find("E_X"); (len(l.parked) == 1) != (test.want == Nothing && !reader.detached) {
				t.Errorf("%d are parked with %d left, detached: %t", len(l.parked), test.want, reader.detached)
			}
		})
	}
}

// The events that wait with a hole between them are dropped one by one.
func TestHolesAreDropped(t *testing.T) {
	r := newRig(t, small(4, DropOldest))
	reader := r.open("a")
	r.raise(4)
	reader.next(4)
	reader.done(Waits, Delivered, Delivered, Waits)
	r.raise(2)
	if c := r.counts("a"); c != (evid.Counts{Accepted: 6, Delivered: 2, Dropped: 1, Waiting: 3}) {
		t.Errorf("counts: %+v, want one dropped", c)
	}
	if batch := reader.next(8); batch.Lost.Count != 1 {
		t.Errorf("Next = %+v, want one lost", batch)
	}
	if diff := cmp.Diff([]uint64{4, 5, 6}, reader.seqs()); diff != "" {
		t.Errorf("handed out (-want +got):\n%s", diff)
	}
}

// What is handed out is not dropped: it counts as dropped if it comes back.
func TestHandedOutIsNotDropped(t *testing.T) {
	r := newRig(t, small(2, DropOldest))
	reader := r.open("a")
	r.raise(2)
	reader.next(2)
	r.raise(2)
	if c := r.counts("a"); c != (evid.Counts{Accepted: 4, Waiting: 4}) {
		t.Errorf("counts: %+v, want none dropped", c)
	}
	if left := reader.done(Delivered, Waits); left != Events {
		t.Errorf("Done = %d, want %d", left, Events)
	}
	if c := r.counts("a"); c != (evid.Counts{Accepted: 4, Delivered: 1, Dropped: 1, Waiting: 2}) {
		t.Errorf("counts: %+v, want one dropped", c)
	}
}

// Of the ends of a subscription: what becomes of what waits, and what the reader is
// told.
func TestEnd(t *testing.T) {
	const expired, unsubscribed, dismissed = evid.Expired, evid.Unsubscribed, evid.Dismissed
	type counts = evid.Counts
	for _, test := range []struct {
		name     string
		raised   int
		handed   int
		why      evid.Close
		discards int
		counts   evid.Counts // right then
		fates    []Fate      // of those handed out
		total    evid.Counts // when it is over
	}{
		{name: "nothing waits", why: expired},
		{name: "nothing waits, unsubscribed", why: unsubscribed},
		{
			name: "expired", raised: 2, why: expired,
			counts: counts{Accepted: 2, Waiting: 2}, total: counts{Accepted: 2, Delivered: 2},
		},
		{
			name: "expired, all handed out", raised: 2, handed: 2, why: expired,
			counts: counts{Accepted: 2, Waiting: 2},
			fates:  []Fate{Delivered, Waits}, total: counts{Accepted: 2, Delivered: 2},
		},
		{
			name: "unsubscribed", raised: 2, why: unsubscribed,
			total: counts{Accepted: 2, Abandoned: 2},
		},
		{
			name: "dismissed", raised: 2, why: dismissed,
			total: counts{Accepted: 2, Abandoned: 2},
		},
		{
			name: "unsubscribed, one handed out", raised: 2, handed: 1, why: unsubscribed, discards: 1,
			counts: counts{Accepted: 2, Abandoned: 1, Waiting: 1},
			fates:  []Fate{Delivered}, total: counts{Accepted: 2, Delivered: 1, Abandoned: 1},
		},
		{
			name: "dismissed, all handed out", raised: 3, handed: 3, why: dismissed, discards: 1,
			counts: counts{Accepted: 3, Waiting: 3},
			fates:  []Fate{Waits, Delivered, Dead}, total: counts{Accepted: 3, Delivered: 1, Dead: 1, Abandoned: 1},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, DefaultParams())
			reader := r.open("a")
			r.raise(test.raised)
			if test.handed > 0 {
				reader.next(test.handed)
			}
			r.close("a", test.why)
			if reader.discards != test.discards {
				t.Errorf("discarded %d times, want %d", reader.discards, test.discards)
			}
			if ended := test.counts == (counts{}); reader.detached != ended {
				t.Fatalf("detached: %t, want %t", reader.detached, ended)
			}
			if !reader.detached {
				if diff := cmp.Diff(test.counts, r.counts("a")); diff != "" {
					t.Errorf("counts (-want +got):\n%s", diff)
				}
			}
			if test.fates != nil {
				reader.done(test.fates...)
			}
			finish(t, reader)
			if diff := cmp.Diff(test.total, r.Totals()); diff != "" {
				t.Errorf("totals (-want +got):\n%s", diff)
			}
			if _, ok := r.Counts("E_X", "a"); ok || r.find("E_X").ring.len() != 0 {
				t.Errorf("known after its end: %t, with %d events", ok, r.find("E_X").ring.len())
			}
		})
	}
}

// finish has all delivered to a subscriber that is not subscribed, and checks that
// it has ended then.
func finish(t *testing.T, reader *recordedReader) {
	t.Helper()
	for reader.woken {
		batch := reader.next(8)
		if batch.Ended != reader.detached || batch.Ended != (batch.Events == 0) {
			t.Fatalf("Next = %+v, detached: %t", batch, reader.detached)
		}
		if reader.woken {
			reader.done(delivered(batch.Events)...)
		}
	}
	if !reader.detached {
		t.Fatal("it was not detached")
	}
	for range 2 {
		if batch := reader.cursor.Next(make([]*evid.Event, 1)); !batch.Ended || batch.Events != 0 {
			t.Fatalf("Next after the end = %+v", batch)
		}
	}
}

// A cursor whose last events are all lost ends with the Next that learns it.
func TestEndWithLoss(t *testing.T) {
	r := newRig(t, small(2, DropOldest))
	reader, other := r.open("a"), r.open("other")
	r.raise(1)
	r.close("a", evid.Expired)
	r.raise(2)
	if reader.detached {
		t.Fatal("it was detached before it was told what it has lost")
	}
	batch := reader.next(8)
	if !batch.Ended || batch.Lost.Count != 1 || !reader.detached || other.detached {
		t.Errorf("Next = %+v, want the end with one lost", batch)
	}
	if got := r.Totals(); got != (evid.Counts{Accepted: 4, Dropped: 2, Waiting: 2}) {
		t.Errorf("totals: %+v, want one dropped for each", got)
	}
}

// Subscribing again goes on with the same cursor and tells the reader.
func TestRenew(t *testing.T) {
	for _, test := range []struct {
		name  string
		prior func(r *rig, reader *recordedReader)
		want  []uint64 // what is handed out of 1, 2 and then 3, 4
	}{
		{"while subscribed", func(*rig, *recordedReader) {}, []uint64{1, 2, 3, 4}},
		{"after expiry", func(r *rig, _ *recordedReader) { r.close("a", evid.Expired) }, []uint64{1, 2, 3, 4}},
		{"after expiry and a gap", func(r *rig, _ *recordedReader) {
			r.close("a", evid.Expired)
			r.raise(1)
		}, []uint64{1, 2, 4, 5}},
		{"after unsubscribing, with events handed out", func(r *rig, reader *recordedReader) {
			reader.next(1)
			r.close("a", evid.Unsubscribed)
		}, []uint64{3, 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, DefaultParams())
			r.open("other")
			reader := r.open("a")
			r.raise(2)
			test.prior(r, reader)
			if reader.renewals != 0 {
				t.Fatal("renewed without subscribing again")
			}
			again := subscription("E_X", "a")
			if r.openSub(again) != nil {
				t.Fatal("attached once more")
			}
			if reader.renewals != 1 || reader.sub.Socket != again.Socket {
				t.Errorf("renewed %d times, with %+v", reader.renewals, reader.sub)
			}
			r.raise(2)
			if reader.events != nil {
				reader.done(Waits)
			}
			var got []uint64
			for reader.woken {
				batch := reader.next(8)
				if batch.Subscription.Socket != again.Socket {
					t.Errorf("handed out with subscription %+v", batch.Subscription)
				}
				got = append(got, reader.seqs()...)
				reader.done(delivered(batch.Events)...)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("handed out (-want +got):\n%s", diff)
			}
			r.counts("a")
		})
	}
}
