package pike

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
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

// Checks of addresses that are known, by one caller and by as many as there are cores, and
// of those that come once each, beside the same with plain counters.
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
		p := newPike(DefaultParams(), Options{}, MaxNodes)
		settle(p, addrs)
		if evicted := p.Stats().Evicted; evicted > 0 {
			b.Fatalf("%s: %d evicted", bench.name, evicted)
		}
		run(b, bench.name, addrs, func(addr netip.Addr) { p.Check(addr) })
		counters := &plain{m: make(map[netip.Addr]uint32)}
		for _, addr := range addrs {
			counters.check(addr)
		}
		run(b, bench.name+"/plain", addrs, func(addr netip.Addr) { counters.check(addr) })
	}
}

func run(b *testing.B, name string, addrs []netip.Addr, f func(addr netip.Addr)) {
	b.Run(name+"/one", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			f(addrs[i])
			if i++; i == len(addrs) {
				i = 0
			}
		}
	})
	b.Run(name+"/all", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			i := rand.IntN(len(addrs))
			for pb.Next() {
				f(addrs[i])
				if i++; i == len(addrs) {
					i = 0
				}
			}
		})
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
