package queue

import (
	"cmp"
	"slices"

	"github.com/evid/evid"
)

// A mark says where in the event log an event of a list is.
type mark struct {
	ordinal uint64
	pos     uint64 // of its chunk
	id      evid.ID
}

// marksApart is how many chunks are at least between two marks of a list: what is
// between them is found by reading on.
const marksApart = 32

// maxMarks is how many marks a list has, at most: with more some go.
const maxMarks = 1024

// marks are sorted by ordinal, and with that by position.
type marks []mark

// markLocked notes in which chunk the next event is that is appended. Once for each chunk is
// enough.
func (l *list) markLocked(pos uint64, id evid.ID) {
	if l.behind == 0 {
		l.marks.forget(l.ring.head)
	}
	l.marks.add(mark{l.ring.tail, pos, id})
}

// before returns the last mark that is not after an ordinal; the zero mark: there is
// none.
func (m marks) before(ordinal uint64) mark {
	at, found := slices.BinarySearchFunc(m, ordinal, func(m mark, ordinal uint64) int { return cmp.Compare(m.ordinal, ordinal) })
	switch {
	case found:
		return m[at]
	case at == 0:
		return mark{}
	default:
		return m[at-1]
	}
}

// add adds a mark unless there is one close before it.
func (m *marks) add(added mark) {
	if last := m.before(added.ordinal); last.pos != 0 && added.pos < last.pos+marksApart {
		return
	}
	at, _ := slices.BinarySearchFunc(*m, added.ordinal, func(m mark, ordinal uint64) int { return cmp.Compare(m.ordinal, ordinal) })
	*m = slices.Insert(*m, at, added)
	if len(*m) > maxMarks {
		m.thin()
	}
}

// thin leaves about half of what there may be, as far apart everywhere.
func (m *marks) thin() {
	all := *m
	apart := 2 * (all[len(all)-1].pos - all[0].pos) / maxMarks
	kept := all[:1]
	for _, next := range all[1:] {
		if next.pos >= kept[len(kept)-1].pos+apart {
			kept = append(kept, next)
		}
	}
	clear(all[len(kept):])
	*m = kept
}

// forget forgets what is before an ordinal, but for the last: nobody is behind it.
func (m *marks) forget(ordinal uint64) {
	n, _ := slices.BinarySearchFunc(*m, ordinal, func(m mark, ordinal uint64) int { return cmp.Compare(m.ordinal, ordinal) })
	if n > 1 {
		*m = slices.Delete(*m, 0, n-1)
	}
}

// trim forgets the marks before a position, but for the last: it says which events were
// lost at the earliest.
func (m *marks) trim(before uint64) {
	n, _ := slices.BinarySearchFunc(*m, before, func(m mark, pos uint64) int { return cmp.Compare(m.pos, pos) })
	if n > 1 {
		*m = slices.Delete(*m, 0, n-1)
	}
}
