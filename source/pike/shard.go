package pike

import (
	"iter"
	"sync"
)

// shards is how many there are beside the top: a power of 2.
const shards = 128

// A shard is some of the nodes, under one lock. With a node of at least cut bytes it has
// those below it. The addresses that send much are then close together in memory.
type shard struct {
	mu       sync.Mutex
	whole    table // whole addresses
	prefixes table
	untold   int    // nodes with that flag
	due      uint32 // no node expires before this second

	_ [56]byte // two shards share no line of a processor's cache
}

func (s *shard) tables() [2]*table { return [2]*table{&s.whole, &s.prefixes} }

// shard returns the one of an address.
func (p *Pike) shard(full prefix) *shard {
	// The low bits, as the table goes by the high ones.
	return &p.shards[p.seed.hash(full.first(full.cut()))%shards]
}

// all are the shards and the top.
func (p *Pike) all() iter.Seq[*shard] {
	return func(yield func(*shard) bool) {
		for i := range shards + 1 {
			if !yield(p.at(i)) {
				return
			}
		}
	}
}

func (p *Pike) at(i int) *shard {
	if i == shards {
		return &p.top
	}
	return &p.shards[i]
}

// tick does what is to be done at this second.
func (p *Pike) tick(now uint32) {
	p.seconds.Store(now)
	swap := now >= p.swapAt
	if swap {
		p.swapAt = now + uint32(p.params.Unit)
	}
	for s := range p.all() {
		p.tickShard(s, now, swap)
	}
}

func (p *Pike) tickShard(s *shard, now uint32, swap bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if swap {
		p.swap(s)
	}
	if s.untold > 0 {
		p.tellUntold(s)
	}
	if now >= s.due {
		s.due = now + p.latency // as that of any node that is new from here on, at least
		p.expire(s, &s.whole, now)
		p.expire(s, &s.prefixes, now)
	}
	s.whole.shrink()
	s.prefixes.shrink()
}

// swap begins a new unit, and unblocks who is not hot any more.
func (p *Pike) swap(s *shard) {
	for _, t := range s.tables() {
		for i := range t.nodes {
			n := &t.nodes[i]
			n.now, n.last = 0, n.now
			if n.flags&red != 0 && !n.hot(p.density) {
				p.unblock(s, n) // or later
			}
		}
	}
}

// tellUntold tries once more to tell of addresses that are still blocked.
func (p *Pike) tellUntold(s *shard) {
	for i := range s.whole.nodes {
		n := &s.whole.nodes[i]
		if n.flags&untold != 0 && p.tell(change{n.prefix().addr(), true}) {
			n.flags &^= untold
			s.untold--
		}
	}
}

// expire removes the nodes of a table whose time is up.
func (p *Pike) expire(s *shard, t *table, now uint32) {
	for i := 0; i < len(t.nodes); {
		n := &t.nodes[i]
		switch {
		case n.kind == 0 || n.kids > 0:
			i++
		case n.expires > now || n.flags&red != 0 && !p.unblock(s, n):
			s.due = min(s.due, n.expires)
			i++
		default:
			p.remove(s, t, i) // another one may be at i now
		}
	}
}

// remove removes a node that has no kids. If it was the last kid, the time of the node above
// begins.
func (p *Pike) remove(s *shard, t *table, i int) {
	at := t.nodes[i].prefix()
	t.remove(i)
	p.nodes.Add(-1)
	length := at.bytes() - 1
	if length == 0 {
		return
	}
	from := s
	if length == at.cut()-1 {
		from = &p.top
		from.mu.Lock()
		defer from.mu.Unlock()
	}
	above := from.prefixes.find(at.first(length))
	if above.kids--; above.kids == 0 {
		above.expires = p.seconds.Load() + p.latency
	}
}

// Evicting begins when this part of the room is left, so that checks that are made meanwhile
// find some.
const spare = 1000

// How many places are looked at, in one table and in all of them, before a check goes on.
const (
	evictPlaces    = 64
	maxEvictPlaces = 256
)

// The hand goes through a table a few places at a time, which are next to each other in
// memory, and then leaps. If it went straight on, the table would be empty behind it and
// overfull before it, and nothing found quickly there. As the leap is a prime larger than
// any table, it comes to every place.
const (
	blockPlaces = 8
	leap        = 2_654_435_761
)

// makeRoom evicts some nodes, unless somebody else does: see the package's documentation. It
// is called once for a node that was added, not for each check: the hand must not go round
// faster than those who are to stay have hits.
func (p *Pike) makeRoom() {
	if !p.evicting.TryLock() {
		return
	}
	defer p.evicting.Unlock()
	p.short.Store(false)
	for places := 0; places < maxEvictPlaces; {
		looked, evicted := p.evictNext()
		if evicted > 0 {
			return
		}
		places += max(1, looked) // there may be many tables without a place
	}
}

// evictNext looks at some places of the hand's table, and evicts nodes that had no hit since
// it did so before.
func (p *Pike) evictNext() (looked, evicted int) {
	s := p.at(p.hand / 2)
	t := s.tables()[p.hand%2]
	s.mu.Lock()
	defer s.mu.Unlock()
	blocks := (len(t.nodes) + blockPlaces - 1) / blockPlaces
	for ; looked < evictPlaces && t.hand < blocks; t.hand++ {
		first := t.hand * leap % blocks * blockPlaces
		for i := first; i < min(first+blockPlaces, len(t.nodes)); looked++ {
			n := &t.nodes[i]
			switch {
			case n.kind == 0 || n.kids > 0:
				i++
			case n.flags&used != 0 || n.flags&red != 0 && !p.unblock(s, n):
				n.flags &^= used
				i++
			default:
				p.remove(s, t, i) // another one may be at i now
				evicted++
			}
		}
	}
	if t.hand >= blocks {
		t.hand = 0
		p.hand = (p.hand + 1) % (2 * (shards + 1))
	}
	t.shrink() // others may need the memory before the next tick
	p.evicted.Add(uint64(evicted))
	return looked, evicted
}
