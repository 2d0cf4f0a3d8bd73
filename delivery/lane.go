package delivery

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/evid/evid"
)

// maxOvertaking is how many connections a lane has besides those that it is given:
// so many calls can outlast the patience of the others before these wait.
const maxOvertaking = 3

// A lane is the way to one destination, for all its subscribers. The engine's
// lock guards it.
type lane struct {
	link        links[lane]
	engine      *Engine
	name        string
	connections int // calls at a time, but for those that are late
	subscribers int

	in    *lanes        // the chain that the lane is in: a queue or the lingering; nil: none
	since time.Duration // when it came there
	quick bool          // its last call was

	ready   subscribers // those with something to deliver, in turn
	paused  subscribers // those that wait after a failure of their own
	calls   int         // under way
	late    int         // of these: they have outlasted the patience of the others
	resting []evid.Lane // connections that no call uses; closed or not, they know what was learned
	opened  bool        // one of them may be open
	idling  bool        // they are to be closed, or are being closed

	trouble    *trouble    // of the destination; nil: none
	unanswered *subscriber // the last one that was called, if it did not answer; else nil
}

type lanes = chain[lane, *lane]

func (l *lane) links() *links[lane] { return &l.link }

// isRunnableLocked reports whether there is something to do for one more worker. A
// destination in trouble gets one call at a time.
func (l *lane) isRunnableLocked() bool {
	switch {
	case l.idling:
		return l.calls == 0
	case l.ready.len == 0:
		return false
	case l.trouble != nil:
		return !l.trouble.paused() && l.calls == 0
	default:
		return l.calls-l.late < l.connections && l.calls < l.connections+maxOvertaking
	}
}

// scheduleLocked puts the lane in the queue, or among the lingering, if it belongs
// there.
func (l *lane) scheduleLocked() {
	e := l.engine
	switch lingers := l.in == &e.lingering; {
	case l.in != nil && !lingers: // it is queued
	case l.isRunnableLocked():
		if lingers {
			e.lingering.remove(l)
		}
		l.since = e.now()
		e.crew.pushLocked(l)
	case !lingers && l.opened && l.calls == 0:
		l.since = e.now()
		l.in = &e.lingering
		e.lingering.push(l)
	}
}

// retireLocked has the connections of a lingering lane closed.
func (l *lane) retireLocked() {
	l.idling = true
	l.scheduleLocked()
}

// idledLocked says that its connections are closed.
func (l *lane) idledLocked() {
	l.idling = false
	l.setOpenedLocked(false)
}

func (l *lane) setOpenedLocked(opened bool) {
	if opened != l.opened {
		l.opened = opened
		if opened {
			l.engine.open++
		} else {
			l.engine.open--
		}
	}
}

// connectionLocked returns a connection for a call to a subscriber.
func (l *lane) connectionLocked(sub *evid.Subscription) evid.Lane {
	e := l.engine
	if !l.opened && e.open >= e.maxOpen && e.lingering.len > 0 {
		e.lingering.first.retireLocked()
	}
	l.setOpenedLocked(true)
	n := len(l.resting)
	if n == 0 {
		return sub.Transport.Open(sub.Socket)
	}
	conn := l.resting[n-1]
	l.resting = slices.Delete(l.resting, n-1, n)
	return conn
}

// restLocked takes back a connection after a call.
func (l *lane) restLocked(conn evid.Lane) {
	if len(l.resting) >= l.connections || l.engine.closed || l.subscribers == 0 {
		l.engine.goroutines.Go(func() { conn.Close() })
		return
	}
	l.resting = append(l.resting, conn)
}

// leaveLocked takes away a subscriber. With the last one the lane goes.
func (l *lane) leaveLocked() {
	l.subscribers--
	l.goLocked()
}

// goLocked removes the lane if nobody needs it any more.
func (l *lane) goLocked() {
	e := l.engine
	if l.subscribers > 0 || l.calls > 0 || e.lanes[l.name] != l {
		return
	}
	delete(e.lanes, l.name)
	if l.in != nil {
		l.in.remove(l)
		l.in = nil
	}
	l.setOpenedLocked(false)
	l.closeLocked()
	e.drainedLocked()
}

// closeLocked closes the lane for good.
func (l *lane) closeLocked() {
	for s := l.paused.first; s != nil; s = s.links().next {
		s.trouble.timer.Stop()
	}
	if l.trouble != nil && l.trouble.timer != nil {
		l.trouble.timer.Stop()
	}
	conns := l.resting
	l.resting = nil
	for _, calls := range []*workers{&l.engine.watch.fresh, &l.engine.watch.waiting, &l.engine.watch.late} {
		for w := calls.first; w != nil; w = w.links().next {
			if w.lane == l {
				conns = append(conns, w.conn)
			}
		}
	}
	if conns != nil {
		l.engine.goroutines.Go(func() {
			for _, conn := range conns {
				conn.Close() // its error says nothing that could be acted upon
			}
		})
	}
}

// A trouble is what makes a destination, or a subscriber, pause.
type trouble struct {
	failed   failed        // the attempt that was the cause
	failures int           // in a row
	until    time.Duration // the end of the pause
	timer    *time.Timer   // of the pause; nil: it is over
}

func (t *trouble) paused() bool { return t != nil && t.timer != nil }

// pauseLocked begins a pause, twice as long as the one before it but for chance.
// At its end after is called, without the lock.
func (t *trouble) pauseLocked(e *Engine, policy evid.Policy, atLeast time.Duration, after func()) {
	longest := policy.RetryMax
	if shift := t.failures; shift < 32 && policy.RetryMin<<shift < longest {
		longest = policy.RetryMin << shift
	}
	t.failures++
	t.beginLocked(e, max(rand.N(longest+1), atLeast), after)
}

func (t *trouble) beginLocked(e *Engine, pause time.Duration, after func()) {
	t.until = e.now() + pause
	t.timer = time.AfterFunc(pause, after)
}

// endLocked ends the pause, if there is one and its time has come or early is set.
func (t *trouble) endLocked(e *Engine, early bool) (ended bool) {
	if t == nil || t.timer == nil || e.closed || !early && e.now() < t.until {
		return false
	}
	t.timer.Stop()
	t.timer = nil
	return true
}

// failLocked makes the lane pause: its destination cannot be reached.
func (l *lane) failLocked(policy evid.Policy, atLeast time.Duration, f *failed) {
	if l.trouble == nil {
		l.trouble = new(trouble)
	}
	if l.trouble.paused() {
		return // an earlier call that failed only now
	}
	l.trouble.failed = failed{reason: f.reason} // of the others nothing was attempted
	l.trouble.pauseLocked(l.engine, policy, atLeast, func() { l.resume(false) })
	for s := l.ready.first; s != nil; s = s.links().next {
		s.downLocked(&l.trouble.failed)
	}
}

// stallLocked makes the lane pause for a moment for which nobody is to blame.
func (l *lane) stallLocked(pause time.Duration) {
	if l.trouble == nil {
		l.trouble = new(trouble)
	}
	if !l.trouble.paused() {
		l.trouble.beginLocked(l.engine, pause, func() { l.resume(false) })
	}
}

// resume ends a pause.
func (l *lane) resume(early bool) {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	l.resumeLocked(early)
}

func (l *lane) resumeLocked(early bool) {
	if l.trouble.endLocked(l.engine, early) {
		l.scheduleLocked()
		l.engine.dispatchLocked()
	}
}
