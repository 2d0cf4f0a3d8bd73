package delivery

import (
	"fmt"
	"slices"
	"time"

	"github.com/evid/evid/queue"
)

// LimitCrew makes an engine that has done nothing yet one with few workers.
func (e *Engine) LimitCrew(busy, busySlow, all, allSlow int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.crew.limits = crewLimits{busy: busy, busySlow: busySlow, all: all, allSlow: allSlow, handOff: 1, spare: 2, wake: 1}
}

// Extra is how many more workers may be busy by now.
func (e *Engine) Extra() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.crew.extra
}

// Lanes is how many lanes there are.
func (e *Engine) Lanes() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.lanes)
}

// Audit compares what an open engine counts with what there is, and returns what is
// wrong. Every worker must be in a call or close connections, and all timers whose
// time has come must have ended. The readers are all that were ever attached.
func (e *Engine) Audit(readers []queue.Reader) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := &audit{Engine: e, joined: make(map[*lane]int)}
	for _, r := range readers {
		if s := r.(*subscriber); s.lane != nil && !s.detached {
			a.joined[s.lane]++
		}
	}
	a.watchLocked()
	a.crewLocked()
	connected, stalled, queued, idle := 0, 0, 0, 0
	for name, l := range e.lanes {
		a.laneLocked(name, l)
		a.same(name+": subscribers", int(l.subscribers), a.joined[l])
		delete(a.joined, l)
		connected += int(l.connected)
		if l.backoff.stalling() {
			stalled++
		}
		switch l.in {
		case nil:
		case &e.idle:
			idle++
		default:
			queued++
		}
	}
	a.pausedLocked()
	a.same("lanes that are no more and have subscribers", 0, len(a.joined))
	a.same("connected", e.connected, connected)
	a.same("stalled", e.stalled, stalled)
	a.same("queued", e.crew.queuedLocked(), queued)
	a.same("idle", e.idle.len, idle)
	return a.wrong
}

type audit struct {
	*Engine
	joined map[*lane]int // how many subscribers have a lane
	wrong  []string
}

func (a *audit) say(format string, args ...any) {
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
}

func (a *audit) same(what string, counted, is int) {
	if counted != is {
		a.say("%s: counted %d, is %d", what, counted, is)
	}
}

// elements returns what is in a chain, whose links must be right in both ways.
func elements[T any, E element[T]](a *audit, what string, c *chain[T, E]) []E {
	var list []E
	var previous E
	for e := c.first; e != nil; e = e.links().next {
		if E(e.links().previous) != previous {
			a.say("%s: the links of element %d are wrong", what, len(list))
		}
		list, previous = append(list, e), e
	}
	if c.last != previous {
		a.say("%s: the last is not the last", what)
	}
	a.same(what, c.len, len(list))
	return list
}

// watchLocked looks at the calls under way, and whether the timer ends in time.
func (a *audit) watchLocked() {
	w := &a.watch
	due := never
	for _, calls := range []struct {
		what string
		of   *workers
		age  time.Duration // after which they are in another chain
	}{{"fresh", &w.fresh, peerTime}, {"waiting", &w.waiting, patience}, {"late", &w.late, never}} {
		list := elements(a, calls.what, calls.of)
		for _, call := range list {
			if call.phase != calls.of || call.sub == nil || call.sub.worker != call || call.sub.state != serving {
				a.say("%s: a worker does not know that it is in a call", calls.what)
			}
		}
		if !slices.IsSortedFunc(list, func(a, b *worker) int { return int(a.since - b.since) }) {
			a.say("%s: the oldest is not the first", calls.what)
		}
		if len(list) > 0 && calls.age != never {
			due = min(due, list[0].since+calls.age)
		}
	}
	if a.crew.queuedLocked() > 0 {
		due = min(due, a.now()+handOffAge)
	}
	if a.idle.first != nil {
		due = min(due, a.idle.first.since+linger)
	}
	if due = max(due, w.looked+lookInterval); due < w.due {
		a.say("the watch looks at %v, not at %v; it is %v", w.due, due, a.now())
	}
}

