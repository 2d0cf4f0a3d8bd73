package ratelimit

import (
	"sync"
	"time"
)

// A pipe is one counter. It belongs to its shard's mutex.
type pipe struct {
	name      string
	algorithm Algorithm
	limit     int64
	used      time.Duration // when it was checked last, since Limiter.start
	newer     *pipe         // by used, within the shard
	older     *pipe

	at    int64   // the interval, or with SBT the slot, that count is for
	count int64   // in this interval; with SBT in all slots
	last  int64   // in the interval before this one; not with SBT
	slots []int64 // that at stands for is at at % len(slots); not with TAILDROP
}

// advance moves the pipe on to the interval or slot n.
func (p *pipe) advance(n int64) {
	if n <= p.at {
		return // another call has read the clock later, and came first
	}
	if p.algorithm == TailDrop {
		p.last = 0
		if n == p.at+1 {
			p.last = p.count
		}
		p.at, p.count = n, 0
		return
	}
	size := int64(len(p.slots))
	for i := max(p.at+1, n-size+1); i <= n; i++ {
		slot := &p.slots[i%size]
		p.count -= *slot
		*slot = 0
	}
	p.at = n
}

// add counts one check.
func (p *pipe) add() {
	p.count++
	if p.algorithm == SBT {
		p.slots[p.at%int64(len(p.slots))]++
	}
}

// takeBack counts one check less: the newest one of those that count.
func (p *pipe) takeBack() {
	if p.count == 0 {
		return
	}
	p.count--
	if p.algorithm == SBT {
		size := int64(len(p.slots))
		i := p.at % size
		for p.slots[i] == 0 {
			i = (i + size - 1) % size
		}
		p.slots[i]--
	}
}

func (p *pipe) reset() {
	p.count = 0
	clear(p.slots)
}

// A shard has some of the pipes.
type shard struct {
	mu     sync.Mutex
	pipes  map[string]*pipe
	newest *pipe // by when they were used; nil: there is no pipe
	oldest *pipe
}

// useLocked makes the pipe the newest one. It may be new.
func (s *shard) useLocked(p *pipe, now time.Duration) {
	p.used = now
	if s.newest == p {
		return
	}
	s.unlinkLocked(p)
	p.older = s.newest
	if s.newest != nil {
		s.newest.newer = p
	} else {
		s.oldest = p
	}
	s.newest = p
}

func (s *shard) unlinkLocked(p *pipe) {
	if p.newer != nil {
		p.newer.older = p.older
	} else if s.newest == p {
		s.newest = p.older
	}
	if p.older != nil {
		p.older.newer = p.newer
	} else if s.oldest == p {
		s.oldest = p.newer
	}
	p.newer, p.older = nil, nil
}
