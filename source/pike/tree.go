package pike

// hitAddress counts a hit for a whole address, if it is in the tree.
func (p *Pike) hitAddress(full prefix, hash uint64) (result Result, known bool) {
	s := p.shard(hash)
	for {
		n, now := s.find(full, hash)
		if n == nil {
			return Pass, false
		}
		n.renew(p.seconds.Load() + p.latency)
		next := now.counted()
		switch {
		case now&red == 0 && next.hot(p.density):
			if p.block(s, n, now, full) {
				return Detected, true
			}
		case n.swap(now, next):
			if now&red != 0 {
				return Blocked, true
			}
			return Pass, true
		}
		// Somebody else was first: again.
	}
}

// block counts the hit with which an address is blocked, if its state is still that. The lock
// keeps what is told of an address in order.
func (p *Pike) block(s *shard, n *node, now state, full prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !n.swap(now, now.counted()|red) {
		return false
	}
	p.blocked.Add(1)
	p.detected.Add(1)
	if !p.tell(change{full.addr(), true}) {
		n.set(untold)
		s.untold++
	}
	return true
}

// unblock unblocks an address, under the lock. If that cannot be told now, nothing happens.
func (p *Pike) unblock(s *shard, n *node) bool {
	if n.load()&untold == 0 {
		if !p.tell(change{n.prefix().addr(), false}) {
			return false
		}
	} else { // nobody knows that it was blocked, or needs to now
		p.lost.Add(1)
		s.untold--
	}
	n.clear(red | untold)
	p.blocked.Add(-1)
	return true
}

// hitPrefix counts a hit for the longest prefix of an address that is in the tree. A hot one
// gets the next byte below it. It is not renewed: with few hits it is to go, and with many it
// soon has others below it.
func (p *Pike) hitPrefix(full prefix) {
	for {
		n, now, length := p.longest(full)
		if n == nil {
			if p.add(full.first(1), 1) != there {
				return
			}
			continue
		}
		next := now.counted()
		hot := next.hot(p.density / 4)
		if hot {
			next += kid // before it is there: from here on n stays
		}
		if !n.swap(now, next) {
			continue // somebody else was first
		}
		if hot {
			p.addBelow(full, length, now.hits())
		}
		return
	}
}

// addBelow adds the next byte below a prefix, which counts it already.
func (p *Pike) addBelow(full prefix, length int, hits uint32) {
	at := full.first(length + 1)
	if at.full() {
		hits = 0 // it counts for itself from here on
	}
	if p.add(at, hits) != added {
		p.loseKid(full.first(length))
	}
}

// longest returns the node of the longest prefix of an address, nil if there is none, with
// its state and its bytes. With a node there are all those above it. They are tried from the
// shortest on: in a flood from forged addresses the longest one is short, and elsewhere short
// ones are few and thus quickly read.
func (p *Pike) longest(full prefix) (longest *node, now state, length int) {
	for i := 1; i < full.bytes(); i++ {
		at := full.first(i)
		hash := p.seed.hash(at)
		n, s := p.shard(hash).find(at, hash)
		if n == nil {
			break
		}
		longest, now, length = n, s, i
	}
	return longest, now, length
}

// An outcome says what came of adding a node.
type outcome int8

const (
	added outcome = iota
	there         // somebody else was first
	noRoom
)

func (p *Pike) add(at prefix, hits uint32) outcome {
	hash := p.seed.hash(at)
	s := p.shard(hash)
	s.mu.Lock()
	outcome, evicted := p.addLocked(s, at, hash, hits)
	s.mu.Unlock()
	p.removed(evicted)
	return outcome
}

func (p *Pike) addLocked(s *shard, at prefix, hash uint64, hits uint32) (_ outcome, evicted prefix) {
	t := s.table(at)
	if n, _, _ := t.find(at, hash); n != nil {
		return there, evicted
	}
	if s.count() >= s.max {
		if p.sieve.Load() == nil {
			p.sieve.CompareAndSwap(nil, newSieve(s.max*len(p.shards)))
		}
		if evicted = p.evict(s, hash); evicted.kind == 0 {
			s.refused++
			return noRoom, evicted
		}
		s.evicted++
	}
	t.insert(at, hash, newState(at.kind, hits), p.seconds.Load()+p.latency)
	return added, evicted
}

// removed tells the node above one that was removed. If that was the last one, its time
// begins. No lock is held.
func (p *Pike) removed(at prefix) {
	if at.bytes() > 1 {
		p.loseKid(at.first(at.bytes() - 1))
	}
}

func (p *Pike) loseKid(above prefix) {
	hash := p.seed.hash(above)
	s := p.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	n, _, _ := s.prefixes.find(above, hash)
	if n.loseKid()&kids == 0 {
		n.renew(p.seconds.Load() + p.latency)
	}
}

// evictPlaces is how many places of a table are looked at to find a node that can go.
const evictPlaces = 128

// evict removes a node near where one with this hash is to stand, which is as good as
// anywhere, but at hand. It is one of the kind of which there are more, whole addresses or
// prefixes, if one of those can go. There is none if the kind of what is returned is 0.
func (p *Pike) evict(s *shard, hash uint64) prefix {
	more, less := &s.prefixes, &s.whole
	if less.count > more.count {
		more, less = less, more
	}
	for _, t := range []*table{more, less} {
		if at := p.evictFrom(s, t, hash); at.kind != 0 {
			t.shrink() // the other one may be about to grow
			return at
		}
	}
	return prefix{}
}

func (p *Pike) evictFrom(s *shard, t *table, hash uint64) prefix {
	m := t.memory.Load()
	if m == nil {
		return prefix{}
	}
	i := m.home(hash)
	for range min(evictPlaces, len(m.places)) {
		n := &m.places[i]
		switch now := n.load(); {
		case now.kind() == 0 || now&kids != 0:
		case now&chances != 0:
			n.swap(now, now-chance) // or it has had a hit again
		case now&red != 0 && !p.unblock(s, n):
		default:
			if at, ok := t.remove(i, now&^(red|untold)); ok {
				return at
			}
		}
		i = m.next(i)
	}
	return prefix{}
}
