package queue

import (
	"math"

	"github.com/evid/evid"
)

// An entry is an event in a list, and how many cursors stand right before it.
type entry struct {
	event   *evid.Event
	pos     uint64 // of its chunk in the event log; 0: there is none
	size    int
	readers int
}

// A ring holds the entries of a list, addressed by ordinal: the count of events
// that were appended to the list before it. It holds those from head up to, not
// including, tail. It grows as needed; empty, it keeps room for few.
type ring struct {
	entries    []entry // a power of two; the entry of ordinal n is at n modulo that
	head, tail uint64
	bytes      int
}

// smallestRing is room for more than what a subscriber is handed at a time: who keeps
// up with bursts of that many costs no allocation.
const smallestRing = 64

func (r *ring) len() int { return int(r.tail - r.head) }

// firstPos is where in the event log the oldest is.
func (r *ring) firstPos() uint64 {
	if r.len() == 0 {
		return math.MaxUint64
	}
	return r.at(r.head).pos
}

// at returns the entry of an ordinal in [head, tail).
func (r *ring) at(ordinal uint64) *entry {
	return &r.entries[ordinal&uint64(len(r.entries)-1)]
}

func (r *ring) push(e entry) {
	if r.len() == len(r.entries) {
		r.reserve(1)
	}
	r.tail++
	*r.at(r.tail - 1) = e
	r.bytes += e.size
}

// pop drops the oldest entry.
func (r *ring) pop() {
	oldest := r.at(r.head)
	r.bytes -= oldest.size
	*oldest = entry{}
	r.head++
	if r.head == r.tail && len(r.entries) > smallestRing {
		r.entries = nil
	}
}

// reserve makes room for so many more.
func (r *ring) reserve(more int) {
	room := max(smallestRing, len(r.entries))
	for room < r.len()+more {
		room *= 2
	}
	if room == len(r.entries) {
		return
	}
	grown := ring{entries: make([]entry, room), head: r.head, tail: r.tail}
	for n := r.head; n != r.tail; n++ {
		*grown.at(n) = *r.at(n)
	}
	r.entries = grown.entries
}
