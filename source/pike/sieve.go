package pike

import (
	"math/bits"
	"sync/atomic"
)

// A sieve holds back addresses that come only once, when there is no more room for nodes. It
// remembers the last four addresses in each of its words, by a byte of their hash: the last
// one in the lowest byte. Words are changed without a lock. If two are at it, one address is
// forgotten, and needs one more request.
type sieve []atomic.Uint32

// newSieve returns a sieve that remembers so many addresses.
func newSieve(addrs int) *sieve {
	s := make(sieve, addrs/4+1)
	return &s
}

// passes reports whether an address with this hash has come before, of late. One in 64 that
// have not is mistaken for one that has.
func (s sieve) passes(hash uint64) bool {
	i, rest := bits.Mul64(hash, uint64(len(s)))
	old, tag := s[i].Load(), uint32(rest>>56)
	if hasByte(old, tag) {
		return true
	}
	s[i].Store(old<<8 | tag)
	return false
}

// hasByte reports whether one of the bytes of a word is b.
func hasByte(word, b uint32) bool {
	const low, high = 0x01010101, 0x80808080
	word ^= b * low // then that byte is 0
	return (word-low)&^word&high != 0
}
