package queue

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evid/evid"
)

// bury raises n events and has them given up for a subscriber that has nothing else.
func (r *rig) bury(reader *recordedReader, n int) {
	r.t.Helper()
	name := reader.sub.Event
	for range n {
		if kept, err := r.Accept(r.t.Context(), &evid.Event{Name: name}); !kept || err != nil {
			r.t.Fatalf("Accept = %t, %v", kept, err)
		}
	}
	reader.next(n)
	fates := make([]Fate, n)
	for i := range fates {
		fates[i] = Dead
	}
	reader.done(fates...)
}

func TestFilters(t *testing.T) {
	type filter = evid.DeadLetterFilter
	for _, test := range []struct {
		name   string
		filter filter
		want   []uint64
	}{
		{"all", filter{}, []uint64{1, 2, 3, 4, 5}},
		{"event", filter{Event: "E_X"}, []uint64{1, 2, 5}},
		{"subscriber", filter{Key: "a"}, []uint64{1, 2, 4}},
		{"subscriber of an event", filter{Event: "E_Y", Key: "a"}, []uint64{4}},
		{"number", filter{Number: 3}, []uint64{3}},
		{"number of another event", filter{Event: "E_X", Number: 3}, nil},
		{"unknown number", filter{Number: 6}, nil},
		{"unknown event", filter{Event: "E_Z"}, nil},
		{"no part of a name", filter{Event: "E_"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, small(1, DropOldest))
			xa := r.open("a")
			r.bury(xa, 1)
			r.bury(xa, 1)
			r.bury(r.openSub(subscription("E_Y", "b")), 1)
			r.bury(r.openSub(subscription("E_Y", "a")), 1)
			xb := r.open("b")
			r.raise(2)
			xb.next(1) // has lost one
			if diff := cmp.Diff(test.want, r.numbers(test.filter)); diff != "" {
				t.Errorf("letters (-want +got):\n%s", diff)
			}
			before := r.Totals()
			if n, err := r.Purge(test.filter); n != len(test.want) || err != nil {
				t.Errorf("Purge = %d, %v, want %d", n, err, len(test.want))
			}
			if left := r.numbers(test.filter); left != nil {
				t.Errorf("letters after the purge: %v", left)
			}
			n := uint64(len(test.want))
			if got, want := r.DeadLetterCounts(), (LetterCounts{Kept: 5 - n, Purged: n}); got != want {
				t.Errorf("counts of letters: %+v, want %+v", got, want)
			}
			if after := r.Totals(); after != before {
				t.Errorf("the purge took the totals from %+v to %+v", before, after)
			}
		})
	}
}

// A listing ends when it is broken off, and is not disturbed by a purge.
func TestDeadLettersAreListedAsTheyAre(t *testing.T) {
	r := newRig(t, DefaultParams())
	r.bury(r.open("a"), 3)
	var got []uint64
	for d := range r.DeadLetters(evid.DeadLetterFilter{}) {
		r.Purge(evid.DeadLetterFilter{})
		if got = append(got, d.Number); d.Number == 2 {
			break
		}
	}
	if diff := cmp.Diff([]uint64{1, 2}, got); diff != "" {
		t.Errorf("letters (-want +got):\n%s", diff)
	}
}

func TestReplay(t *testing.T) {
	all := evid.DeadLetterFilter{}
	for _, test := range []struct {
		name           string
		prepare        func(r *rig, reader *recordedReader)
		filter         evid.DeadLetterFilter
		replayed, left int
	}{
		{"all", func(*rig, *recordedReader) {}, all, 3, 0},
		{"one", func(*rig, *recordedReader) {}, evid.DeadLetterFilter{Number: 2}, 1, 0},
		{"none is chosen", func(*rig, *recordedReader) {}, evid.DeadLetterFilter{Number: 9}, 0, 0},
		{"nobody is subscribed", func(r *rig, _ *recordedReader) { r.close("a", evid.Unsubscribed) }, all, 0, 3},
		{"expired, and events wait", func(r *rig, _ *recordedReader) {
			r.raise(1)
			r.close("a", evid.Expired)
		}, all, 0, 3},
		{"subscribed again", func(r *rig, _ *recordedReader) {
			r.close("a", evid.Unsubscribed)
			r.open("a")
		}, all, 3, 0},
		{"a range that was lost", func(r *rig, reader *recordedReader) {
			r.raise(6)
			reader.next(1)
		}, all, 3, 1},
		{"closed", func(r *rig, _ *recordedReader) { r.Close() }, all, 0, 3},
		{"purged", func(r *rig, _ *recordedReader) { r.Purge(all) }, all, 0, 0},
		{"in line already", func(r *rig, _ *recordedReader) { r.Replay(evid.DeadLetterFilter{Number: 1}) }, all, 3, 0},
		{"handed out already", func(r *rig, reader *recordedReader) {
			r.Replay(evid.DeadLetterFilter{Number: 1})
			reader.next(1)
		}, all, 3, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, small(5, DropOldest))
			reader := r.open("a")
			r.bury(reader, 3)
			test.prepare(r, reader)
			letters, totals := r.kept(all), r.Totals()
			replayed, left, err := r.Replay(test.filter)
			if replayed != test.replayed || left != test.left || err != nil {
				t.Errorf("Replay = %d, %d, %v, want %d, %d", replayed, left, err, test.replayed, test.left)
			}
			if after := r.Totals(); after != totals {
				t.Errorf("it took the totals from %+v to %+v", totals, after)
			}
			if !cmp.Equal(letters, r.kept(all), cmp.AllowUnexported(testSocket{}), sameEvents) {
				t.Errorf("letters are not as they were: %+v, before %+v", r.kept(all), letters)
			}
			line := 0
			for _, reader := range r.recorder.all {
				line += len(reader.cursor.replaysLocked())
			}
			if line != replayed {
				t.Errorf("%d letters are in line, %d replayed", line, replayed)
			}
		})
	}
}

