package pike

import "sync/atomic"

// A node counts the hits of a prefix: those of addresses of which no longer one is in the
// tree. One whose state has no kind is a free place.
//
// Nodes are found and counted without a lock, while others come and go under that of their
// shard. That is right because a node stays in its place until it is removed, or all of its
// table move to other memory, and because all that happens to it there is a compare-and-swap
// of its state:
//
//   - A hit counts for the right prefix. Who counts it reads the state, then the prefix, and
//     then swaps the state. Had the node gone meanwhile, that would fail: the place would be
//     free, or have another generation.
//   - No hit is lost. A node is removed and moved by a swap of its state, too, which has seen
//     all hits before it; whoever comes after it fails, and searches again.
//   - What is to be done once, as to block an address, is: of two who do it one fails.
//   - Who does not find a node, and whose table did not move meanwhile, knows that it was not
//     there: see table.
type node struct {
	hi, lo  atomic.Uint64 // the prefix; written only while the place is free
	state   atomic.Uint64
	expires atomic.Uint32 // a second; no matter as long as it has kids
	further atomic.Uint32 // of the place: see table
}

// A state is one word, so that all of it changes at once.
type state uint64

const (
	kinds       state = 1<<6 - 1
	red         state = 1 << 6  // the address is blocked
	untold      state = 1 << 7  // that is still to be told
	wasHot      state = 1 << 8  // it had hits enough in the unit before
	chance      state = 1 << 9  // how often who evicts is to pass it over: 0 to 3
	kid         state = 1 << 11 // nodes with one byte more, and those who are about to add one: 10 bits
	generation  state = 1 << 21 // changes with each node in this place: 11 bits
	hit         state = 1 << 32 // hits in this unit
	chances           = 3 * chance
	kids              = generation - kid
	generations       = hit - generation
	hits              = ^(hit - 1)
)

// newState is the state of a new node.
func newState(k kind, hits uint32) state { return state(hits)*hit | state(k) }

func (s state) kind() kind   { return kind(s & kinds) }
func (s state) hits() uint32 { return uint32(s / hit) }

// counted is the state after one more hit.
func (s state) counted() state { return s + hit | chances }

// hot reports whether there were that many hits in this unit, or enough in the one before.
func (s state) hot(hits uint32) bool { return s.hits() >= hits || s&wasHot != 0 }

// swapped is the state in the next unit, if that many hits in this one are enough.
func (s state) swapped(enough uint32) state {
	next := s &^ (hits | wasHot)
	if s.hits() >= enough {
		next |= wasHot
	}
	return next
}

func (n *node) load() state { return state(n.state.Load()) }

// swap changes the state, if it is still the old one.
func (n *node) swap(old, next state) bool {
	return n.state.CompareAndSwap(uint64(old), uint64(next))
}

// is reports whether the node in this state is that of a prefix.
func (n *node) is(p prefix, s state) bool {
	return s.kind() == p.kind && n.hi.Load() == p.hi && n.lo.Load() == p.lo
}

// renew has a node expire then. Who counts a hit does so before it, so that no node with a
// hit expires early. If the node has gone, another one may be renewed that had no hit, which
// does no harm.
func (n *node) renew(expires uint32) {
	if n.expires.Load() != expires { // in most cases it is, and nothing is written
		n.expires.Store(expires)
	}
}

// What follows is done under the lock of the shard, where nodes stay.

func (n *node) prefix() prefix { return prefix{n.hi.Load(), n.lo.Load(), n.load().kind()} }

// set and clear change flags.
func (n *node) set(flags state)   { n.state.Or(uint64(flags)) }
func (n *node) clear(flags state) { n.state.And(^uint64(flags)) }

// loseKid counts one node less below this one, and returns the state.
func (n *node) loseKid() state { return state(n.state.Add(^uint64(kid - 1))) }

// put makes a node in a free place.
func (n *node) put(p prefix, s state, expires uint32) {
	n.hi.Store(p.hi)
	n.lo.Store(p.lo)
	n.expires.Store(expires)
	n.state.Store(uint64(s&^generations | (n.load()+generation)&generations))
}

// remove makes a free place of a node, if it is still in that state.
func (n *node) remove(s state) bool { return n.swap(s, s&generations) }

// take makes a free place of a node, and returns its state.
func (n *node) take() state { return state(n.state.Swap(0)) }
