package ratelimit

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/evid/evid/modparam"
)

// Limits.
const (
	MaxName  = 256           // bytes of a pipe's name
	MaxLimit = math.MaxInt32 // of a pipe
	MaxSlots = 10_000        // of an SBT pipe
)

// What a pipe takes beside its name, and one slot, at most: see TestMemory.
const (
	pipeCost = 192
	slotCost = 9 // 8, and what Go takes to be quick
)

// ErrFull is what the error of a check wraps that needed one pipe too many.
var ErrFull = errors.New("there is no room for another pipe: max_bytes of ratelimit is reached")

// shards are so many that calls for different pipes seldom wait for each other.
const shards = 64

// A Limiter is the pipes of one process. [New] makes one.
type Limiter struct {
	interval time.Duration // of TAILDROP
	factor   int64         // limits of TAILDROP are for an interval when multiplied by it
	slot     time.Duration // of SBT
	slots    int64
	idle     time.Duration // a pipe goes when it was not used for longer
	fallback Algorithm
	maxBytes int64

	start  time.Time
	seed   maphash.Seed
	bytes  atomic.Int64
	shards [shards]shard
}

// New returns a Limiter without pipes. The error says which parameters do not go together.
func New(p Params) (*Limiter, error) {
	window := time.Duration(p.WindowSize) * time.Second
	slot := time.Duration(p.SlotPeriod) * time.Millisecond
	both := []string{"window_size", "slot_period"}
	switch slots := window / slot; {
	case window%slot != 0:
		return nil, modparam.Wrong(fmt.Errorf("window_size of %v is no multiple of the slot_period of %v", window, slot), both...)
	case slots > MaxSlots:
		return nil, modparam.Wrong(fmt.Errorf("window_size of %v has %d times the slot_period of %v: expected at most %d",
			window, slots, slot, MaxSlots), both...)
	}
	l := &Limiter{
		interval: time.Duration(p.TimerInterval) * time.Second,
		factor:   int64(p.TimerInterval),
		slot:     slot,
		slots:    int64(window / slot),
		fallback: p.DefaultAlgorithm,
		maxBytes: int64(p.MaxBytes),
		start:    time.Now(),
		seed:     maphash.MakeSeed(),
	}
	if p.LimitPerInterval {
		l.factor = 1
	}
	// What a pipe has counted must not go as long as it matters.
	l.idle = max(time.Duration(p.ExpireTime)*time.Second, l.interval, window)
	for i := range l.shards {
		l.shards[i].pipes = make(map[string]*pipe)
	}
	return l, nil
}

// Check counts one call in a pipe and reports whether it is within the limit, which is 0 to
// [MaxLimit] and the pipe's from now on. Without the pipe it is made, with the algorithm;
// one that is there keeps its own. The error is about the name or the limit, or wraps
// [ErrFull]; nothing was counted then.
func (l *Limiter) Check(name string, limit int64, a Algorithm) (pass bool, err error) {
	if err := checkLimit(limit); err != nil {
		return false, err
	}
	for {
		pass, err = l.check(name, limit, a)
		if err == nil || !errors.Is(err, ErrFull) || !l.dropExpired() {
			return pass, err
		}
	}
}

func checkLimit(limit int64) error {
	if limit < 0 || limit > MaxLimit {
		return fmt.Errorf("expected a limit of 0 to %d, got %d", MaxLimit, limit)
	}
	return nil
}

func checkName(name string) error {
	if name == "" {
		return errors.New("the name of the pipe is empty")
	}
	if len(name) > MaxName {
		return fmt.Errorf("the name of the pipe has %d bytes, at most %d are possible", len(name), MaxName)
	}
	return nil
}

func (l *Limiter) check(name string, limit int64, a Algorithm) (pass bool, err error) {
	now := l.now()
	s := l.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	l.dropExpiredLocked(s, now)
	p := l.findLocked(s, name, now)
	if p == nil {
		if p, err = l.makeLocked(s, name, a); err != nil {
			return false, err
		}
	}
	s.useLocked(p, now)
	p.limit = limit
	p.advance(l.number(p, now))
	p.add()
	if p.algorithm == TailDrop {
		limit *= l.factor
	}
	return p.count <= limit, nil
}

// now is the time that pipe.used is compared with. It is monotonic.
func (l *Limiter) now() time.Duration { return time.Since(l.start) }

