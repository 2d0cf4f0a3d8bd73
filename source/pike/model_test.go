package pike

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// A model is the algorithm written down as the manual tells it: one tree for each family,
// a node for each byte, two counters in each, and all of it gone through at each tick.
type model struct {
	density, latency, unit int
	ipv4, ipv6             modelNode
	now, swapAt            int
}

type modelNode struct {
	hits, leafHits [2]int // of the unit before and of this one
	expires        int
	red            bool
	above          *modelNode
	kids           map[byte]*modelNode
}

func newModel(p Params) *model {
	return &model{density: p.Density, latency: p.latency(), unit: p.Unit, swapAt: p.Unit}
}

func (m *model) add(above *modelNode, b byte, hits int) {
	if above.kids == nil {
		above.kids = make(map[byte]*modelNode)
	}
	above.kids[b] = &modelNode{hits: [2]int{0, hits}, expires: m.now + m.latency, above: above}
}

func (m *model) check(addr netip.Addr) Result {
	n := &m.ipv6
	if addr.Is4() {
		n = &m.ipv4
	}
	bytes := addr.AsSlice()
	depth := 0
	for depth < len(bytes) && n.kids[bytes[depth]] != nil {
		n = n.kids[bytes[depth]]
		depth++
	}
	switch {
	case depth == 0:
		m.add(n, bytes[0], 1)
	case depth < len(bytes):
		n.hits[1]++
		if max(n.hits[0], n.hits[1], (n.hits[0]+n.hits[1])/2) >= m.density/4 {
			m.add(n, bytes[depth], n.hits[1]-1)
		}
	default:
		n.leafHits[1]++
		n.expires = m.now + m.latency
		if n.red {
			return Blocked
		}
		if m.hot(n) {
			n.red = true
			return Detected
		}
	}
	return Pass
}

func (m *model) hot(n *modelNode) bool {
	return max(n.leafHits[0], n.leafHits[1], (n.leafHits[0]+n.leafHits[1])/2) >= m.density
}

func (m *model) tick(now int) {
	m.now = now
	swap := now >= m.swapAt
	if swap {
		m.swapAt = now + m.unit
	}
	for _, root := range []*modelNode{&m.ipv4, &m.ipv6} {
		for _, n := range root.kids {
			m.tickNode(n, swap)
		}
		m.expire(root)
	}
}

func (m *model) tickNode(n *modelNode, swap bool) {
	if swap {
		n.hits = [2]int{n.hits[1], 0}
		n.leafHits = [2]int{n.leafHits[1], 0}
		n.red = n.red && m.hot(n)
	}
	for _, kid := range n.kids {
		m.tickNode(kid, swap)
	}
}

// expire removes what has expired below n, whose time begins if that was all.
func (m *model) expire(n *modelNode) {
	for b, kid := range n.kids {
		if len(kid.kids) > 0 {
			m.expire(kid)
			continue
		}
		if kid.expires <= m.now {
			delete(n.kids, b)
			n.expires = m.now + m.latency
		}
	}
}

// state lists all nodes, and those that are red.
func (m *model) state() (nodes int, red []netip.Addr) {
	var walk func(n *modelNode, path []byte)
	walk = func(n *modelNode, path []byte) {
		for b, kid := range n.kids {
			nodes++
			path := append(slices.Clone(path), b)
			if kid.red {
				addr, _ := netip.AddrFromSlice(path)
				red = append(red, addr)
			}
			walk(kid, path)
		}
	}
	walk(&m.ipv4, nil)
	walk(&m.ipv6, nil)
	slices.SortFunc(red, netip.Addr.Compare)
	return nodes, red
}

// neighbours returns addresses that share prefixes of all lengths.
func neighbours(r *rand.Rand, n int) []netip.Addr {
	set := make(map[netip.Addr]bool)
	for len(set) < n {
		b := make([]byte, 4+12*r.IntN(2))
		same := r.IntN(len(b) + 1)
		for i := same; i < len(b); i++ {
			b[i] = byte(r.IntN(3))
		}
		addr, _ := netip.AddrFromSlice(b)
		set[addr] = true
	}
	return slices.SortedFunc(maps.Keys(set), netip.Addr.Compare)
}

