package delivery

import (
	"strconv"
	"time"

	"github.com/evid/evid"
)

// maxOvertaking is how many connections a lane has besides those that it is given:
// so many calls can outlast the patience of the others before these wait.
const maxOvertaking = 3

// nameOf names the lane of a subscription: by what a connection depends on, and by
// what its policy asks for. Most names are the transport's, and take no memory.
func nameOf(sub *evid.Subscription) string {
	policy := evid.PolicyOf(sub.Socket)
	name := sub.Transport.Lane(sub.Socket)
	if policy.Connections > 1 {
		name += " connections=" + strconv.Itoa(policy.Connections)
	}
	if policy.OwnLane {
		name += " own=" + sub.Event + " " + sub.Socket.Key()
	}
	return name
}

// A lane is the way to one destination, for all its subscribers. One that has a single
// subscriber, as most have, is there only while there is something to do or to know.
// The engine's lock guards it.
type lane struct {
	link   links[lane]
	engine *Engine
	name   string

	in    *lanes        // the chain that the lane is in: a queue or the idle; nil: none
	since time.Duration // when it came there

	ready   subscribers // those with something to deliver, in turn; first those for which a raiser waits
	resting connections // those that no call uses; closed or not, they know what was learned

	backoff    *backoff    // of the destination; nil: all is well
	unanswered *subscriber // the last one that was called, if it did not answer; else nil
	recent     *subscriber // the last one that was called or has subscribed again; nil: it has left

	connections int32 // calls at a time, but for those that are late
	subscribers int32 // that have this lane
	calls       int32 // under way
	late        int32 // of these: they have outlasted the patience of the others
	connected   int32 // connections that may be open

	pace    pace  // of its calls
	slow    uint8 // calls in a row that have lasted
	closing bool  // the connections that rest are to be closed, or are being closed
}

type lanes = chain[lane, *lane]

func (l *lane) links() *links[lane] { return &l.link }

// isRunnableLocked reports whether there is something to do for one more worker. A
// destination in trouble gets one call at a time. Nobody holds up a raiser, but for
// want of a file descriptor.
func (l *lane) isRunnableLocked() bool {
	switch {
	case l.closing:
		return l.calls == 0
	case l.backoff.stalling():
		return false
	case l.isRaisingLocked():
		return l.calls < l.connections+maxOvertaking+1
	case l.ready.len == 0:
		return false
	case l.backoff != nil:
		return !l.backoff.pauses() && l.calls == 0
	default:
		return l.calls-l.late < l.connections && l.calls < l.connections+maxOvertaking
	}
}

// isRaisingLocked reports whether a raiser waits for a subscriber.
func (l *lane) isRaisingLocked() bool { return l.ready.first != nil && l.ready.first.raising }

// scheduleLocked puts the lane in the queue, among the idle, or in none, as it
// belongs.
func (l *lane) scheduleLocked() {
	e := l.engine
	runnable := l.isRunnableLocked()
	idle := !runnable && l.connected > 0 && l.calls == 0
	switch queued := l.in != nil && l.in != &e.idle; {
	case runnable && queued, idle && l.in == &e.idle:
		return
	case l.in != nil:
		l.in.remove(l)
		l.in = nil
	}
	l.since = e.now()
	switch {
	case runnable:
		e.crew.pushLocked(l)
	case idle:
		l.in = &e.idle
		e.idle.push(l)
	}
}

// disconnectLocked has the connections of an idle lane closed.
func (l *lane) disconnectLocked() {
	l.closing = true
	l.scheduleLocked()
}

// nextLocked takes the subscriber whose turn it is; nil: the connections are to be
// closed.
func (l *lane) nextLocked() *subscriber {
	if l.closing && (l.ready.len == 0 || !l.isRaisingLocked() && l.backoff.pauses()) {
		return nil
	}
	l.closing = false
	s := l.ready.pop()
	s.raising = false
	l.recent = s
	return s
}

// isAffordableLocked reports whether the lane may have one more call: for that it
// needs a connection, and those are not without number. Lanes that have not shown
// that they are quick leave some to those that have.
func (l *lane) isAffordableLocked() bool {
	e := l.engine
	if l.resting.len() > 0 && l.connected > l.calls || l.closing {
		return true // there is one
	}
	limit := e.maxConnections
	if l.pace != quick {
		limit -= limit / 4
	}
	return e.connected < limit
}

// connectLocked returns a connection for a call to a subscriber.
func (l *lane) connectLocked(sub *evid.Subscription) evid.Lane {
	if l.connected <= l.calls {
		l.countLocked(1)
	}
	if conn := l.resting.pop(); conn != nil {
		return conn
	}
	return sub.Transport.Open(sub.Socket)
}

