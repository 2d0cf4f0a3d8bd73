package pike

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/evid/evid"
)

// MaxNodes is how many nodes there are, at most. They are what takes memory: 32 bytes each,
// and as much as 80 with the free places between them.
const MaxNodes = 2_250_000

// Events of a [Pike]. Their parameter is ip, a string: the address.
const (
	EventBlocked   = "E_PIKE_BLOCKED"
	EventUnblocked = "E_PIKE_UNBLOCKED" // ours, with Params.UnblockEvent only
)

// A Result says what came of a check. It is what pike_check_req returns to a script.
type Result int8

// The results, with the values of OpenSIPS' manual.
const (
	Pass     Result = 1  // the address is not blocked
	Blocked  Result = -1 // it was blocked before
	Detected Result = -2 // it is blocked from this request on
)

// Options are what a [Pike] works with.
type Options struct {
	Log *slog.Logger // nil: nothing is logged
	// Raise raises an event, which is registered. Calls are made one after the other, and
	// checks do not wait for them. Ctx ends a second after [Pike.Close] was called. Nil:
	// nothing is raised.
	Raise func(ctx context.Context, event string, params ...evid.Param) (evid.ID, error)
}

// A Pike counts the requests of addresses. [New] makes one. Its methods may be called at the
// same time.
type Pike struct {
	params   Params
	log      *slog.Logger
	raise    func(ctx context.Context, event string, params ...evid.Param) (evid.ID, error)
	density  uint32
	latency  uint32 // seconds
	maxNodes int64

	seconds atomic.Uint32 // since Start
	swapAt  uint32        // the second at which the unit ends; the timer's

	// Locks are taken in this order: evicting, that of a shard, that of the top.
	seed     *seed
	shards   [shards]shard
	top      shard       // prefixes that are too short for one of the shards
	short    atomic.Bool // a node was added, or could not be, and there is hardly any room left
	evicting sync.Mutex  // guards hand
	hand     int         // the table that nodes are evicted from: see evictNext

	changes chan change // that are to be told
	stop    chan struct{}
	stopped sync.Once
	cancel  context.CancelFunc // ends what is being raised
	running sync.WaitGroup

	nodes    atomic.Int64
	blocked  atomic.Int64
	detected atomic.Uint64
	evicted  atomic.Uint64
	refused  atomic.Uint64
	lost     atomic.Uint64
	failed   atomic.Uint64
}

// New returns a Pike that has seen nothing. Time stands still until [Pike.Start].
func New(p Params, opts Options) *Pike { return newPike(p, opts, MaxNodes) }

