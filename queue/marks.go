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

// marks are sorted by ordinal, and with that by position.
type marks []mark

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
}

// trim forgets the marks before a position.
func (m *marks) trim(before uint64) {
	n, _ := slices.BinarySearchFunc(*m, before, func(m mark, pos uint64) int { return cmp.Compare(m.pos, pos) })
	*m = slices.Delete(*m, 0, n)
}
