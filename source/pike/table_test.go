package pike

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestPrefix(t *testing.T) {
	for _, test := range []struct {
		addr   string
		bytes  int
		want   string // as a whole address
		isFull bool
	}{
		{"192.0.2.11", 4, "192.0.2.11", true},
		{"192.0.2.11", 1, "192.0.0.0", false},
		{"192.0.2.11", 3, "192.0.2.0", false},
		{"::ffff:192.0.2.11", 4, "192.0.2.11", true},
		{"2001:db8:1:2:3:4:5:6789", 16, "2001:db8:1:2:3:4:5:6789", true},
		{"fe80::1%eth0", 16, "fe80::1", true},
		{"2001:db8:1:2:3:4:5:6789", 15, "2001:db8:1:2:3:4:5:6700", false},
		{"2001:db8:1:2:3:4:5:6789", 9, "2001:db8:1:2::", false},
		{"2001:db8:1:203:3:4:5:6789", 8, "2001:db8:1:203::", false},
		{"2001:db8:1:203:3:4:5:6789", 1, "2000::", false},
	} {
		full, ok := prefixOf(netip.MustParseAddr(test.addr))
		if !ok || !full.full() {
			t.Fatalf("%s is no address", test.addr)
		}
		got := full.first(test.bytes)
		want, _ := prefixOf(netip.MustParseAddr(test.want))
		if got.hi != want.hi || got.lo != want.lo || got.bytes() != test.bytes || got.full() != test.isFull {
			t.Errorf("%d bytes of %s: %+v, want those of %s", test.bytes, test.addr, got, test.want)
		}
		if test.isFull && got.addr().String() != test.want {
			t.Errorf("%s is %s, want %s", test.addr, got.addr(), test.want)
		}
	}
	if _, ok := prefixOf(netip.Addr{}); ok {
		t.Error("no address is one")
	}
}

// A table has what a map has.
func TestTable(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	seed := newSeed()
	table := table{seed: seed}
	want := make(map[prefix]uint32)
	for step := range 50_000 {
		at := prefix{hi: uint64(r.IntN(1000)), kind: fullIPv6}
		switch _, there := want[at]; {
		case !there && len(want) < 600 && step%5000 < 3000:
			hits := r.Uint32()
			table.insert(at, seed.hash(at), newState(at.kind, hits), 0)
			want[at] = hits
		case there && step%5000 >= 2000:
			for i := range table.places() {
				if n := &table.places()[i]; n.prefix() == at {
					table.remove(i, n.load())
					break
				}
			}
			delete(want, at)
			if r.IntN(100) == 0 {
				table.shrink()
			}
		}
		if table.count != len(want) {
			t.Fatalf("step %d: %d nodes, want %d", step, table.count, len(want))
		}
		hits, there := want[at]
		if n, s, _ := table.find(at, seed.hash(at)); (n != nil) != there || there && s.hits() != hits {
			t.Fatalf("step %d: find gives %v, %x, want %d, %t", step, n, s, hits, there)
		}
	}
	if places := len(table.places()); places > 600*5/2 {
		t.Errorf("the table has %d places", places)
	}
	for i := range table.places() {
		if n := &table.places()[i]; n.load().kind() != 0 {
			table.remove(i, n.load())
		}
	}
	for i := range table.places() {
		if n := &table.places()[i]; n.load().kind() != 0 || n.further.Load() != 0 {
			t.Fatalf("an empty table has a node, or says that there are some further on")
		}
	}
}

// Who has found a node cannot count a hit for another one that came to its place, nor for
// the same one that has gone and come again.
func TestGoneNode(t *testing.T) {
	at := prefix{hi: 1, kind: 1}
	var n node
	for range 1000 {
		n.put(at, newState(at.kind, 7), 0)
		found := n.load()
		if !n.is(at, found) || found.hits() != 7 {
			t.Fatalf("%x", found)
		}
		if !n.remove(found) {
			t.Fatal("a node cannot be removed")
		}
		if n.swap(found, found.counted()) {
			t.Fatal("a hit counts for a node that has gone")
		}
		n.put(at, newState(at.kind, 7), 0)
		if n.swap(found, found.counted()) {
			t.Fatal("a hit counts for another node")
		}
		found = n.load()
		if !n.swap(found, found.counted()) || n.remove(found) {
			t.Fatal("a node is removed that has had a hit")
		}
		n.take()
	}
}