func newPike(params Params, opts Options, maxNodes int) *Pike {
	p := &Pike{
		params:   params,
		log:      opts.Log,
		raise:    opts.Raise,
		density:  uint32(params.Density),
		latency:  uint32(params.latency()),
		maxNodes: int64(maxNodes),
		swapAt:   uint32(params.Unit),
		seed:     newSeed(),
		changes:  make(chan change, maxChanges),
		stop:     make(chan struct{}),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	for s := range p.all() {
		s.whole = table{seed: p.seed, max: maxNodes}
		s.prefixes = s.whole
	}
	return p
}

// Events are the events that are raised: they are to be registered.
func (p *Pike) Events() []string {
	if p.params.UnblockEvent {
		return []string{EventBlocked, EventUnblocked}
	}
	return []string{EventBlocked}
}

// Check counts a request that came from this address, and says whether it is blocked. What
// is no valid address passes and is not counted. Check waits for nobody but other checks,
// and allocates nothing but memory for new nodes.
func (p *Pike) Check(addr netip.Addr) Result {
	full, ok := prefixOf(addr)
	if !ok {
		return Pass
	}
	if p.short.Load() {
		p.makeRoom()
	}
	s, cut := p.shard(full), full.cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.whole.find(full); n != nil { // first, as whoever sends much is there
		return p.hitAddress(s, n)
	}
	if n := s.prefixes.longest(full, cut, full.bytes()-1); n != nil {
		p.hitPrefix(s, n, full)
		return Pass
	}
	p.top.mu.Lock()
	defer p.top.mu.Unlock()
	if n := p.top.prefixes.longest(full, 1, cut-1); n != nil {
		p.hitPrefix(s, n, full)
	} else {
		p.add(&p.top.prefixes, full.first(1), 1)
	}
	return Pass
}

// hitAddress counts a hit for a whole address.
func (p *Pike) hitAddress(s *shard, n *node) Result {
	n.now++
	n.flags |= used
	n.expires = p.seconds.Load() + p.latency
	if n.flags&red != 0 {
		return Blocked
	}
	if !n.hot(p.density) {
		return Pass
	}
	n.flags |= red
	p.blocked.Add(1)
	p.detected.Add(1)
	if !p.tell(change{n.prefix().addr(), true}) {
		n.flags |= untold
		s.untold++
	}
	return Detected
}

// hitPrefix counts a hit for a prefix of an address of the shard. A hot one gets the next
// byte below it. It is not renewed: with few hits it is to go, and with many it soon has
// others below it.
func (p *Pike) hitPrefix(s *shard, n *node, full prefix) {
	n.now++
	n.flags |= used
	if !n.hot(p.density / 4) {
		return
	}
	kid, hits, t := full.first(n.prefix().bytes()+1), n.now-1, &s.prefixes
	switch {
	case kid.full():
		hits, t = 0, &s.whole // it counts for itself from here on
	case kid.bytes() < kid.cut():
		t = &p.top.prefixes
	}
	n.kids++ // before n may move
	if !p.add(t, kid, hits) {
		n.kids--
	}
}

// add adds a node, if there is room. If there is none, nothing has moved.
func (p *Pike) add(t *table, at prefix, hits uint32) bool {
	nodes := p.nodes.Add(1)
	if nodes > p.maxNodes-p.maxNodes/spare {
		p.short.Store(true)
	}
	if nodes > p.maxNodes {
		p.nodes.Add(-1)
		p.refused.Add(1)
		return false
	}
	n := t.insert(at)
	n.now = hits
	n.expires = p.seconds.Load() + p.latency
	return true
}

// unblock unblocks an address. If that cannot be told now, nothing happens.
func (p *Pike) unblock(s *shard, n *node) bool {
	if n.flags&untold == 0 {
		if !p.tell(change{n.prefix().addr(), false}) {
			return false
		}
	} else { // nobody knows that it was blocked, or needs to now
		p.lost.Add(1)
		s.untold--
	}
	n.flags &^= red | untold
	p.blocked.Add(-1)
	return true
}

// Blocked lists the addresses that are blocked: IPv4, then IPv6, in order.
func (p *Pike) Blocked() []netip.Addr {
	var list []netip.Addr
	for s := range p.all() {
		s.mu.Lock()
		for i := range s.whole.nodes {
			if n := &s.whole.nodes[i]; n.flags&red != 0 {
				list = append(list, n.prefix().addr())
			}
		}
		s.mu.Unlock()
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return list
}

// Unblock unblocks an address and forgets its requests, and says whether it is known, as a
// whole, and was blocked.
func (p *Pike) Unblock(addr netip.Addr) (known, blocked bool) {
	full, ok := prefixOf(addr)
	if !ok {
		return false, false
	}
	s := p.shard(full)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.whole.find(full)
	if n == nil || n.flags&red == 0 {
		return n != nil, false
	}
	n.now, n.last = 0, 0
	if !p.unblock(s, n) { // an operator does not have to wait for who is told
		p.lost.Add(1)
		n.flags &^= red
		p.blocked.Add(-1)
	}
	return true, true
}

// Stats are what a [Pike] has now, and has done.
type Stats struct {
	Nodes   int // bytes of addresses in the tree
	Blocked int // addresses

	Detected uint64 // addresses that were blocked, each time
	Evicted  uint64 // nodes that had to make room for others
	Refused  uint64 // requests for which no node could be made
	Lost     uint64 // times that an address was blocked or unblocked and it was never told
	Failed   uint64 // events that could not be raised
}

// Stats returns the statistics.
func (p *Pike) Stats() Stats {
	return Stats{
		Nodes:    int(p.nodes.Load()),
		Blocked:  int(p.blocked.Load()),
		Detected: p.detected.Load(),
		Evicted:  p.evicted.Load(),
		Refused:  p.refused.Load(),
		Lost:     p.lost.Load(),
		Failed:   p.failed.Load(),
	}
}