// Events are compared by their pointers: they hold locks.
var sameEvents = cmp.Comparer(func(a, b *evid.Event) bool { return a == b })

// The fates of letters that are replayed. None changes the counts of the subscriber.
func TestFatesOfReplays(t *testing.T) {
	ok := Outcome{Fate: Delivered}
	dead := Outcome{Fate: Dead, Reason: "gone mad", Attempts: 3}
	waits := Outcome{Fate: Waits}
	retried := Outcome{Fate: Waits, Retried: true, Reason: "gone mad", Attempts: 3}
	for _, test := range []struct {
		name     string
		outcomes []Outcome // of the first three letters of four
		kept     []uint64
		failed   []uint64 // of these: with what the attempt has added
		next     []uint64 // handed out then
	}{
		{"delivered", []Outcome{ok, ok, ok}, []uint64{4}, nil, []uint64{4}},
		{"dead again", []Outcome{ok, dead, ok}, []uint64{2, 4}, []uint64{2}, []uint64{4}},
		{"all dead again", []Outcome{dead, dead, dead}, []uint64{1, 2, 3, 4}, []uint64{1, 2, 3}, []uint64{4}},
		{"not attempted", []Outcome{waits, waits, waits}, []uint64{1, 2, 3, 4}, nil, []uint64{1, 2, 3, 4}},
		{"one is delivered", []Outcome{ok, waits, waits}, []uint64{2, 3, 4}, nil, []uint64{2, 3, 4}},
		{"one is dead again", []Outcome{dead, waits, waits}, []uint64{1, 2, 3, 4}, []uint64{1}, []uint64{2, 3, 4}},
		{"with holes", []Outcome{waits, ok, waits}, []uint64{1, 3, 4}, nil, []uint64{1, 3, 4}},
		{"the first waits", []Outcome{waits, dead, ok}, []uint64{1, 2, 4}, []uint64{2}, []uint64{1, 4}},
		{"cannot be reached", []Outcome{retried, waits, waits}, []uint64{1, 2, 3, 4}, []uint64{1}, nil},
		{"cannot be reached any more", []Outcome{ok, dead, retried}, []uint64{2, 3, 4}, []uint64{2, 3}, nil},
		{"delivered after one that was not", []Outcome{waits, retried, ok}, []uint64{1, 2, 4}, []uint64{2}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, DefaultParams())
			reader := r.open("a")
			r.bury(reader, 4)
			before := r.counts("a")
			r.Replay(evid.DeadLetterFilter{})
			if batch := reader.next(3); !batch.Replay || batch.Events != 3 {
				t.Fatalf("Next = %+v, want three letters", batch)
			}
			want := Nothing
			if test.next != nil {
				want = Events
			}
			if left := reader.settle(test.outcomes...); left != want {
				t.Errorf("Done = %d, want %d", left, want)
			}
			if diff := cmp.Diff(test.kept, r.numbers(evid.DeadLetterFilter{})); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			checkFailed(t, r, test.failed)
			if want == Events {
				reader.next(8)
				if diff := cmp.Diff(test.next, reader.seqs()); diff != "" {
					t.Errorf("handed out then (-want +got):\n%s", diff)
				}
			}
			kept := uint64(len(test.kept))
			if got, want := r.DeadLetterCounts(), (LetterCounts{Kept: kept, Replayed: 4 - kept}); got != want {
				t.Errorf("counts of letters: %+v, want %+v", got, want)
			}
			if after := r.counts("a"); after != before {
				t.Errorf("counts went from %+v to %+v", before, after)
			}
		})
	}
}