// crewLocked looks at the workers, and whether lanes wait that could be served.
func (a *audit) crewLocked() {
	c, w := &a.crew, &a.watch
	closing, slow := 0, 0
	for _, l := range a.lanes {
		if l.closing && l.calls == 1 {
			closing++
			if l.pace != quick {
				slow++
			}
		}
	}
	a.same("workers", c.workers, w.fresh.len+w.waiting.len+w.late.len+closing)
	for call := w.fresh.first; call != nil; call = call.links().next {
		if call.slow {
			slow++
		}
	}
	a.same("busy with slow lanes", c.busySlow, slow)
	if c.queuedLocked() == 0 {
		a.same("extra without a queue", c.extra, 0)
	}
	busy := w.fresh.len + closing
	others := c.queuedLocked() - c.queues[quick].len
	wanted := c.queues[quick].len > 0 || others > 0 && slow < c.limits.busySlow+c.extra && c.workers < c.limits.allSlow
	if wanted && busy < c.limits.busy+c.extra && c.workers < c.limits.all {
		a.say("%d quick and %d other lanes wait beside %d workers, of which %d are busy", c.queues[quick].len, others, c.workers, busy)
	}
	for _, queue := range []*lanes{&c.queues[0], &c.queues[1], &c.queues[2], &a.idle} {
		for _, l := range elements(a, "lanes", queue) {
			if l.in != queue || a.lanes[l.name] != l {
				a.say("lane %v is in a queue and does not know it, or is no more", l.name)
			}
		}
	}
}

// laneLocked looks at one lane.
func (a *audit) laneLocked(name string, l *lane) {
	say := func(format string, args ...any) { a.say("lane %v: %s", name, fmt.Sprintf(format, args...)) }
	calls, late := 0, 0
	a.watch.eachLocked(func(call *worker) {
		if call.lane == l {
			calls++
			if call.phase == &a.watch.late {
				late++
			}
		}
	})
	if l.closing && l.calls == 1 {
		calls++ // it closes connections
	} else if n := int(l.connected); n < calls || n > calls+l.resting.len() {
		say("%d connected with %d calls and %d resting", l.connected, calls, l.resting.len())
	}
	a.same(name+": calls", int(l.calls), calls)
	a.same(name+": late calls", int(l.late), late)
	pausing := 0
	for s := a.paused.first; s != nil; s = s.links().next {
		if s.lane == l {
			pausing++
		}
	}
	switch {
	case l.name != name:
		say("it has another name: %v", l.name)
	case int(l.subscribers) < l.ready.len+pausing || l.subscribers == 0 && calls == 0:
		say("%d subscribers, %d ready and %d paused", l.subscribers, l.ready.len, pausing)
	case l.backoff.pauses() && l.backoff.until < a.now():
		say("it still pauses")
	case l.isSpareLocked():
		say("it should be no more")
	}
	a.subscribersLocked(l)
	runnable := l.isRunnableLocked()
	switch queued := l.in != nil && l.in != &a.idle; {
	case runnable && !queued:
		say("it is not queued: %d ready, raising %t, %d calls, backoff %+v", l.ready.len, l.isRaisingLocked(), l.calls, l.backoff)
	case queued && !runnable:
		say("it is queued with nothing to do")
	case !queued && (l.in == &a.idle) != (!runnable && l.connected > 0 && l.calls == 0):
		say("idle or not: it is wrong")
	}
}

// subscribersLocked looks at those of a lane that are in line.
func (a *audit) subscribersLocked(l *lane) {
	others := false
	for _, s := range elements(a, l.name+": ready", &l.ready) {
		if s.lane != l || s.state != ready || s.detached || s.backoff().pauses() {
			a.say("subscriber %v is in line and should not be", s.sub.Socket)
		}
		if s.raising && others {
			a.say("subscriber %v: a raiser waits behind others", s.sub.Socket)
		}
		others = others || !s.raising
	}
}

// pausedLocked looks at the subscribers that pause.
func (a *audit) pausedLocked() {
	for _, s := range elements(a, "paused", &a.paused) {
		if s.lane != nil && a.lanes[s.lane.name] != s.lane || s.state != paused || s.detached || s.raising ||
			!s.backoff().pauses() || s.backoff().until < a.now() {
			a.say("subscriber %v pauses and should not", s.sub.Socket)
		}
	}
}
