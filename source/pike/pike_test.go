package pike

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/evid/evid/mi"
)

var _ mi.Pike = (*Pike)(nil)

func addr(t testing.TB, text string) netip.Addr {
	t.Helper()
	a, err := netip.ParseAddr(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// until counts the checks until one has that result.
func until(t testing.TB, p *Pike, a netip.Addr, want Result) int {
	t.Helper()
	for n := 1; n < 1_000_000; n++ {
		switch result := p.Check(a); {
		case result == want:
			return n
		case result != Pass:
			t.Fatalf("Check(%v) = %d", a, result)
		}
	}
	t.Fatalf("Check(%v) is never %d", a, want)
	return 0
}

// An address that nobody comes near takes as many requests as the manual says at most, and
// a neighbour no more than x for itself.
func TestLimits(t *testing.T) {
	for _, x := range []int{2, 3, 4, 5, 7, 8, 16, 30, 31, 100, 1000, 65536} {
		params := DefaultParams()
		params.Density = x
		p := New(params, Options{})
		for _, test := range []struct {
			first, neighbour string
			most             int
		}{
			{"193.175.132.164", "193.175.132.142", 3 * x},
			{"2001:db8::a", "2001:db8::b", 9 * x},
		} {
			if n := until(t, p, addr(t, test.first), Detected); n < x || n > test.most {
				t.Errorf("x = %d: %s is blocked with request %d, want %d to %d", x, test.first, n, x, test.most)
			}
			if n := until(t, p, addr(t, test.neighbour), Detected); n < x || n > x+2 {
				t.Errorf("x = %d: %s is blocked with request %d, want about %d", x, test.neighbour, n, x)
			}
			if result := p.Check(addr(t, test.first)); result != Blocked {
				t.Errorf("x = %d: then Check = %d, want %d", x, result, Blocked)
			}
		}
	}
}

// With the defaults, in numbers.
func TestDefaultLimits(t *testing.T) {
	p := New(DefaultParams(), Options{})
	for address, want := range map[string]int{"192.0.2.1": 39, "2001:db8::1": 51} {
		if n := until(t, p, addr(t, address), Detected); n != want {
			t.Errorf("%s is blocked with request %d, want %d", address, n, want)
		}
	}
}

// An IPv4 address is the same one in IPv6 clothes, and zones make no difference.
func TestOneAddressInTwoForms(t *testing.T) {
	p := New(DefaultParams(), Options{})
	until(t, p, addr(t, "192.0.2.1"), Detected)
	until(t, p, addr(t, "fe80::1%eth0"), Detected)
	for _, address := range []string{"::ffff:192.0.2.1", "fe80::1%eth1", "fe80::1"} {
		if result := p.Check(addr(t, address)); result != Blocked {
			t.Errorf("Check(%s) = %d, want %d", address, result, Blocked)
		}
	}
	want := []netip.Addr{addr(t, "192.0.2.1"), addr(t, "fe80::1")}
	if got := p.Blocked(); !slices.Equal(got, want) {
		t.Errorf("blocked: %v, want %v", got, want)
	}
}

// IPv4 and IPv6 addresses that begin with the same bytes have nothing to do with each other.
func TestFamiliesAreApart(t *testing.T) {
	p := New(DefaultParams(), Options{})
	until(t, p, addr(t, "2001:db8::1"), Detected)
	if n := until(t, p, addr(t, "32.1.13.184"), Detected); n != 39 {
		t.Errorf("blocked with request %d, want 39", n)
	}
}

func TestNoAddress(t *testing.T) {
	p := New(Params{Unit: 1, Density: 1}, Options{})
	for range 100 {
		if result := p.Check(netip.Addr{}); result != Pass {
			t.Fatalf("Check = %d, want %d", result, Pass)
		}
	}
	if known, blocked := p.Unblock(netip.Addr{}); known || blocked {
		t.Error("no address is known")
	}
}

func TestUnblock(t *testing.T) {
	p := New(DefaultParams(), Options{})
	a := addr(t, "192.0.2.1")
	until(t, p, a, Detected)
	for _, step := range []struct {
		addr           string
		known, blocked bool
	}{
		{"192.0.2.2", false, false},
		{"2001:db8::1", false, false},
		{"::ffff:192.0.2.1", true, true},
		{"192.0.2.1", true, false},
	} {
		if known, blocked := p.Unblock(addr(t, step.addr)); known != step.known || blocked != step.blocked {
			t.Errorf("Unblock(%s) = %t, %t, want %t, %t", step.addr, known, blocked, step.known, step.blocked)
		}
	}
	if n := until(t, p, a, Detected); n != 30 {
		t.Errorf("it is blocked again with request %d, want 30", n)
	}
	want := []change{{a, true}, {a, false}, {a, true}}
	if got := drain(p); !slices.Equal(got, want) {
		t.Errorf("told: %v, want %v", got, want)
	}
}

// An address that expires before its unit is over is unblocked, and that is told: with a
// unit of 10 seconds, hits in second 10 keep it blocked at 20, and at 21 it expires.
func TestExpireBlocked(t *testing.T) {
	p := New(Params{Unit: 10, Density: 30, RemoveLatency: 1}, Options{})
	a := addr(t, "192.0.2.1")
	for second := range uint32(10) {
		p.tick(second + 1)
	}
	until(t, p, a, Detected)
	for second := uint32(11); second <= 21; second++ {
		if len(p.Blocked()) != 1 {
			t.Errorf("it is unblocked before second %d", second)
		}
		p.tick(second)
	}
	if got, want := drain(p), []change{{a, true}, {a, false}}; !slices.Equal(got, want) {
		t.Errorf("told: %v, want %v", got, want)
	}
	if s := p.Stats(); s.Blocked != 0 {
		t.Errorf("%+v", s)
	}
}

// When nobody takes what is to be told, an address is told of later if it is still blocked,
// and unblocked once that can be told.
func TestNoRoomToTell(t *testing.T) {
	params := DefaultParams()
	params.Density = 2
	p := New(params, Options{})
	addrs := addresses(maxChanges+2, within("10.0.0.0/8", random4))
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	flood := func() {
		for _, a := range addrs {
			for range 8 {
				p.Check(a)
			}
		}
	}
	flood()
	if got := p.Stats(); got.Blocked != len(addrs) || got.Lost != 0 {
		t.Fatalf("%+v, want %d blocked", got, len(addrs))
	}
	p.tick(1)
	told := drain(p)
	if len(told) != maxChanges {
		t.Fatalf("%d are told, want %d", len(told), maxChanges)
	}
	p.tick(2)
	rest := drain(p)
	if told = append(told, rest...); len(told) != len(addrs) {
		t.Fatalf("%d are told after a tick, want %d", len(told), len(addrs))
	}
	checkTree(t, p)

	p.tick(4) // they are unblocked, as far as there is room to tell
	left := p.Stats().Blocked
	if left != len(addrs)-maxChanges || len(p.Blocked()) != left {
		t.Fatalf("%d are still blocked, want %d", left, len(addrs)-maxChanges)
	}
	told = append(told, drain(p)...)
	p.tick(6)
	if told = append(told, drain(p)...); len(told) != 2*len(addrs) || p.Stats().Blocked != 0 || p.Stats().Lost != 0 {
		t.Errorf("%d are told, want %d; %+v", len(told), 2*len(addrs), p.Stats())
	}
	seen := make(map[netip.Addr]bool)
	for _, c := range told {
		if seen[c.addr] == c.blocked {
			t.Fatalf("%v is told twice, or unblocked first", c)
		}
		seen[c.addr] = c.blocked
	}
	checkTree(t, p)
}

// Who was never told of is counted.
func TestNeverTold(t *testing.T) {
	params := DefaultParams()
	p := New(params, Options{})
	for p.tell(change{}) {
		continue
	}
	until(t, p, addr(t, "192.0.2.1"), Detected)
	until(t, p, addr(t, "192.0.2.2"), Detected)
	drain(p)
	for p.tell(change{}) {
		continue
	}
	for second := range uint32(5) {
		p.tick(second + 1)
	}
	if got := p.Stats(); got.Lost != 2 || got.Blocked != 0 || got.Detected != 2 {
		t.Errorf("%+v, want 2 lost", got)
	}
	drain(p)
	until(t, p, addr(t, "192.0.2.1"), Detected)
	for p.tell(change{}) {
		continue
	}
	if known, blocked := p.Unblock(addr(t, "192.0.2.1")); !known || !blocked {
		t.Error("an operator has to wait for who is told")
	}
	if got := p.Stats(); got.Lost != 3 || got.Blocked != 0 {
		t.Errorf("%+v, want 3 lost", got)
	}
}

// With the tree full of forged addresses, a flooder is found out, and stays blocked, and
// there are never more nodes than there may be. So it is if each forged address comes twice,
// and passes the sieve.
func TestFloodBeyondTheBound(t *testing.T) {
	for name, random := range map[string]func(*rand.Rand) netip.Addr{
		"IPv4": random4, "IPv6": random6, "one /8": within("10.0.0.0/8", random4), "one /32": within("2001:db8::/32", random6),
	} {
		t.Run(name+" once", func(t *testing.T) { floodBeyondTheBound(t, random, 1) })
		t.Run(name+" twice", func(t *testing.T) { floodBeyondTheBound(t, random, 2) })
	}
}

func floodBeyondTheBound(t *testing.T, random func(*rand.Rand) netip.Addr, times int) {
	const maxNodes = 20_000
	p := newPike(DefaultParams(), Options{}, maxNodes)
	r := rand.New(rand.NewPCG(1, 2))
	forge := func(n int) {
		for range n / times {
			forged := random(r)
			for range times {
				if result := p.Check(forged); result != Pass {
					t.Fatalf("a forged address is %d", result)
				}
			}
		}
	}
	forge(5 * maxNodes)
	if got := p.Stats(); got.Evicted == 0 || got.Nodes > maxNodes || got.Nodes < maxNodes*9/10 {
		t.Fatalf("%+v, want nearly %d nodes", got, maxNodes)
	}
	for _, address := range []string{"192.0.2.1", "2001:db8:1::1", "10.1.2.3"} {
		flooder := addr(t, address)
		for n := 1; ; n++ {
			forge(200)
			if p.Check(flooder) == Detected {
				break
			}
			if n == 60 {
				t.Fatalf("%s is not found out with %d requests", address, n)
			}
		}
		for range 100 {
			forge(200)
			if result := p.Check(flooder); result != Blocked {
				t.Fatalf("%s is %d, want %d", address, result, Blocked)
			}
		}
	}
	if got := p.Stats(); got.Nodes > maxNodes || got.Refused > 0 {
		t.Errorf("%+v", got)
	}
	checkTree(t, p)
}

// So it is as time goes on, and prefixes are not hot any more, nodes expire, and there is
// room again and then none.
func TestFloodInTime(t *testing.T) {
	params := DefaultParams()
	params.RemoveLatency = 10
	p := newPike(params, Options{}, 20_000)
	r := rand.New(rand.NewPCG(1, 2))
	flooders := []netip.Addr{addr(t, "192.0.2.1"), addr(t, "2001:db8:1::1")}
	short, room := 0, 0
	for second := uint32(1); second <= 60; second++ {
		for i := range 8000 {
			p.Check(random4(r))
			if i%200 != 0 {
				continue
			}
			for _, flooder := range flooders {
				if result := p.Check(flooder); result != Blocked && second > 4 {
					t.Fatalf("%v is %d in second %d", flooder, result, second)
				}
			}
		}
		p.tick(second)
		drain(p)
		if p.sieve.Load() != nil {
			short++
		} else if short > 0 {
			room++
		}
	}
	if s := p.Stats(); s.Detected != 2 || s.Evicted == 0 || short == 0 || room == 0 {
		t.Errorf("%+v, for %d seconds no room, then for %d", s, short, room)
	}
	checkTree(t, p)
}

// When all that there is room for is being hit, it stays, new addresses are refused, counted,
// and the rest goes on.
func TestNoRoom(t *testing.T) {
	const maxNodes = 5000
	p := newPike(Params{Unit: 2, Density: 1, RemoveLatency: 120}, Options{}, maxNodes)
	known := 0
	number := func(second byte, i int) netip.Addr {
		return netip.AddrFrom4([4]byte{10, second, byte(i / 250), byte(i % 250)})
	}
	for ; p.Stats().Nodes < maxNodes; known++ {
		for p.Check(number(0, known)) == Pass {
			continue
		}
	}
	for round := range 50 {
		for i := range known {
			if result := p.Check(number(0, i)); result != Blocked {
				t.Fatalf("round %d: one of those that are known is %d, want %d", round, result, Blocked)
			}
		}
		p.Check(number(1, round))
		p.Check(number(1, round))
	}
	if got := p.Stats(); got.Nodes > maxNodes || got.Refused == 0 {
		t.Errorf("%+v", got)
	}
	checkTree(t, p)
}

// All at the same time, with a bound, so that the race detector sees it.
func TestConcurrently(t *testing.T) {
	p := newPike(Params{Unit: 1, Density: 4, RemoveLatency: 2}, Options{}, 3000)
	var others sync.WaitGroup
	for id := range uint64(4) {
		others.Go(func() {
			r := rand.New(rand.NewPCG(id, 2))
			some := neighbours(r, 100)
			for range 20_000 {
				p.Check(some[r.IntN(len(some))])
				p.Check(random4(r))
				p.Check(random6(r))
			}
		})
	}
	others.Go(func() {
		for second := range uint32(200) {
			p.tick(second)
			for i, a := range p.Blocked() {
				if i%2 == 0 {
					p.Unblock(a)
				}
			}
			drain(p)
		}
	})
	others.Wait()
	if got := p.Stats(); got.Nodes > 3000 || got.Detected == 0 || got.Evicted == 0 {
		t.Errorf("%+v", got)
	}
	checkTree(t, p)
}
