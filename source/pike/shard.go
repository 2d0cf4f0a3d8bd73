package pike

import "sync"

// How many shards there are at most, and how many nodes there is room for in each of them at
// least, if there are others.
const (
	maxShards  = 256
	shardNodes = 4096
)

// A shard has some of the nodes: which ones their hash says. So whatever arrives, all of them
// have about as many, and no shard needs to know what is in the others.
//
// Under its lock nodes are added, removed and moved, and addresses are blocked and unblocked.
// Who holds it takes no other one.
type shard struct {
	whole    table // whole addresses
	prefixes table
	max      int // nodes that there is room for

	_ [8]byte // what follows is in another line of a processor's cache

	mu      sync.Mutex
	untold  int    // nodes with that flag
	due     uint32 // no node expires before this second
	evicted uint64
	refused uint64

	_ [24]byte
}

// shardsFor is how many shards there are for so many nodes: a power of 2.
func shardsFor(maxNodes int) int {
	n := 1
	for n < maxShards && maxNodes/(2*n) >= shardNodes {
		n *= 2
	}
	return n
}

// shard returns the one of a hash. That goes by low bits of it, as tables go by the high ones.
func (p *Pike) shard(hash uint64) *shard { return &p.shards[hash&uint64(len(p.shards)-1)] }

func (s *shard) table(at prefix) *table {
	if at.full() {
		return &s.whole
	}
	return &s.prefixes
}

func (s *shard) tables() [2]*table { return [...]*table{&s.whole, &s.prefixes} }

func (s *shard) count() int { return s.whole.count + s.prefixes.count }

// find returns the node of a prefix and its state, nil if there is none. It needs the lock
// only if nodes are being moved.
func (s *shard) find(at prefix, hash uint64) (*node, state) {
	t := s.table(at)
	n, now, sure := t.find(at, hash)
	if !sure {
		s.mu.Lock()
		defer s.mu.Unlock()
		n, now, _ = t.find(at, hash)
	}
	return n, now
}

// tick does what is to be done at this second.
func (p *Pike) tick(second uint32) {
	p.seconds.Store(second)
	swap := second >= p.swapAt
	if swap {
		p.swapAt = second + uint32(p.params.Unit)
	}
	short := false
	for i := range p.shards {
		s := &p.shards[i]
		short = p.tickShard(s, second, swap) || short
		for _, at := range p.gone {
			p.removed(at)
		}
		p.gone = p.gone[:0]
	}
	if !short {
		p.sieve.Store(nil)
	}
}

// tickShard says whether there is hardly any room in the shard.
func (p *Pike) tickShard(s *shard, second uint32, swap bool) (short bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if swap {
		p.swap(s, &s.whole, p.density)
		p.swap(s, &s.prefixes, p.density/4)
	}
	if s.untold > 0 {
		p.tellUntold(s)
	}
	if second >= s.due {
		s.due = second + p.latency // as that of any node that is new from here on, at least
		p.expire(s, &s.whole, second)
		p.expire(s, &s.prefixes, second)
	}
	s.whole.shrink()
	s.prefixes.shrink()
	return s.count() > s.max-s.max/16
}

// swap begins a new unit, and unblocks who is not hot any more.
func (p *Pike) swap(s *shard, t *table, enough uint32) {
	places := t.places()
	for i := range places {
		n := &places[i]
		now := n.load()
		if now.kind() == 0 {
			continue
		}
		for !n.swap(now, now.swapped(enough)) {
			now = n.load()
		}
		if now&red != 0 && now.hits() < enough {
			p.unblock(s, n) // or later
		}
	}
}

// tellUntold tries once more to tell of addresses that are still blocked.
func (p *Pike) tellUntold(s *shard) {
	places := s.whole.places()
	for i := range places {
		n := &places[i]
		if n.load()&untold != 0 && p.tell(change{n.prefix().addr(), true}) {
			n.clear(untold)
			s.untold--
		}
	}
}

// expire removes the nodes of a table whose time is up.
func (p *Pike) expire(s *shard, t *table, second uint32) {
	places := t.places()
	for i := range places {
		n := &places[i]
		switch now := n.load(); {
		case now.kind() == 0 || now&kids != 0:
		case n.expires.Load() > second || now&red != 0 && !p.unblock(s, n):
			s.due = min(s.due, n.expires.Load())
		default:
			if at, ok := t.remove(i, now&^(red|untold)); ok {
				p.gone = append(p.gone, at)
			}
		}
	}
}