// number is the interval, or with SBT the slot, of a time.
func (l *Limiter) number(p *pipe, now time.Duration) int64 {
	if p.algorithm == TailDrop {
		return int64(now / l.interval)
	}
	return int64(now / l.slot)
}

func (l *Limiter) shard(name string) *shard {
	return &l.shards[maphash.String(l.seed, name)%shards]
}

// findLocked returns nil if there is no such pipe. One whose time is up is removed.
func (l *Limiter) findLocked(s *shard, name string, now time.Duration) *pipe {
	p := s.pipes[name]
	if p != nil && now-p.used > l.idle {
		l.dropLocked(s, p)
		return nil
	}
	return p
}

func (l *Limiter) makeLocked(s *shard, name string, a Algorithm) (*pipe, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if a == Default {
		a = l.fallback
	}
	if cost := l.cost(name, a); l.bytes.Add(cost) > l.maxBytes {
		l.bytes.Add(-cost)
		return nil, ErrFull
	}
	p := &pipe{name: strings.Clone(name), algorithm: a} // the name may be a piece of something large
	if a == SBT {
		p.slots = make([]int64, l.slots)
	}
	s.pipes[p.name] = p
	return p, nil
}

// cost is what a pipe takes of Params.MaxBytes.
func (l *Limiter) cost(name string, a Algorithm) int64 {
	cost := int64(pipeCost + len(name))
	if a == SBT {
		cost += slotCost * l.slots
	}
	return cost
}

func (l *Limiter) dropLocked(s *shard, p *pipe) {
	s.unlinkLocked(p)
	delete(s.pipes, p.name)
	l.bytes.Add(-l.cost(p.name, p.algorithm))
}

// dropExpiredLocked removes the oldest pipes of a shard whose time is up, two at most so
// that no call takes long, and says whether there were any.
func (l *Limiter) dropExpiredLocked(s *shard, now time.Duration) bool {
	dropped := false
	for range 2 {
		if s.oldest == nil || now-s.oldest.used <= l.idle {
			break
		}
		l.dropLocked(s, s.oldest)
		dropped = true
	}
	return dropped
}

func (l *Limiter) dropExpired() bool {
	now, dropped := l.now(), false
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		dropped = l.dropExpiredLocked(s, now) || dropped
		s.mu.Unlock()
	}
	return dropped
}

// with calls f for a pipe as it is now, and reports whether there is one of this name.
func (l *Limiter) with(name string, f func(p *pipe)) (known bool) {
	now := l.now()
	s := l.shard(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := l.findLocked(s, name, now)
	if p == nil {
		return false
	}
	p.advance(l.number(p, now))
	f(p)
	return true
}

// Decrement takes back one check of a pipe, the newest one of those that count, and reports
// whether there is a pipe of this name. A counter that is 0 stays so.
func (l *Limiter) Decrement(name string) (known bool) { return l.with(name, (*pipe).takeBack) }

// Reset takes back all checks of a pipe, and reports whether there is one of this name.
func (l *Limiter) Reset(name string) (known bool) { return l.with(name, (*pipe).reset) }

// Count returns how many checks count now: with [TailDrop] those in this interval, with
// [SBT] those in the window. Known reports whether there is a pipe of this name.
func (l *Limiter) Count(name string) (n int64, known bool) {
	known = l.with(name, func(p *pipe) { n = p.count })
	return n, known
}

// A Pipe is one that was checked not long ago.
type Pipe struct {
	Name      string
	Algorithm Algorithm
	Limit     int64 // as it was given
	// Counter is the checks that passed or not: with [TailDrop] in the last whole interval,
	// with [SBT] in the window.
	Counter int64
}

// Pipe returns one pipe, and whether there is one of this name.
func (l *Limiter) Pipe(name string) (one Pipe, known bool) {
	known = l.with(name, func(p *pipe) { one = p.shown() })
	return one, known
}

// Pipes returns all pipes, sorted by their names.
func (l *Limiter) Pipes() []Pipe {
	pipes := []Pipe{}
	now := l.now()
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for p := s.newest; p != nil && now-p.used <= l.idle; p = p.older {
			p.advance(l.number(p, now))
			pipes = append(pipes, p.shown())
		}
		s.mu.Unlock()
	}
	slices.SortFunc(pipes, func(a, b Pipe) int { return cmp.Compare(a.Name, b.Name) })
	return pipes
}

func (p *pipe) shown() Pipe {
	counter := p.last
	if p.algorithm == SBT {
		counter = p.count
	}
	return Pipe{p.name, p.algorithm, p.limit, counter}
}
