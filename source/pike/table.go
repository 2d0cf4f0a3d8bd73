package pike

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
)

// A prefix is the first bytes of an address.
type prefix struct {
	hi, lo uint64 // the bytes, the first one highest, and zeros
	kind   kind
}

// A kind says how many bytes a prefix has, and of what: 1 to 4 for IPv4, ipv6 + 1 to
// ipv6 + 16 for IPv6.
type kind uint8

const (
	ipv6     kind = 32
	fullIPv4      = 4
	fullIPv6      = ipv6 + 16
)

// prefixOf returns a whole address. Its zone is no part of it: whoever sends can have any.
func prefixOf(addr netip.Addr) (p prefix, ok bool) {
	addr = addr.Unmap()
	switch {
	case addr.Is4():
		b := addr.As4()
		return prefix{hi: uint64(binary.BigEndian.Uint32(b[:])) << 32, kind: fullIPv4}, true
	case addr.Is6():
		b := addr.As16()
		return prefix{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), fullIPv6}, true
	default:
		return prefix{}, false
	}
}

// addr is the reverse of prefixOf.
func (p prefix) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], p.hi)
	binary.BigEndian.PutUint64(b[8:], p.lo)
	if p.kind == fullIPv4 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}

// bytes is how many bytes the prefix has: its depth in the tree.
func (p prefix) bytes() int { return int(p.kind &^ ipv6) }

func (p prefix) full() bool { return p.kind == fullIPv4 || p.kind == fullIPv6 }

// cut is how many bytes of an address decide about its shard. Shorter prefixes are in the
// top. It is less for IPv4, as the first byte of IPv4 addresses differs more.
func (p prefix) cut() int {
	if p.kind > ipv6 {
		return 3
	}
	return 2
}

// first returns the first n bytes, of as many or more.
func (p prefix) first(n int) prefix {
	p.kind = p.kind&ipv6 | kind(n)
	if n <= 8 {
		p.hi &= ^uint64(0) << (64 - 8*n)
		p.lo = 0
	} else {
		p.lo &= ^uint64(0) << (128 - 8*n)
	}
	return p
}

// A node counts the hits of a prefix: those of addresses of which no longer one is in the
// tree. One without a kind is a free place.
type node struct {
	hi, lo    uint64
	now, last uint32 // hits in this unit and in the one before
	expires   uint32 // a second; no matter as long as it has kids
	kids      uint16 // nodes with one byte more
	kind      kind
	flags     flags
}

type flags uint8

const (
	used   flags = 1 << iota // it had a hit since the hand that evicts came by
	red                      // the address is blocked
	untold                   // that is still to be told
)

func (n *node) prefix() prefix { return prefix{n.hi, n.lo, n.kind} }

// hot reports whether there were that many hits in this unit or the one before.
func (n *node) hot(hits uint32) bool { return n.now >= hits || n.last >= hits }

// A seed keeps others from finding prefixes with the same hash.
type seed [3]uint64

func newSeed() *seed { return &seed{rand.Uint64(), rand.Uint64(), rand.Uint64()} }

func (s *seed) hash(p prefix) uint64 {
	hi, lo := bits.Mul64(p.hi^s[0], p.lo^s[1])
	hi, lo = bits.Mul64(hi^lo, s[2]^uint64(p.kind))
	return hi ^ lo
}

// A table finds nodes by their prefix: a hash table in which a node stands at the first
// free place from where its hash points to. That is one piece of memory without pointers,
// which costs little, none of it for the garbage collector, and is easily given back.
type table struct {
	seed  *seed
	nodes []node
	count int
	max   int // nodes that there ever are
	hand  int // how far evicting has got: see Pike.evictNext
}

// A table is at most 3/4 full, as finding takes long beyond that. It grows by half and
// shrinks when it is less than 2/5 full, so that a node takes 43 to 80 bytes.
const minPlaces = 16

func (t *table) home(p prefix) int {
	at, _ := bits.Mul64(t.seed.hash(p), uint64(len(t.nodes)))
	return int(at)
}

// next is the place after i, round the end.
func (t *table) next(i int) int {
	if i++; i < len(t.nodes) {
		return i
	}
	return 0
}

// find returns the node of a prefix, which stays where it is until the next insert or
// remove; nil if there is none.
func (t *table) find(p prefix) *node {
	if t.count == 0 {
		return nil
	}
	for i := t.home(p); ; i = t.next(i) {
		n := &t.nodes[i]
		if n.kind == 0 {
			return nil
		}
		if n.hi == p.hi && n.lo == p.lo && n.kind == p.kind {
			return n
		}
	}
}

// longest returns the node of the longest prefix of an address with low to high bytes, nil
// if there is none. With a node there are all those above it. They are tried from the shortest
// on: in a flood from forged addresses the longest one is short, and elsewhere short ones are
// few and thus quickly read.
func (t *table) longest(full prefix, low, high int) (longest *node) {
	for ; low <= high; low++ {
		n := t.find(full.first(low))
		if n == nil {
			break
		}
		longest = n
	}
	return longest
}

// insert adds a node for a prefix that has none.
func (t *table) insert(p prefix) *node {
	if 4*(t.count+1) > 3*len(t.nodes) {
		t.resize(min(len(t.nodes)*3/2, t.max*4/3+1))
	}
	t.count++
	n := t.place(p)
	*n = node{hi: p.hi, lo: p.lo, kind: p.kind}
	return n
}

// place returns the free place for a prefix.
func (t *table) place(p prefix) *node {
	i := t.home(p)
	for t.nodes[i].kind != 0 {
		i = t.next(i)
	}
	return &t.nodes[i]
}

func (t *table) resize(places int) {
	old := t.nodes
	t.nodes = make([]node, max(minPlaces, places))
	for i := range old {
		if old[i].kind != 0 {
			*t.place(old[i].prefix()) = old[i]
		}
	}
}

// remove removes the node at place i, where another one may stand then: those behind move
// up, so that each is still found from where its hash points to.
func (t *table) remove(i int) {
	for j := t.next(i); t.nodes[j].kind != 0; j = t.next(j) {
		home := t.home(t.nodes[j].prefix())
		if i < j && i < home && home <= j || i > j && (i < home || home <= j) {
			continue // it would be before that
		}
		t.nodes[i] = t.nodes[j]
		i = j
	}
	t.nodes[i] = node{}
	t.count--
}

// shrink gives back memory that is not needed any more.
func (t *table) shrink() {
	switch {
	case t.count == 0:
		t.nodes = nil
	case 5*t.count < 2*len(t.nodes) && len(t.nodes) > minPlaces:
		t.resize(2 * t.count)
	}
}
