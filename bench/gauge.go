package main

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid"
)

// A gauge notes what the lanes of the transports it wraps deliver.
type gauge struct {
	delivered atomic.Int64
	target    atomic.Int64
	reached   chan struct{} // when delivered comes to target

	timed string // the event whose latency is noted; empty: none

	mu        sync.Mutex
	latencies []time.Duration // from raise to confirmed
}

func newGauge() *gauge { return &gauge{reached: make(chan struct{}, 1)} }

// wrap returns a transport whose lanes the gauge watches.
func (g *gauge) wrap(t evid.Transport) evid.Transport { return gaugedTransport{t, g} }

// expect makes await wait for so many deliveries more.
func (g *gauge) expect(n int) { g.target.Store(g.delivered.Load() + int64(n)) }

// await waits for what was expected.
func (g *gauge) await(patience time.Duration) error {
	select {
	case <-g.reached:
		return nil
	case <-time.After(patience):
		missing := g.target.Load() - g.delivered.Load()
		return lateError{missing, patience}
	}
}

// take returns the latencies that were noted since it was last called.
func (g *gauge) take() []time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := g.latencies
	g.latencies = make([]time.Duration, 0, 1<<16)
	return taken
}

func (g *gauge) note(batch []evid.Item) {
	now := time.Now()
	for i := range batch {
		if batch[i].Result.Verdict != evid.Delivered {
			continue
		}
		if batch[i].Event.Name == g.timed {
			g.mu.Lock()
			g.latencies = append(g.latencies, now.Sub(batch[i].Event.Time))
			g.mu.Unlock()
		}
		if g.delivered.Add(1) == g.target.Load() {
			g.reached <- struct{}{}
		}
	}
}

type gaugedTransport struct {
	evid.Transport
	gauge *gauge
}

// Open implements [evid.Transport].
func (t gaugedTransport) Open(s evid.Socket) evid.Lane {
	l := gaugedLane{t.Transport.Open(s), t.gauge}
	if suspender, ok := l.Lane.(evid.Suspender); ok {
		return gaugedSuspender{l, suspender}
	}
	return l
}

type gaugedLane struct {
	evid.Lane
	gauge *gauge
}

// Deliver implements [evid.Lane].
func (l gaugedLane) Deliver(batch []evid.Item) {
	l.Lane.Deliver(batch)
	l.gauge.note(batch)
}

type gaugedSuspender struct {
	gaugedLane
	suspender evid.Suspender
}

// DeliverTask implements [evid.Suspender].
func (l gaugedSuspender) DeliverTask(task evid.Task, batch []evid.Item) {
	l.suspender.DeliverTask(task, batch)
	l.gauge.note(batch)
}
