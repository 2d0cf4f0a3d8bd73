package queue

import (
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
)

// check compares the queue with the model.
func (h *harness) check() {
	h.t.Helper()
	var total evid.Counts
	for name, l := range h.lists {
		total.Add(l.retired)
		h.checkMemory(name, l)
	}
	for _, m := range h.subs() {
		total.Add(h.checkCounts(m))
		h.checkReader(m)
	}
	if got := h.Totals(); got != total {
		h.fatalf("totals (-want +got):\n%s", cmp.Diff(total, got))
	}
	checkSum(h.t, "all", total)
	h.checkRaises()
	h.checkLetters()
}

// checkRaises checks that each raiser waits just as long as it has to.
func (h *harness) checkRaises() {
	h.t.Helper()
	waits := make(map[*syncRaise]int)
	for _, m := range h.subs() {
		if m.raise != nil {
			waits[m.raise]++
		}
	}
	for raise := range h.raises {
		done := false
		select {
		case <-raise.done:
			done = true
			delete(h.raises, raise)
		default:
		}
		if raise.pending != waits[raise] || done != (waits[raise] == 0) {
			h.fatalf("a raiser waits for %d, done %t; want %d", raise.pending, done, waits[raise])
		}
	}
}

// checkCounts returns what the counts of a subscriber should be, and are.
func (h *harness) checkCounts(m *modelSub) evid.Counts {
	h.t.Helper()
	want := m.counts
	want.Waiting = uint64(len(m.pending))
	got, ok := h.Counts(m.list.name, m.key)
	if !ok || got != want {
		h.fatalf("counts of %s of %s (-want +got):\n%s", m.key, m.list.name, cmp.Diff(want, got))
	}
	checkSum(h.t, m.key, got)
	before := h.before[m]
	if got.Accepted < before.Accepted || got.Delivered < before.Delivered || got.Dead < before.Dead ||
		got.Dropped < before.Dropped || got.Abandoned < before.Abandoned || got.Retried < before.Retried {
		h.fatalf("counts of %s of %s went from %+v to %+v", m.key, m.list.name, before, got)
	}
	h.before[m] = got
	return got
}

// checkReader checks that the cursor of whom something is left is with the
// deliverer, and what its reader was told.
func (h *harness) checkReader(m *modelSub) {
	h.t.Helper()
	r := m.reader
	if left := len(m.pending) + len(m.missed) + len(m.replays); left > 0 && !r.woken {
		h.fatalf("%s of %s has %d to do and was not woken", m.key, m.list.name, left)
	}
	if r.discards != m.discards || r.renewals != m.renewals {
		h.fatalf("%s of %s: %d times discarded, %d times renewed; want %d, %d",
			m.key, m.list.name, r.discards, r.renewals, m.discards, m.renewals)
	}
}

// checkMemory checks that only what somebody still needs is kept. While a cursor
// stands before the oldest event, until it is moved on, that is all up to the limit.
func (h *harness) checkMemory(name string, l *modelList) {
	h.t.Helper()
	list := h.find(name)
	if list == nil {
		return
	}
	kept := list.ring.len()
	if l.isBehind() && kept > l.max || !l.isBehind() && kept != l.len() {
		h.fatalf("%d events of %s kept, %d needed, %d allowed", kept, name, l.len(), l.max)
	}
	bytes := 0
	for n := list.ring.head; n < list.ring.tail; n++ {
		bytes += list.ring.at(n).size
	}
	if bytes != list.ring.bytes {
		h.fatalf("%d bytes of %s counted, %d kept", list.ring.bytes, name, bytes)
	}
	open := 0
	for _, m := range l.subs {
		if m.open {
			open++
		}
	}
	if list.open != open || len(list.cursors) != len(l.subs) {
		h.fatalf("%s has %d subscribers, %d open; want %d, %d", name, len(list.cursors), list.open, len(l.subs), open)
	}
}

// checkLetters checks the dead letters: those made are kept, purged or delivered.
func (h *harness) checkLetters() {
	h.t.Helper()
	want := LetterCounts{uint64(len(h.letters.kept)), h.letters.replayed, h.letters.purged}
	got := h.DeadLetterCounts()
	if got != want {
		h.fatalf("letter counts (-want +got):\n%s", cmp.Diff(want, got))
	}
	// Who was purged on its way and is delivered then counts as both.
	made := h.Totals().Dead + h.letters.ranges
	if got.Kept != made-got.Purged-got.Replayed+h.letters.late {
		h.fatalf("letters: %+v, %d were made and %d delivered after they were purged", got, made, h.letters.late)
	}
	kept := h.kept(evid.DeadLetterFilter{})
	if !slices.EqualFunc(h.letters.kept, kept, func(m modelLetter, d evid.DeadLetter) bool { return m.number == d.Number }) {
		h.fatalf("letters kept: %+v, want %+v", kept, h.letters.kept)
	}
	for i := range kept {
		h.checkLetter(&kept[i], h.letters.kept[i])
	}
	checkBytes(h.t, &h.Queue.letters)
	h.checkReplays()
}

// checkReplays checks the letters that are to be replayed: those that were not
// purged are kept, marked, and with one cursor.
func (h *harness) checkReplays() {
	h.t.Helper()
	with := make(map[*letter]bool)
	for _, m := range h.subs() {
		var numbers []uint64
		for _, d := range m.reader.cursor.replaysLocked() {
			numbers = append(numbers, d.Number)
			if with[d] {
				h.fatalf("letter %d is to be replayed twice", d.Number)
			}
			with[d] = true
		}
		if !slices.Equal(numbers, m.replays) {
			h.fatalf("%s of %s has %d to replay, want %d", m.key, m.list.name, numbers, m.replays)
		}
		if got := int(m.reader.cursor.replaying); got != m.replaying {
			h.fatalf("%s of %s replays %d letters, want %d", m.key, m.list.name, got, m.replaying)
		}
	}
	for _, d := range h.Queue.letters.kept {
		if d.replaying != with[d] {
			h.fatalf("letter %d is marked: %t, with a cursor: %t", d.Number, d.replaying, with[d])
		}
	}
}

func (h *harness) checkLetter(d *evid.DeadLetter, want modelLetter) {
	h.t.Helper()
	if d.Event != want.event || d.Socket.Key() != want.key || d.Count != want.count ||
		d.Attempts != want.attempts || d.Reason != want.reason || (d.Raised == nil) != want.lost {
		h.fatalf("letter %+v, want %+v", d, want)
	}
	if want.lost {
		h.checkRange(d, want)
	} else if d.FirstID != want.first || d.LastID != want.first || d.Raised.ID != want.first {
		h.fatalf("letter %d is about %v to %v, want %v", d.Number, d.FirstID, d.LastID, want.first)
	}
}

// checkRange checks the ids of a letter about events that were lost. They are not
// exact: others may have lost events before and after.
func (h *harness) checkRange(d *evid.DeadLetter, want modelLetter) {
	h.t.Helper()
	if d.FirstID.Compare(want.first) > 0 || d.LastID.Compare(want.last) < 0 {
		h.fatalf("%s has lost %v to %v, want %v to %v in it", want.key, d.FirstID, d.LastID, want.first, want.last)
	}
}
