package pike

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// stir moves all nodes again and again, and adds others, until it is told to stop.
func stir(p *Pike, stop *atomic.Bool) {
	r := rand.New(rand.NewPCG(9, 9))
	other := within("10.0.0.0/8", random4)
	for !stop.Load() {
		for range 100 {
			p.Check(other(r))
		}
		for i := range p.shards {
			s := &p.shards[i]
			s.mu.Lock()
			for _, t := range s.tables() {
				t.move(t.count*3/2 + r.IntN(t.count+1))
			}
			s.mu.Unlock()
		}
	}
}

// known returns addresses that are in the tree as a whole and have no hits yet.
func known(t *testing.T, p *Pike, n int) []netip.Addr {
	t.Helper()
	addrs := addresses(n, random6)
	for _, a := range addrs {
		full, _ := prefixOf(a)
		hash := p.seed.hash(full)
		for i := 0; ; i++ {
			if n, _ := p.shard(hash).find(full, hash); n != nil {
				break
			}
			if i == 9*int(p.density) {
				t.Fatalf("%v is not in the tree after %d requests", a, i)
			}
			p.Check(a)
		}
	}
	return addrs
}

// Whatever else is in the tree, comes and is moved: no hit is lost, none counts twice, and
// the one with which an address is blocked is the x-th one.
func TestEachHitCounts(t *testing.T) {
	const callers, each = 4, 5000
	const x = callers * each / 2
	p := newPike(Params{Unit: maxUnit, Density: x}, Options{}, 200_000)
	addrs := known(t, p, 5)
	results := make([]map[Result]int, len(addrs))
	for i := range results {
		results[i] = make(map[Result]int)
	}
	var stop atomic.Bool
	var mu sync.Mutex
	var stirring, checking sync.WaitGroup
	stirring.Go(func() { stir(p, &stop) })
	for range callers {
		checking.Go(func() {
			for range each {
				for i, a := range addrs {
					result := p.Check(a)
					mu.Lock()
					results[i][result]++
					mu.Unlock()
				}
			}
		})
	}
	checking.Wait()
	stop.Store(true)
	stirring.Wait()
	for i, a := range addrs {
		if got := results[i]; got[Pass] != x-1 || got[Detected] != 1 || got[Blocked] != callers*each-x {
			t.Errorf("%v: %d pass, %d are detected, %d blocked, want %d, 1, %d", a, got[Pass], got[Detected], got[Blocked], x-1, callers*each-x)
		}
		full, _ := prefixOf(a)
		hash := p.seed.hash(full)
		if _, now := p.shard(hash).find(full, hash); now.hits() != callers*each {
			t.Errorf("%v has %d hits, want %d", a, now.hits(), callers*each)
		}
	}
	checkTree(t, p)
}

// Each time that an address is blocked one check says so, and it is told, before it is told
// that it is unblocked.
func TestBlockedOnceEachTime(t *testing.T) {
	p := newPike(Params{Unit: 1, Density: 5, RemoveLatency: 2}, Options{}, 200_000)
	addrs := known(t, p, 20)
	var stop atomic.Bool
	var others, checking sync.WaitGroup
	var detected atomic.Uint64
	others.Go(func() { stir(p, &stop) })
	others.Go(func() {
		for second := uint32(1); !stop.Load(); second++ {
			p.tick(second)
		}
	})
	told := make([]change, 0, 100_000)
	others.Go(func() {
		for !stop.Load() {
			told = append(told, drain(p)...)
			runtime.Gosched()
		}
	})
	for id := range uint64(3) {
		checking.Go(func() {
			r := rand.New(rand.NewPCG(id, 1))
			for range 30_000 {
				a := addrs[r.IntN(len(addrs))]
				switch {
				case r.IntN(20) == 0 && len(p.changes) < maxChanges/2:
					p.Unblock(a)
				case p.Check(a) == Detected:
					detected.Add(1)
				}
				for len(p.changes) > maxChanges/2 {
					runtime.Gosched()
				}
			}
		})
	}
	checking.Wait()
	stop.Store(true)
	others.Wait()
	told = append(told, drain(p)...)

	blocked := make(map[netip.Addr]bool)
	times := 0
	for _, c := range told {
		if blocked[c.addr] == c.blocked {
			t.Fatalf("%v is told twice, or unblocked first", c)
		}
		if blocked[c.addr] = c.blocked; c.blocked {
			times++
		}
	}
	left := p.Blocked()
	for _, a := range left {
		if !blocked[a] {
			t.Errorf("%v is blocked, and it is not told", a)
		}
		delete(blocked, a)
	}
	for a, b := range blocked {
		if b {
			t.Errorf("%v is not blocked any more, and it is not told", a)
		}
	}
	s := p.Stats()
	if s.Detected != detected.Load() || s.Detected != uint64(times) || s.Blocked != len(left) || s.Lost != 0 {
		t.Errorf("%+v, %d times by checks, %d times told, %d are blocked", s, detected.Load(), times, len(left))
	}
	if times < 100 {
		t.Errorf("only %d times an address is blocked", times)
	}
	checkTree(t, p)
}

