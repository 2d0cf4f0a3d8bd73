package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
)

// checkBytes checks that the letters kept are counted with their bytes.
func checkBytes(t *testing.T, l *letters) {
	t.Helper()
	bytes := 0
	for _, d := range l.kept {
		bytes += d.size()
	}
	if bytes != l.bytes {
		t.Fatalf("letters of %d bytes counted, %d kept", l.bytes, bytes)
	}
}

func keptNumbers(l *letters) []uint64 {
	var numbers []uint64
	for _, d := range l.list(evid.DeadLetterFilter{}) {
		numbers = append(numbers, d.Number)
	}
	return numbers
}

// letterOf is a letter whose reason has so many bytes.
func letterOf(reason int) evid.DeadLetter {
	return evid.DeadLetter{Event: "E_X", Socket: &testSocket{"a"}, Reason: strings.Repeat("x", reason), Count: 1}
}

// The oldest letters are purged for want of room, and counted; the newest always
// fits by its bytes.
func TestLettersAreBounded(t *testing.T) {
	for _, test := range []struct {
		name               string
		maxCount, maxBytes int
		reasons            []int // their bytes
		want               []uint64
	}{
		{"enough room", 3, 1 << 20, []int{1, 1, 1}, []uint64{1, 2, 3}},
		{"by count", 3, 1 << 20, []int{1, 1, 1, 1, 1}, []uint64{3, 4, 5}},
		{"one", 1, 1 << 20, []int{1, 1}, []uint64{2}},
		{"none", 0, 1 << 20, []int{1, 1}, nil},
		{"by bytes", 100, 5000, []int{1000, 1000, 1000, 1000}, []uint64{2, 3, 4}},
		{"a large one for several", 100, 5000, []int{1000, 1000, 1000, 4000}, []uint64{4}},
		{"larger than all", 100, 5000, []int{10, 9000}, []uint64{2}},
		{"after one larger than all", 100, 5000, []int{9000, 10}, []uint64{2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := &letters{maxCount: test.maxCount, maxBytes: test.maxBytes}
			for i, reason := range test.reasons {
				if number := l.add(letterOf(reason)); number != uint64(i+1) {
					t.Errorf("letter %d has number %d", i+1, number)
				}
				checkBytes(t, l)
			}
			if diff := cmp.Diff(test.want, keptNumbers(l)); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			kept := uint64(len(test.want))
			if want := (LetterCounts{Kept: kept, Purged: uint64(len(test.reasons)) - kept}); l.counts() != want {
				t.Errorf("counts: %+v, want %+v", l.counts(), want)
			}
		})
	}
}