// What comes of each request, who is blocked and how many nodes there are is as the model
// has it, whatever the parameters, addresses and times.
func TestModel(t *testing.T) {
	for round := range uint64(25) {
		r := rand.New(rand.NewPCG(round, 1))
		params := Params{Unit: 1 + r.IntN(5), Density: 1 + r.IntN(60), RemoveLatency: 1 + r.IntN(20)}
		p, m := newPike(params, Options{}, MaxNodes), newModel(params)
		addrs := neighbours(r, 1+r.IntN(200))
		var all, some int
		for now := range 80 {
			if r.IntN(5) == 0 { // others send, and others not at all
				some = 1 + r.IntN(len(addrs))
				all = r.IntN(500)
			}
			for range all {
				addr := addrs[r.IntN(some)]
				if got, want := p.Check(addr), m.check(addr); got != want {
					t.Fatalf("round %d, %+v, second %d: Check(%v) = %d, want %d", round, params, now, addr, got, want)
				}
			}
			p.tick(uint32(now + 1))
			m.tick(now + 1)
			drain(p)
			nodes, red := m.state()
			if got := p.Blocked(); !slices.Equal(got, red) || p.Stats().Nodes != nodes || p.Stats().Blocked != len(red) {
				t.Fatalf("round %d, %+v, second %d: blocked %v, %+v, want %v, %d nodes", round, params, now, got, p.Stats(), red, nodes)
			}
			checkTree(t, p)
		}
	}
}

// drain takes what is to be told.
func drain(p *Pike) []change {
	var changes []change
	for {
		select {
		case c := <-p.changes:
			changes = append(changes, c)
		default:
			return changes
		}
	}
}

// checkTree checks what must hold between two calls: each node is found, the one above it is
// there and knows how many there are below it, and counts are right.
func checkTree(t *testing.T, p *Pike) {
	t.Helper()
	nodes, known := 0, 0
	below := make(map[prefix]int)
	for i := range p.shards {
		s := &p.shards[i]
		untolds := 0
		for _, table := range s.tables() {
			count := 0
			for i := range table.places() {
				n := &table.places()[i]
				if n.load().kind() == 0 {
					continue
				}
				count++
				at := n.prefix()
				if found, _, _ := table.find(at, p.seed.hash(at)); found != n || s != p.shard(p.seed.hash(at)) || table != s.table(at) {
					t.Fatalf("%v is not found", at)
				}
				if n.load()&untold != 0 {
					untolds++
				}
				if at.bytes() > 1 {
					below[at.first(at.bytes()-1)]++
				}
			}
			places := len(table.places())
			if count != table.count || places > minPlaces && 5*count < 2*places {
				t.Fatalf("a table has %d nodes in %d places and counts %d", count, places, table.count)
			}
			nodes += count
		}
		if untolds != s.untold {
			t.Fatalf("a shard has %d nodes that are untold and counts %d", untolds, s.untold)
		}
	}
	if nodes != p.Stats().Nodes {
		t.Fatalf("there are %d nodes, %d are counted", nodes, p.Stats().Nodes)
	}
	for i := range p.shards {
		for _, table := range p.shards[i].tables() {
			for j := range table.places() {
				n := &table.places()[j]
				if n.load().kind() == 0 {
					continue
				}
				has := int(n.load() & kids / kid)
				if has != below[n.prefix()] {
					t.Fatalf("%v has %d nodes below it and counts %d", n.prefix(), below[n.prefix()], has)
				}
				if has > 0 {
					known++
				}
			}
		}
	}
	if known != len(below) {
		t.Fatalf("%d nodes have others below them, %d should", known, len(below))
	}
}
