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
		bytes += letterSize(d)
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

func all(*evid.DeadLetter) bool { return true }

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

func TestLetterGoesBack(t *testing.T) {
	for _, test := range []struct {
		name     string
		maxCount int
		take     uint64
		before   int // letters that are added before it goes back
		want     []uint64
		purged   uint64
	}{
		{"the first", 9, 1, 0, []uint64{1, 2, 3, 4}, 0},
		{"one between", 9, 2, 0, []uint64{1, 2, 3, 4}, 0},
		{"the last", 9, 3, 0, []uint64{1, 2, 3, 4}, 0},
		{"with newer ones by then", 9, 2, 2, []uint64{1, 2, 3, 4, 5, 6}, 0},
		{"no room: it is the oldest", 3, 1, 1, []uint64{3, 4, 5}, 2},
		{"no room: another is the oldest", 3, 3, 1, []uint64{3, 4, 5}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := &letters{maxCount: test.maxCount, maxBytes: 1 << 20}
			for range 3 {
				l.add(letterOf(10))
			}
			taken := l.take(func(d *evid.DeadLetter) bool { return d.Number == test.take })
			if len(taken) != 1 || taken[0].Number != test.take {
				t.Fatalf("taken: %v", taken)
			}
			checkBytes(t, l)
			for range test.before {
				l.add(letterOf(10))
			}
			again := *taken[0]
			again.Reason = "another, and longer"
			if number := l.add(again); number != test.take {
				t.Errorf("it went back as number %d, want %d", number, test.take)
			}
			l.add(letterOf(10)) // gets a number of its own
			checkBytes(t, l)
			if diff := cmp.Diff(test.want, keptNumbers(l)); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
			if l.purged != test.purged {
				t.Errorf("%d purged, want %d", l.purged, test.purged)
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
	want := *listed
	want.Count, want.Last, want.LastID = 5, at(9), id(19)
	if got := *l.list(evid.DeadLetterFilter{})[0]; got != want {
		t.Errorf("extended: %+v, want %+v", got, want)
	}
	l.take(all)
	if l.extend(number, d) || len(l.kept) != 0 {
		t.Error("a letter was extended that is not there")
	}
}