// The event of a letter counts with its bytes.
func TestLetterWithEvent(t *testing.T) {
	l := &letters{maxCount: 100, maxBytes: 30_000}
	for range 4 {
		d := letterOf(10)
		d.Raised = large(10_000)
		l.add(d)
	}
	if diff := cmp.Diff([]uint64{3, 4}, keptNumbers(l)); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

// What becomes of a letter that is replayed, and maybe purged meanwhile. It keeps
// its number and place until it is delivered.
func TestOutcomeOfReplayedLetter(t *testing.T) {
	short := &Outcome{Reason: "short", Attempts: 2, First: time.Unix(50, 0), Last: time.Unix(60, 0)}
	long := &Outcome{Reason: strings.Repeat("y", 3000), Attempts: 2, Last: time.Unix(60, 0)}
	purge := func(l *letters) { l.purge(evid.DeadLetterFilter{Number: 2}) }
	fill := func(l *letters) { // purges the first two
		l.add(letterOf(500))
		l.add(letterOf(500))
	}
	for _, test := range []struct {
		name   string
		number uint64
		before func(l *letters)
		failed *Outcome // nil: delivered
		want   []uint64
		counts LetterCounts
	}{
		{"the first delivered", 1, nil, nil, []uint64{2, 3}, LetterCounts{2, 1, 0}},
		{"one between delivered", 2, nil, nil, []uint64{1, 3}, LetterCounts{2, 1, 0}},
		{"the last delivered", 3, nil, nil, []uint64{1, 2}, LetterCounts{2, 1, 0}},
		{"the first failed", 1, nil, short, []uint64{1, 2, 3}, LetterCounts{3, 0, 0}},
		{"one between failed", 2, nil, short, []uint64{1, 2, 3}, LetterCounts{3, 0, 0}},
		{"the last failed", 3, nil, short, []uint64{1, 2, 3}, LetterCounts{3, 0, 0}},
		{"delivered, purged before", 2, purge, nil, []uint64{1, 3}, LetterCounts{2, 1, 1}},
		{"failed, purged before", 2, purge, long, []uint64{1, 3}, LetterCounts{2, 0, 1}},
		{"delivered, no room for it before", 2, fill, nil, []uint64{3, 4, 5}, LetterCounts{3, 1, 2}},
		{"failed, no room for it before", 2, fill, long, []uint64{3, 4, 5}, LetterCounts{3, 0, 2}},
		{"failed, and grows above the bytes", 2, nil, long, []uint64{2, 3}, LetterCounts{2, 0, 1}},
		{"the first failed, and grows above the bytes", 1, nil, long, []uint64{2, 3}, LetterCounts{2, 0, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := &letters{maxCount: 3, maxBytes: 4500} // each takes less than 1000
			for range 3 {
				d := letterOf(500)
				d.Attempts, d.First, d.Last = 3, time.Unix(1, 0), time.Unix(2, 0)
				l.add(d)
			}
			d := l.choose(evid.DeadLetterFilter{Number: test.number})[0]
			if !l.beginReplay(d) || l.beginReplay(d) {
				t.Fatal("it has not begun, or twice")
			}
			if test.before != nil {
				test.before(l)
			}
			was := d.DeadLetter
			if test.failed == nil {
				l.delivered(d)
			} else {
				l.failed(d, test.failed)
			}
			checkBytes(t, l)
			if diff := cmp.Diff(test.want, keptNumbers(l)); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			if got := l.counts(); got != test.counts {
				t.Errorf("counts: %+v, want %+v", got, test.counts)
			}
			if test.failed != nil && !l.beginReplay(d) {
				t.Error("it is not taken for another replay")
			}
			for _, got := range l.list(evid.DeadLetterFilter{Number: test.number}) {
				want := was
				want.Reason, want.Attempts, want.Last = test.failed.Reason, 3+2, test.failed.Last
				if got != want {
					t.Errorf("letter: %+v, want %+v", got, want)
				}
			}
		})
	}
}

// A letter is about more events: those who have listed it do not see it change.
func TestLetterIsExtended(t *testing.T) {
	l := &letters{maxCount: 9, maxBytes: 1 << 20}
	at := func(second int) time.Time { return time.Unix(int64(second), 0) }
	id := func(seq uint64) evid.ID { return evid.ID{Epoch: 1, Seq: seq} }
	d := letterOf(10)
	d.Count, d.First, d.Last, d.FirstID, d.LastID = 2, at(1), at(2), id(5), id(6)
	number := l.add(d)
	listed := l.list(evid.DeadLetterFilter{})[0]
	if !l.extend(number, evid.DeadLetter{Count: 3, First: at(8), Last: at(9), FirstID: id(15), LastID: id(19)}) {
		t.Fatal("the letter was not there")
	}
	if listed.Count != 2 || listed.LastID != id(6) {
		t.Errorf("what was listed has changed: %+v", listed)
	}
	want := listed
	want.Count, want.Last, want.LastID = 5, at(9), id(19)
	if got := l.list(evid.DeadLetterFilter{})[0]; got != want {
		t.Errorf("extended: %+v, want %+v", got, want)
	}
	l.purge(evid.DeadLetterFilter{})
	if l.extend(number, d) || len(l.kept) != 0 {
		t.Error("a letter was extended that is not there")
	}
}
