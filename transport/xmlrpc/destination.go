package xmlrpc

import (
	"sync"
	"time"
)

// A destination is what was learned of the server behind a scheme, host and
// port. All lanes to it share it, and it lasts as long as one of them is open.
// Times are those of [Transports.now].
type destination struct {
	name string
	refs int // lanes; guarded by the lock of the destinations

	mu       sync.Mutex
	hangUps  int           // connections in a row that were of no use after their first reply
	closeFor time.Duration // up to then each reply is taken for a connection's last
	paths    []path
	oldest   int // of paths, when there are maxPaths
}

// A server that hangs up after each reply without saying so (Frontier::Daemon) is
// recognised by hangUpsToLearn connections in a row. It is given hangUpMemory
// before it is tried again.
const (
	hangUpsToLearn = 2
	hangUpTime     = time.Second // after a reply: what is closed later had been idle
	hangUpMemory   = time.Hour
)

// A path of a server has one XML-RPC handler behind it. This is what was learned
// of its system.multicall.
type path struct {
	name   string
	proven bool          // it has answered a single call as XML-RPC says
	size   int           // calls that the next multicall may have; 0: as many as the first
	mean   time.Duration // of one call; 0: not known
	single time.Duration // up to then there are no multicalls
}

// maxPaths bounds the paths of a server that are remembered. A further one takes the
// place of the oldest.
const maxPaths = 64

// hungUp notes that a connection could not be used again: the server had closed
// it, after its first reply.
func (d *destination) hungUp(now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hangUps++; d.hangUps >= hangUpsToLearn {
		d.hangUps = 0
		d.closeFor = now + hangUpMemory
	}
}

// keeps reports whether a connection that has served so many calls is worth
// keeping for another.
func (d *destination) keeps(served int, now time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if served > 1 {
		d.hangUps, d.closeFor = 0, 0
	}
	return now >= d.closeFor
}

// pathLocked returns what was learned of a path. It is valid up to the next call.
func (d *destination) pathLocked(name string) *path {
	for i := range d.paths {
		if d.paths[i].name == name {
			return &d.paths[i]
		}
	}
	if len(d.paths) < maxPaths {
		d.paths = append(d.paths, path{name: name})
		return &d.paths[len(d.paths)-1]
	}
	p := &d.paths[d.oldest]
	d.oldest = (d.oldest + 1) % maxPaths
	*p = path{name: name}
	return p
}

// destinations are all servers to which a lane is open.
type destinations struct {
	mu     sync.Mutex
	byName map[string]*destination
}

// acquire returns the destination for one more lane.
func (all *destinations) acquire(name string) *destination {
	all.mu.Lock()
	defer all.mu.Unlock()
	d := all.byName[name]
	if d == nil {
		if all.byName == nil {
			all.byName = make(map[string]*destination)
		}
		d = &destination{name: name}
		all.byName[name] = d
	}
	d.refs++
	return d
}

// release says that a lane is closed.
func (all *destinations) release(d *destination) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if d.refs--; d.refs == 0 {
		delete(all.byName, d.name)
	}
}
