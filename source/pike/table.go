package pike

import (
	"math/bits"
	"sync/atomic"
)

// A table finds nodes by their prefix: a hash table in which a node stands at the first free
// place from where its hash points to, and stays. Each place counts the nodes that were to
// stand there, or came by, and are further on: where there are none, a search ends. That is
// one piece of memory without pointers, which costs little, none of it for the garbage
// collector, and is easily given back.
//
// The lock of the shard is held, but by who finds.
type table struct {
	memory atomic.Pointer[memory] // nil: there are no nodes, or they are being moved
	seed   *seed
	count  int
}

type memory struct{ places []node }

// A table is at most 2/3 full, as finding takes long beyond that. It grows by half and
// shrinks when it is less than 2/5 full, so that a node takes 48 to 80 bytes.
const minPlaces = 16

func (m *memory) home(hash uint64) int {
	at, _ := bits.Mul64(hash, uint64(len(m.places)))
	return int(at)
}

// next is the place after i, round the end.
func (m *memory) next(i int) int {
	if i++; i < len(m.places) {
		return i
	}
	return 0
}

func (m *memory) find(p prefix, hash uint64) (*node, state) {
	i := m.home(hash)
	for range m.places {
		n := &m.places[i]
		if s := n.load(); n.is(p, s) {
			return n, s
		}
		if n.further.Load() == 0 {
			break
		}
		i = m.next(i)
	}
	return nil, 0
}

// find returns the node of a prefix and its state, nil if there is none. Without the lock
// that is not sure if nodes are being moved.
func (t *table) find(p prefix, hash uint64) (n *node, s state, sure bool) {
	m := t.memory.Load()
	if m == nil {
		return nil, 0, false
	}
	n, s = m.find(p, hash)
	return n, s, n != nil || t.memory.Load() == m
}

// places are those of all nodes, and the free ones.
func (t *table) places() []node {
	if m := t.memory.Load(); m != nil {
		return m.places
	}
	return nil
}

// put puts a node into the first free place. Others pass it until it has its state.
func (m *memory) put(p prefix, hash uint64, s state, expires uint32) {
	i := m.home(hash)
	for m.places[i].load().kind() != 0 {
		m.places[i].further.Add(1)
		i = m.next(i)
	}
	m.places[i].put(p, s, expires)
}

// insert adds a node for a prefix that has none.
func (t *table) insert(p prefix, hash uint64, s state, expires uint32) {
	if places := len(t.places()); 3*(t.count+1) > 2*places {
		t.move(places * 3 / 2)
	}
	t.count++
	t.memory.Load().put(p, hash, s, expires)
}

// remove removes the node at place i, if it is still in that state, and returns its prefix.
func (t *table) remove(i int, s state) (p prefix, removed bool) {
	m := t.memory.Load()
	p = m.places[i].prefix()
	if !m.places[i].remove(s) {
		return p, false
	}
	for j := m.home(t.seed.hash(p)); j != i; j = m.next(j) {
		m.places[j].further.Add(^uint32(0))
	}
	t.count--
	return p, true
}

// move moves all nodes to other memory.
func (t *table) move(places int) {
	from := t.places()
	to := &memory{make([]node, max(minPlaces, places))}
	t.memory.Store(nil) // who searches now waits for the lock
	for i := range from {
		n := &from[i]
		if p := n.prefix(); p.kind != 0 {
			s := n.take()
			to.put(p, t.seed.hash(p), s, n.expires.Load())
		}
	}
	t.memory.Store(to)
}

// shrink gives back memory that is not needed any more.
func (t *table) shrink() {
	switch places := len(t.places()); {
	case t.count == 0:
		t.memory.Store(nil)
	case 5*t.count < 2*places && places > minPlaces:
		t.move(2 * t.count)
	}
}