// With several callers there are never more nodes than there may be either, and what is
// counted is right.
func TestFloodConcurrently(t *testing.T) {
	const maxNodes, each, callers = 20_000, 20_000, 4
	p := newPike(Params{Unit: 2, Density: 8, RemoveLatency: 4}, Options{}, maxNodes)
	var others, checking sync.WaitGroup
	var sent atomic.Uint32
	var stop atomic.Bool
	others.Go(func() {
		for !stop.Load() {
			p.tick(sent.Load() / (callers * each / 10)) // it takes 10 seconds
			drain(p)
			if nodes := p.Stats().Nodes; nodes > maxNodes {
				t.Errorf("%d nodes", nodes)
			}
		}
	})
	for id := range uint64(callers) {
		checking.Go(func() {
			r := rand.New(rand.NewPCG(id, 1))
			for range each {
				a := random4(r)
				if r.IntN(2) == 0 {
					a = random6(r)
				}
				for range 1 + r.IntN(3) { // the sieve lets it through with the second one
					p.Check(a)
				}
				sent.Add(1)
			}
		})
	}
	checking.Wait()
	stop.Store(true)
	others.Wait()
	if s := p.Stats(); s.Evicted == 0 {
		t.Errorf("%+v", s)
	}
	checkTree(t, p)
}

// A node that is there is found without the lock, and no other one, while others come, go
// and move.
func TestFindConcurrently(t *testing.T) {
	at := func(i int) prefix { return prefix{hi: uint64(i), lo: uint64(-i), kind: fullIPv6} }
	const stay, come = 100, 400 // the others come and go
	s := &shard{}
	s.whole.seed = newSeed()
	hash := func(i int) uint64 { return s.whole.seed.hash(at(i)) }
	for i := range stay {
		s.whole.insert(at(i), hash(i), newState(fullIPv6, uint32(i)), 0)
	}
	var stop atomic.Bool
	var finding, changing sync.WaitGroup
	changing.Go(func() {
		r := rand.New(rand.NewPCG(1, 1))
		for !stop.Load() {
			i := stay + r.IntN(come)
			s.mu.Lock()
			if n, now, _ := s.whole.find(at(i), hash(i)); n == nil {
				s.whole.insert(at(i), hash(i), newState(fullIPv6, uint32(i)), 0)
			} else {
				for j := range s.whole.places() {
					if &s.whole.places()[j] == n {
						s.whole.remove(j, now)
					}
				}
			}
			if r.IntN(20) == 0 {
				s.whole.move(s.whole.count * 2)
			}
			s.mu.Unlock()
		}
	})
	for range 2 {
		finding.Go(func() {
			for range 1000 {
				for i := range stay {
					n, now, sure := s.whole.find(at(i), hash(i))
					if n == nil && sure || n != nil && now.hits() != uint32(i) {
						t.Errorf("find gives %v with %d hits, %t", n, now.hits(), sure)
						return
					}
				}
				if n, _, _ := s.whole.find(at(-1), hash(-1)); n != nil {
					t.Error("a node is found that is not there")
				}
			}
		})
	}
	finding.Wait()
	stop.Store(true)
	changing.Wait()
}