// checkFailed checks that these letters tell of another attempt, of three, and the
// others are as bury has made them.
func checkFailed(t *testing.T, r *rig, failed []uint64) {
	t.Helper()
	for _, d := range r.kept(evid.DeadLetterFilter{}) {
		reason, attempts := "refused", 2
		if slices.Contains(failed, d.Number) {
			reason, attempts = "gone mad", 2+3
		}
		if d.Reason != reason || d.Attempts != attempts || d.Raised == nil || d.Count != 1 || d.FirstID.Seq != d.Number {
			t.Errorf("letter: %+v, want %q after %d attempts", d, reason, attempts)
		}
	}
}

// A spelledOut encoder counts how often it is asked.
type spelledOut struct{ times int }

func (s *spelledOut) Append(dst []byte, e *evid.Event) []byte {
	s.times++
	return append(dst, e.Name...)
}

// A letter keeps the event as it was raised, and no encoding of it: not of the first
// delivery, nor of a replay that has failed.
func TestLetterKeepsNoEncoding(t *testing.T) {
	for _, test := range []struct {
		name     string
		outcomes []Outcome // of the event, and of its replays
	}{
		{"given up", []Outcome{{Fate: Dead}}},
		{"dead again", []Outcome{{Fate: Dead}, {Fate: Dead}}},
		{"not reached", []Outcome{{Fate: Dead}, {Fate: Waits, Retried: true}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, DefaultParams())
			reader := r.open("a")
			r.open("b") // who shares it, and its encodings
			raised := &evid.Event{Name: "E_X", Hops: 3, Params: []evid.Param{evid.String("who", "alice"), evid.Int("", 7)}}
			if kept, err := r.Accept(t.Context(), raised); !kept || err != nil {
				t.Fatalf("Accept = %t, %v", kept, err)
			}
			by := &spelledOut{}
			for _, outcome := range test.outcomes {
				reader.next(1)
				reader.events[0].AppendEncoded(nil, by)
				reader.settle(outcome)
				r.Replay(evid.DeadLetterFilter{})
			}
			d := r.kept(evid.DeadLetterFilter{})[0]
			if diff := cmp.Diff(raised, d.Raised, cmpopts.IgnoreUnexported(evid.Event{}), cmpopts.IgnoreFields(evid.Event{}, "Shared")); diff != "" {
				t.Errorf("event of the letter (-want +got):\n%s", diff)
			}
			before := by.times
			if d.Raised.AppendEncoded(nil, by); by.times != before+1 {
				t.Error("the letter has kept an encoding")
			}
		})
	}
}

// Letters come before what waits, and not together with it.
func TestReplayComesFirst(t *testing.T) {
	r := newRig(t, DefaultParams())
	reader := r.open("a")
	r.bury(reader, 2)
	r.raise(2)
	reader.next(8)
	r.Replay(evid.DeadLetterFilter{}) // comes after what is handed out
	reader.done(Delivered, Waits)
	r.raise(1)
	for _, want := range []struct {
		replay bool
		limit  int
		seqs   []uint64
	}{{true, 1, []uint64{1}}, {true, 8, []uint64{2}}, {false, 8, []uint64{4, 5}}} {
		if batch := reader.next(want.limit); batch.Replay != want.replay || !cmp.Equal(want.seqs, reader.seqs()) {
			t.Errorf("Next = %+v of %d, want %+v", batch, reader.seqs(), want)
		}
		reader.done(delivered(len(reader.events))...)
	}
	if reader.woken {
		t.Error("Done has said that events wait")
	}
}

// A replay wakes who has nothing to do, once, and at most a batch is handed out.
func TestReplayWakes(t *testing.T) {
	r := newRig(t, DefaultParams())
	reader, other := r.open("a"), r.open("other")
	r.bury(reader, 60)
	other.next(60)
	other.done(delivered(60)...)
	r.bury(reader, 60)
	other.next(60)
	other.done(delivered(60)...)
	r.recorder.wakes = nil
	if replayed, _, _ := r.Replay(evid.DeadLetterFilter{}); replayed != 120 || !reader.woken || other.woken {
		t.Fatalf("%d replayed, woken: %t, other woken: %t", replayed, reader.woken, other.woken)
	}
	if len(r.recorder.wakes) != 1 {
		t.Errorf("woken %d times", len(r.recorder.wakes))
	}
	for _, want := range []int{MaxBatch, 120 - MaxBatch} {
		if batch := reader.next(100); batch.Events != want || !batch.Replay {
			t.Fatalf("Next = %+v, want %d letters", batch, want)
		}
		reader.done(delivered(want)...)
	}
	if r.raise(1); !reader.woken {
		t.Error("not woken after the replay")
	}
}

