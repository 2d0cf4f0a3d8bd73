package pike

import (
	"math/rand/v2"
	"testing"
)

// An address passes with its second request, though others come between, and hardly any with
// its first.
func TestSieve(t *testing.T) {
	const addrs, flooders = 100_000, 1000
	s := newSieve(addrs)
	r := rand.New(rand.NewPCG(1, 2))
	first := 0
	forge := func(n int) {
		for range n {
			if s.passes(r.Uint64()) {
				first++
			}
		}
	}
	forge(2 * addrs)
	hashes := make([]uint64, flooders)
	for i := range hashes {
		hashes[i] = r.Uint64()
		s.passes(hashes[i])
	}
	forge(addrs / 10)
	passed := 0
	for _, hash := range hashes {
		if s.passes(hash) {
			passed++
		}
	}
	if passed < flooders*99/100 {
		t.Errorf("%d of %d pass with their second request", passed, flooders)
	}
	if want := 2 * addrs * 2 / 64; first > want || first == 0 {
		t.Errorf("%d of %d pass with their first request, want some, but %d at most", first, 2*addrs, want)
	}
}
