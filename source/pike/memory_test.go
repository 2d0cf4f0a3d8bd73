//go:build !race

package pike

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
)

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// mostMemory is what a Pike may take.
const mostMemory = 200_000_000

// A million IPv4 addresses are there as a whole, and a million IPv6 ones as far as they
// send. Whatever then comes, it takes no more memory, and a flooder among it is found out.
// All memory is given back.
func TestMemory(t *testing.T) {
	const n = 1_000_000
	before := heap()
	p := newPike(DefaultParams(), Options{}, MaxNodes)
	taken := func() int64 {
		t.Helper()
		s, bytes := p.Stats(), heap()-before
		t.Logf("%d MB, %d bytes a node, %+v", bytes/1_000_000, bytes/int64(max(1, s.Nodes)), s)
		if bytes > mostMemory || s.Nodes > MaxNodes {
			t.Errorf("%d bytes are taken for %d nodes, want at most %d", bytes, s.Nodes, mostMemory)
		}
		return bytes
	}
	addrs := addresses(n, random4)
	before += int64(n) * 24 // those
	for range 5 {
		for _, a := range addrs {
			p.Check(a)
		}
	}
	taken()
	whole := 0
	for _, a := range addrs {
		full, _ := prefixOf(a)
		hash := p.seed.hash(full)
		if n, _ := p.shard(hash).find(full, hash); n != nil {
			whole++
		}
	}
	if whole != n || p.Stats().Evicted > 0 {
		t.Errorf("%d of %d addresses are there as a whole, %+v", whole, n, p.Stats())
	}
	clear(addrs)

	r := rand.New(rand.NewPCG(3, 4))
	mixed := func(r *rand.Rand) netip.Addr {
		if r.IntN(2) == 0 {
			return random4(r)
		}
		return random6(r)
	}
	for _, random := range []func(*rand.Rand) netip.Addr{
		random6, mixed, within("2001:db8::/32", random6), within("10.0.0.0/8", random4),
	} {
		for range 2 {
			for range n {
				p.Check(random(r))
			}
			taken()
		}
		flooder, found := random(r), 0
		for i := 1; i <= 200 && found == 0; i++ {
			for range 1000 {
				p.Check(random(r))
			}
			if p.Check(flooder) == Detected {
				found = i
			}
		}
		if found == 0 || found > 9*p.params.Density {
			t.Errorf("a flooder is found out with request %d", found)
		}
		t.Logf("a flooder is found out with request %d", found)
	}

	for second := uint32(1); p.Stats().Nodes > 0 && second < 3000; second++ {
		p.tick(second)
		drain(p)
	}
	if s := p.Stats(); s.Nodes > 0 || s.Blocked > 0 {
		t.Errorf("it is not over: %+v", s)
	}
	if left := taken(); left > 2_000_000 {
		t.Errorf("%d bytes are left", left)
	}
	runtime.KeepAlive(addrs)
}

// Checks allocate nothing, whatever comes of them, as long as no new node needs room.
func TestCheckAllocates(t *testing.T) {
	p := New(DefaultParams(), Options{})
	r := rand.New(rand.NewPCG(1, 2))
	ipv4, ipv6 := random4(r), random6(r)
	if n := testing.AllocsPerRun(1000, func() { p.Check(ipv4); p.Check(ipv6) }); n != 0 {
		t.Errorf("a check of an address allocates %v times", n)
	}
	p = newPike(DefaultParams(), Options{}, 10_000)
	flood := func() { p.Check(random4(r)); p.Check(random6(r)) }
	for range 100_000 {
		flood()
	}
	if n := testing.AllocsPerRun(1000, flood); n != 0 {
		t.Errorf("a check of a forged address allocates %v times", n)
	}
	// Nor are tables moved all the time, which is seldom, and much then.
	var before, after runtime.MemStats
	const checks = 200_000
	runtime.ReadMemStats(&before)
	for range checks / 4 {
		a, b := random4(r), random6(r)
		for range 2 { // to pass the sieve
			p.Check(a)
			p.Check(b)
		}
	}
	runtime.ReadMemStats(&after)
	if bytes := float64(after.TotalAlloc-before.TotalAlloc) / checks; bytes > 2 {
		t.Errorf("a check of a forged address allocates %.1f bytes", bytes)
	}
}

// When other addresses come than those that there is no more room for, their nodes take no
// more memory.
func TestMemoryMoves(t *testing.T) {
	p := newPike(DefaultParams(), Options{}, 20_000)
	r := rand.New(rand.NewPCG(1, 2))
	for _, random := range []func(*rand.Rand) netip.Addr{random6, within("10.1.0.0/16", random4), random4} {
		for range 100_000 {
			a := random(r)
			for range 3 {
				p.Check(a)
			}
		}
		if s := p.Stats(); s.Nodes < 19_000 {
			t.Errorf("%+v", s)
		}
		checkTree(t, p) // among other things, that tables are not too empty
	}
}