// The end of a subscription leaves letters that were to be replayed as they are,
// those that are handed out once they are back. They can be replayed again.
func TestEndOfReplay(t *testing.T) {
	all := evid.DeadLetterFilter{}
	again := func(t *testing.T, r *rig, want int) {
		t.Helper()
		reader := r.open("a")
		if replayed, left, _ := r.Replay(all); replayed != want || left != 0 || len(reader.cursor.replaysLocked()) != want {
			t.Errorf("Replay = %d, %d with %d in line, want %d in line", replayed, left, len(reader.cursor.replaysLocked()), want)
		}
	}
	for _, why := range []evid.Close{evid.Expired, evid.Unsubscribed, evid.Dismissed} {
		t.Run(why.String(), func(t *testing.T) {
			r := newRig(t, DefaultParams())
			reader := r.open("a")
			r.bury(reader, 3)
			r.Replay(all)
			r.close("a", why)
			if diff := cmp.Diff([]uint64{1, 2, 3}, r.numbers(all)); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			checkFailed(t, r, nil)
			if !reader.detached || reader.discards != 0 {
				t.Errorf("detached: %t, discarded %d times; want it detached", reader.detached, reader.discards)
			}
			again(t, r, 3)
		})
		t.Run(why.String()+", handed out", func(t *testing.T) {
			r := newRig(t, DefaultParams())
			reader := r.open("a")
			r.bury(reader, 3)
			r.Replay(all)
			reader.next(2)
			r.close("a", why)
			if kept := r.numbers(all); len(kept) != 3 || reader.detached {
				t.Errorf("kept with some handed out: %d, detached: %t", kept, reader.detached)
			}
			if discarded := reader.discards == 1; discarded != (why != evid.Expired) {
				t.Errorf("discarded %d times", reader.discards)
			}
			if replayed, left, _ := r.Replay(all); replayed != 0 || left != 3 {
				t.Errorf("Replay for nobody = %d, %d, want 0, 3", replayed, left)
			}
			if left := reader.done(Delivered, Waits); left != Nothing || !reader.detached {
				t.Errorf("Done = %d, detached: %t", left, reader.detached)
			}
			if diff := cmp.Diff([]uint64{2, 3}, r.numbers(all)); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			checkFailed(t, r, nil)
			finish(t, reader)
			again(t, r, 2)
		})
	}
}

// Who subscribes again while letters are handed out goes on with the others.
func TestReplayGoesOn(t *testing.T) {
	r := newRig(t, DefaultParams())
	reader := r.open("a")
	r.bury(reader, 3)
	r.Replay(evid.DeadLetterFilter{})
	reader.next(1)
	r.close("a", evid.Unsubscribed)
	r.open("a")
	if left := reader.done(Waits); left != Events {
		t.Fatalf("Done = %d, want %d", left, Events)
	}
	if batch := reader.next(8); !batch.Replay || batch.Events != 3 {
		t.Errorf("Next = %+v, want three letters", batch)
	}
}

// All that a subscriber loses until it has caught up is one letter.
func TestLoss(t *testing.T) {
	r := newRig(t, small(2, DropOldest))
	reader := r.open("a")
	lose := func(raised int, want uint64) {
		t.Helper()
		r.raise(raised)
		if batch := reader.next(1); batch.Lost.Count != want {
			t.Errorf("Next = %+v, want %d lost", batch, want)
		}
		reader.done(Delivered)
	}
	check := func(want ...[4]uint64) {
		t.Helper()
		var got [][4]uint64
		for _, d := range r.kept(evid.DeadLetterFilter{}) {
			got = append(got, [4]uint64{d.Number, d.Count, d.FirstID.Seq, d.LastID.Seq})
			if d.Raised != nil || d.Reason != errDropped.Error() || d.Attempts != 0 || d.First.IsZero() || d.Last.Before(d.First) {
				t.Errorf("letter: %+v", d)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("number, count, first and last of letters (-want +got):\n%s", diff)
		}
	}
	lose(5, 3) // 1, 2, 3
	check([4]uint64{1, 3, 1, 3})
	lose(3, 2) // 5, 6
	check([4]uint64{1, 5, 1, 6})
	lose(0, 0) // 8: it has caught up
	check([4]uint64{1, 5, 1, 6})
	lose(3, 1) // 9
	check([4]uint64{1, 5, 1, 6}, [4]uint64{2, 1, 9, 9})
	r.Purge(evid.DeadLetterFilter{Number: 2})
	lose(2, 1) // 11
	check([4]uint64{1, 5, 1, 6}, [4]uint64{3, 1, 11, 11})
	r.raise(2) // 13 is lost, and its Next never learns it
	r.close("a", evid.Unsubscribed)
	check([4]uint64{1, 5, 1, 6}, [4]uint64{3, 2, 11, 13})
	if got, want := r.Totals(), (evid.Counts{Accepted: 15, Delivered: 5, Dropped: 8, Abandoned: 2}); got != want {
		t.Errorf("totals: %+v, want %+v", got, want)
	}
}
