package xmlrpc

import (
	"sync"
	"time"
)

// A destination is what was learned of the server behind a scheme, host and
// port. All lanes to it share it, and it lasts as long as one of them is open. One that
// has nothing to do stays open as long as the destination is special.
// Times are those of [Transports.now].
type destination struct {
	t    *Transports
	name string
	refs int32 // lanes; guarded by the lock of the destinations

	hangUps  uint8         // connections in a row that were of no use after their first reply
	closeFor time.Duration // up to then each reply is taken for a connection's last
	mu       sync.Mutex    // guards these two and the paths
	oldest   path          // most have no other
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
	next   *path         // that was met after it
	name   string        // empty: none was met yet
	mean   time.Duration // of one call; 0: not known
	single time.Duration // up to then there are no multicalls
	size   uint8         // calls that the next multicall may have; 0: as many as the first
	proven bool          // it has answered a single call as XML-RPC says
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

// isSpecial reports whether more is known of the server than what the next call would
// say as well.
func (d *destination) isSpecial(now time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	special := d.hangUps > 0 || now < d.closeFor
	for p := &d.oldest; p != nil && !special; p = p.next {
		special = p.size > 0 || now < p.single
	}
	return special
}

// pathLocked returns what was learned of a path. It is valid up to the next call.
func (d *destination) pathLocked(name string) *path {
	last, n := &d.oldest, 1
	for last.name != name && last.next != nil {
		last, n = last.next, n+1
	}
	if last.name == "" {
		last.name = name
	}
	if last.name == name {
		return last
	}
	added := &path{name: name}
	last.next = added
	if n == maxPaths {
		d.oldest = *d.oldest.next
	}
	return added
}

// destinations are all servers to which a lane is open.
type destinations struct {
	mu     sync.Mutex
	byName map[string]*destination
}

// acquire returns the destination for one more lane of t.
func (all *destinations) acquire(t *Transports, name string) *destination {
	all.mu.Lock()
	defer all.mu.Unlock()
	d := all.byName[name]
	if d == nil {
		if all.byName == nil {
			all.byName = make(map[string]*destination)
		}
		d = &destination{t: t, name: name}
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
	if len(all.byName) == 0 {
		all.byName = nil // they may have been many
	}
}
