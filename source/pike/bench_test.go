package pike

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// plain is what a Pike costs more than: counters in a map, without limits, units, prefixes
// and expiry.
type plain struct {
	mu sync.Mutex
	m  map[netip.Addr]uint32
}

func (p *plain) check(addr netip.Addr) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.m[addr]++
	return p.m[addr]
}

func random4(r *rand.Rand) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], r.Uint32())
	return netip.AddrFrom4(b)
}

func random6(r *rand.Rand) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	return netip.AddrFrom16(b)
}

// within returns what makes addresses of one network.
func within(network string, random func(*rand.Rand) netip.Addr) func(*rand.Rand) netip.Addr {
	bits := netip.MustParsePrefix(network)
	return func(r *rand.Rand) netip.Addr {
		b, front := random(r).AsSlice(), bits.Addr().AsSlice()
		copy(b, front[:bits.Bits()/8])
		addr, _ := netip.AddrFromSlice(b)
		return addr
	}
}

func addresses(n int, random func(*rand.Rand) netip.Addr) []netip.Addr {
	r := rand.New(rand.NewPCG(1, 2))
	addrs := make([]netip.Addr, n)
	for i := range addrs {
		addrs[i] = random(r)
	}
	return addrs
}

// settle makes a Pike know addresses: each is in the tree as a whole.
func settle(p *Pike, addrs []netip.Addr) {
	for range 17 {
		for _, addr := range addrs {
			p.Check(addr)
		}
	}
}

// Checks of addresses that are known, by one caller, beside the same with plain counters.
func BenchmarkCheck(b *testing.B) {
	for _, bench := range []struct {
		name   string
		n      int
		random func(*rand.Rand) netip.Addr
	}{
		{"IPv4/1", 1, random4},
		{"IPv4/10k", 10_000, random4},
		{"IPv4/10k-of-one-/8", 10_000, within("10.0.0.0/8", random4)},
		{"IPv4/1M", 1_000_000, random4},
		{"IPv6/1", 1, random6},
		{"IPv6/10k", 10_000, random6},
		{"IPv6/10k-of-one-/32", 10_000, within("2001:db8::/32", random6)},
		{"IPv6/100k", 100_000, random6},
	} {
		addrs := addresses(bench.n, bench.random)
		check, count := both(b, addrs)
		run(b, bench.name, addrs, check)
		run(b, bench.name+"/plain", addrs, count)
	}
}

// both returns a check by a Pike, and one by plain counters, which know some addresses.
func both(b *testing.B, addrs []netip.Addr) (check, count func(addr netip.Addr)) {
	p := newPike(DefaultParams(), Options{}, MaxNodes)
	settle(p, addrs)
	if evicted := p.Stats().Evicted; evicted > 0 {
		b.Fatalf("%d evicted", evicted)
	}
	counters := &plain{m: make(map[netip.Addr]uint32)}
	for _, addr := range addrs {
		counters.check(addr)
	}
	return func(addr netip.Addr) { p.Check(addr) }, func(addr netip.Addr) { counters.check(addr) }
}

// run returns the nanoseconds that f takes for one of the addresses.
func run(b *testing.B, name string, addrs []netip.Addr, f func(addr netip.Addr)) (ns float64) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			f(addrs[i])
			if i++; i == len(addrs) {
				i = 0
			}
		}
		ns = float64(b.Elapsed()) / float64(b.N)
	})
	return ns
}

// Checks by one core, by all of them, each with addresses of its own, as with a socket for
// each network, and by all of them with the same addresses. That of all cores is the time from
// one check to the next of whichever core, and how many times as fast as one core they are.
func BenchmarkCores(b *testing.B) {
	cores := runtime.GOMAXPROCS(0)
	for _, bench := range []struct {
		name   string
		n      int // addresses of a core
		random func(*rand.Rand) netip.Addr
	}{
		{"IPv4/1", 1, random4},
		{"IPv4/10k", 10_000, random4},
		{"IPv4/500k", 500_000, random4},
		{"IPv6/10k", 10_000, random6},
	} {
		addrs := addresses(cores*bench.n, bench.random)
		check, count := both(b, addrs)
		for name, f := range map[string]func(addr netip.Addr){"": check, "/plain": count} {
			one := run(b, bench.name+name+"/one", addrs[:bench.n], f)
			runAll(b, bench.name+name+"/own", one, f, func(core int) []netip.Addr { return addrs[core*bench.n:][:bench.n] })
			runAll(b, bench.name+name+"/same", one, f, func(int) []netip.Addr { return addrs[:bench.n] })
		}
	}
}

func runAll(b *testing.B, name string, one float64, f func(addr netip.Addr), of func(core int) []netip.Addr) {
	b.Run(name, func(b *testing.B) {
		var cores atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			addrs := of(int(cores.Add(1) - 1))
			i := rand.IntN(len(addrs))
			for pb.Next() {
				f(addrs[i])
				if i++; i == len(addrs) {
					i = 0
				}
			}
		})
		b.ReportMetric(one/(float64(b.Elapsed())/float64(b.N)), "times-one-core")
	})
}

// A flood from addresses that come once each, with the tree full: each check evicts. The
// plain counters have as many addresses before they begin, and more and more then.
func BenchmarkFlood(b *testing.B) {
	for name, random := range map[string]func(*rand.Rand) netip.Addr{"IPv4": random4, "IPv6": random6} {
		p := newPike(DefaultParams(), Options{}, MaxNodes)
		r := rand.New(rand.NewPCG(1, 2))
		for range 3 * MaxNodes {
			p.Check(random(r))
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Check(random(r))
			}
			if s := p.Stats(); s.Nodes < MaxNodes*9/10 {
				b.Errorf("%+v", s)
			}
		})
		counters := &plain{m: make(map[netip.Addr]uint32)}
		for range MaxNodes {
			counters.check(random(r))
		}
		b.Run(name+"/plain", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				counters.check(random(r))
			}
		})
	}
}

// One tick at which a unit ends, with a million addresses.
func BenchmarkTick(b *testing.B) {
	p := newPike(DefaultParams(), Options{}, MaxNodes)
	settle(p, addresses(1_000_000, random4))
	for b.Loop() {
		p.swapAt = 0
		p.tick(1)
	}
}
