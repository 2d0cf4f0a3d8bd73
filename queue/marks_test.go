package queue

import "testing"

// A list has so many marks at most. Those that stay are spread over all of the log, so that
// nobody has to read on for long.
func TestMarksHaveBounds(t *testing.T) {
	var m marks
	const events = 10 * maxMarks
	const apart = 2 * events / maxMarks
	for i := range uint64(events) {
		m.add(mark{ordinal: i, pos: 1 + i*marksApart})
	}
	if n := len(m); n > maxMarks || n < maxMarks/2 {
		t.Errorf("%d marks, want %d to %d", n, maxMarks/2, maxMarks)
	}
	for i := range uint64(events) {
		at := m.before(i)
		if at.pos == 0 || at.ordinal > i || i-at.ordinal > 3*apart {
			t.Fatalf("the mark before event %d is of event %d", i, at.ordinal)
		}
	}
}
