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

// A seed keeps others from finding prefixes with the same hash.
type seed [3]uint64

func newSeed() *seed { return &seed{rand.Uint64(), rand.Uint64(), rand.Uint64()} }

func (s *seed) hash(p prefix) uint64 {
	hi, lo := bits.Mul64(p.hi^s[0], p.lo^s[1])
	hi, lo = bits.Mul64(hi^lo, s[2]^uint64(p.kind))
	return hi ^ lo
}
