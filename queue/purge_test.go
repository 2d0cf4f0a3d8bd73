package queue

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
)

// A purge, or the bound, takes letters that are in line or handed out as well. Those
// in line are passed over; the outcome of one that is handed out only counts if it
// was delivered.
func TestPurgeOfReplays(t *testing.T) {
	purge := func(numbers ...uint64) func(*rig, *recordedReader) {
		return func(r *rig, _ *recordedReader) {
			for _, number := range numbers {
				if n, _ := r.Purge(evid.DeadLetterFilter{Number: number}); n != 1 {
					r.t.Errorf("Purge of %d = %d, want 1", number, n)
				}
			}
		}
	}
	const w, d, x = Waits, Delivered, Dead
	for _, test := range []struct {
		name          string
		before, later func(r *rig, reader *recordedReader) // two are handed out between these
		handed        []uint64
		fates         []Fate
		next          []uint64
		kept          []uint64
		counts        LetterCounts
	}{
		{"in line, the first", purge(1), nil, []uint64{2, 3}, []Fate{d, d}, []uint64{4}, []uint64{4}, LetterCounts{1, 2, 1}},
		{"in line, another", purge(2), nil, []uint64{1, 3}, []Fate{d, d}, []uint64{4}, []uint64{4}, LetterCounts{1, 2, 1}},
		{"in line, several", purge(2, 3), nil, []uint64{1, 4}, []Fate{w, w}, []uint64{1, 4}, []uint64{1, 4}, LetterCounts{2, 0, 2}},
		{"in line, all", purge(1, 2, 3, 4), nil, nil, nil, nil, nil, LetterCounts{0, 0, 4}},
		{"in line, all but the last", purge(1, 2, 3), nil, []uint64{4}, []Fate{d}, nil, nil, LetterCounts{0, 1, 3}},
		{"behind what is handed out", nil, purge(3, 4), []uint64{1, 2}, []Fate{d, x}, nil, []uint64{2}, LetterCounts{1, 1, 2}},
		{"handed out, delivered", nil, purge(1), []uint64{1, 2}, []Fate{d, d}, []uint64{3, 4}, []uint64{3, 4}, LetterCounts{2, 2, 1}},
		{"handed out, dead again", nil, purge(1), []uint64{1, 2}, []Fate{x, d}, []uint64{3, 4}, []uint64{3, 4}, LetterCounts{2, 1, 1}},
		{"handed out, waits", nil, purge(2), []uint64{1, 2}, []Fate{w, w}, []uint64{1, 3, 4}, []uint64{1, 3, 4}, LetterCounts{3, 0, 1}},
		{"no room", func(r *rig, _ *recordedReader) {
			r.bury(r.openSub(subscription("E_Y", "b")), 2)
		}, nil, []uint64{3, 4}, []Fate{d, x}, nil, []uint64{4, 5, 6}, LetterCounts{3, 1, 2}},
		{"no room, handed out", nil, func(r *rig, _ *recordedReader) {
			r.bury(r.openSub(subscription("E_Y", "b")), 2)
		}, []uint64{1, 2}, []Fate{d, x}, []uint64{3, 4}, []uint64{3, 4, 5, 6}, LetterCounts{4, 1, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := DefaultParams()
			p.MaxDeadLetters = 4
			r := newRig(t, p)
			reader := r.open("a")
			r.bury(reader, 4)
			r.Replay(evid.DeadLetterFilter{})
			if test.before != nil {
				test.before(r, reader)
			}
			reader.next(2)
			if diff := cmp.Diff(test.handed, reader.seqs()); diff != "" {
				t.Fatalf("handed out (-want +got):\n%s", diff)
			}
			if test.later != nil {
				test.later(r, reader)
			}
			before := r.counts("a")
			if test.handed != nil {
				reader.done(test.fates...)
			}
			if reader.woken {
				reader.next(8)
				if diff := cmp.Diff(test.next, reader.seqs()); diff != "" {
					t.Errorf("handed out then (-want +got):\n%s", diff)
				}
			}
			if reader.woken != (test.next != nil) {
				t.Errorf("it has the cursor: %t, with %d to come", reader.woken, test.next)
			}
			if diff := cmp.Diff(test.kept, r.numbers(evid.DeadLetterFilter{})); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			if got := r.DeadLetterCounts(); got != test.counts {
				t.Errorf("counts of letters: %+v, want %+v", got, test.counts)
			}
			if after := r.counts("a"); after != before {
				t.Errorf("counts went from %+v to %+v", before, after)
			}
		})
	}
}