// restLocked takes back a connection after a call.
func (l *lane) restLocked(conn evid.Lane) {
	if l.resting.len() < int(l.connections) && !l.engine.closed && l.subscribers > 0 {
		l.resting.push(conn)
		return
	}
	l.countLocked(-1)
	l.engine.closeConnection(conn)
}

// countLocked counts connections that may be open.
func (l *lane) countLocked(n int32) {
	l.connected += n
	l.engine.connected += int(n)
}

// closedLocked says that the connections that rest are closed, and which are kept.
func (l *lane) closedLocked(kept connections) {
	l.closing = false
	l.resting = kept
	l.countLocked(-l.connected)
}

// leaveLocked takes away a subscriber. With the last one the lane goes.
func (l *lane) leaveLocked(s *subscriber) {
	if l.unanswered == s {
		l.unanswered = nil
	}
	if l.recent == s {
		l.recent = nil
	}
	l.subscribers--
	l.goLocked()
}

// goLocked removes the lane if nobody needs it any more, or not for now.
func (l *lane) goLocked() {
	e := l.engine
	switch {
	case l.calls > 0 || e.lanes[l.name] != l:
		return
	case l.isSpareLocked():
		l.recent.lane, l.recent.pace = nil, l.pace
	case l.subscribers > 0:
		return
	}
	delete(e.lanes, l.name)
	if len(e.lanes) == 0 {
		e.lanes = make(map[string]*lane) // they may have been many
	}
	if l.in != nil {
		l.in.remove(l)
		l.in = nil
	}
	l.closeLocked()
	l.countLocked(-l.connected)
	e.drainedLocked()
}

// isSpareLocked reports whether the lane has but one subscriber, and there is nothing to
// do and nothing known but its pace: then it can be made anew when it is needed.
func (l *lane) isSpareLocked() bool {
	return l.subscribers == 1 && l.recent != nil && l.calls == 0 && l.connected == 0 &&
		l.ready.len == 0 && l.resting.len() == 0 && l.backoff == nil && l.unanswered == nil
}

// closeLocked ends what goes on by itself: a pause, and what connections do.
func (l *lane) closeLocked() {
	l.backoff.stopLocked(l.engine)
	l.resting.each(l.engine.closeConnection)
	l.resting = connections{}
}

// failLocked makes the lane pause: its destination cannot be reached.
func (l *lane) failLocked(policy *evid.Policy, atLeast time.Duration, reason string) {
	if l.backoff.pauses() {
		return // another call has failed before
	}
	if l.backoff == nil {
		l.backoff = new(backoff)
	}
	l.pace = slow
	l.backoff.reason = reason
	l.backoff.failLocked(l.engine, policy, atLeast, l.resume)
	for s := l.ready.first; s != nil; s = s.links().next {
		s.downLocked(&notice{reason: reason}) // nothing of theirs was attempted
	}
	l.scheduleLocked() // out of the queue, maybe
}

// stallLocked makes the lane pause for a moment, for which its destination is not
// to blame. A raiser waits for that moment only.
func (l *lane) stallLocked() {
	if l.backoff.pauses() {
		if !l.isRaisingLocked() || l.backoff.stalls {
			return
		}
		l.backoff.stopLocked(l.engine)
	}
	if l.backoff == nil {
		l.backoff = new(backoff)
	}
	l.backoff.pauseLocked(l.engine, scarcityPause, l.resume)
	l.backoff.stalls = true
	l.engine.stalled++
	l.scheduleLocked()
}

// lastedLocked says how long a call has lasted.
func (l *lane) lastedLocked(lasted time.Duration) {
	if lasted < peerTime {
		l.slow = 0
		if l.backoff == nil {
			l.pace = quick
		}
		return
	}
	if l.slow++; l.slow >= slowCalls || l.pace == untried {
		l.pace, l.slow = slow, 0
	}
}

// answeredLocked says that the destination lives.
func (l *lane) answeredLocked() {
	l.unanswered = nil
	if l.backoff != nil {
		l.backoff.endLocked(l.engine, true)
		l.backoff = nil
	}
}

// resume ends a pause whose time has come.
func (l *lane) resume() {
	l.engine.mu.Lock()
	defer l.engine.mu.Unlock()
	l.resumeLocked(false)
}

func (l *lane) resumeLocked(early bool) {
	if l.backoff.endLocked(l.engine, early) {
		l.scheduleLocked()
		l.engine.dispatchLocked()
	}
}
