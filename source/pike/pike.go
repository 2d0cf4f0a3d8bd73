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
	params  Params
	log     *slog.Logger
	raise   func(ctx context.Context, event string, params ...evid.Param) (evid.ID, error)
	density uint32
	latency uint32 // seconds

	seconds atomic.Uint32 // since Start
	seed    *seed
	shards  []shard
	sieve   atomic.Pointer[sieve] // nil as long as there is room

	swapAt uint32   // the second at which the unit ends; the timer's, as gone is
	gone   []prefix // what has expired in a shard

	changes chan change // that are to be told
	stop    chan struct{}
	stopped sync.Once
	cancel  context.CancelFunc // ends what is being raised
	running sync.WaitGroup

	blocked  atomic.Int64
	detected atomic.Uint64
	lost     atomic.Uint64
	failed   atomic.Uint64
}

// New returns a Pike that has seen nothing. Time stands still until [Pike.Start].
func New(p Params, opts Options) *Pike { return newPike(p, opts, MaxNodes) }

func newPike(params Params, opts Options, maxNodes int) *Pike {
	p := &Pike{
		params:  params,
		log:     opts.Log,
		raise:   opts.Raise,
		density: uint32(params.Density),
		latency: uint32(params.latency()),
		swapAt:  uint32(params.Unit),
		seed:    newSeed(),
		shards:  make([]shard, shardsFor(maxNodes)),
		changes: make(chan change, maxChanges),
		stop:    make(chan struct{}),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	for i := range p.shards {
		s := &p.shards[i]
		s.whole.seed, s.prefixes.seed, s.max = p.seed, p.seed, maxNodes/len(p.shards)
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
	hash := p.seed.hash(full)
	if result, known := p.hitAddress(full, hash); known { // first, as whoever sends much is there
		return result
	}
	if sieve := p.sieve.Load(); sieve == nil || sieve.passes(hash) {
		p.hitPrefix(full)
	}
	return Pass
}

// Blocked lists the addresses that are blocked: IPv4, then IPv6, in order.
func (p *Pike) Blocked() []netip.Addr {
	var list []netip.Addr
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		places := s.whole.places()
		for i := range places {
			if n := &places[i]; n.load()&red != 0 {
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
	hash := p.seed.hash(full)
	s := p.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	n, now, _ := s.whole.find(full, hash)
	if n == nil || now&red == 0 {
		return n != nil, false
	}
	n.clear(wasHot | hits)
	if !p.unblock(s, n) { // an operator does not have to wait for who is told
		p.lost.Add(1)
		n.clear(red)
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
	st := Stats{
		Blocked:  int(p.blocked.Load()),
		Detected: p.detected.Load(),
		Lost:     p.lost.Load(),
		Failed:   p.failed.Load(),
	}
	for i := range p.shards {
		s := &p.shards[i]
		s.mu.Lock()
		st.Nodes += s.count()
		st.Evicted += s.evicted
		st.Refused += s.refused
		s.mu.Unlock()
	}
	return st
}
