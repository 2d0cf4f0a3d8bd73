package main

import (
	"context"
	"fmt"
)

const (
	manyCount  = 10_000 // subscribers, with a server each
	sinkPorts  = 5_000  // ports of one sink: a process may have 20,000 files
	slowReply  = "90"   // ms
	quickRate  = 1_000  // events/s
	quickEvent = "E_QUICK"
)

// costExperiments are what evid costs, and its limits in absolute figures.
func costExperiments() []*experiment {
	return []*experiment{fanOuts(), slowLanes(), idleSubscribers(), raises()}
}

// fanOuts is one event for 10,000 subscribers with a server each.
func fanOuts() *experiment {
	const to = "one event to 10,000 subscribers"
	return &experiment{
		rows: []*row{
			{what: to + ", with connects", unit: "ms", limit: limit{most: 400}},
			{what: to + ", connected", unit: "ms"},
			{what: to + ": the raiser is free after", unit: "ms", limit: limit{most: 2}},
			{what: to + ": memory at its peak, more than before", unit: "MB", limit: limit{most: 40}},
		},
		run: func(ctx context.Context, l *lab, _ int) ([]sample, error) {
			r, err := l.sendToMany(ctx, task{Kind: "fan out"}, nil)
			if err != nil {
				return nil, err
			}
			return []sample{
				{value: milliseconds(r.Cold)},
				{value: milliseconds(r.Warm)},
				{value: milliseconds(r.Raise)},
				{value: r.Memory},
			}, nil
		},
	}
}

// slowLanes is a quick subscriber under load, beside 10,000 whose servers take their time.
func slowLanes() *experiment {
	return &experiment{
		rows: []*row{
			{what: "one quick subscriber beside 10,000 that take 90 ms: its p99", unit: "ms", limit: limit{most: 50}},
			{what: "one quick subscriber beside 10,000 that take 90 ms: its p50", unit: "ms"},
		},
		run: func(ctx context.Context, l *lab, _ int) ([]sample, error) {
			port := l.port + manyCount
			quick, err := l.startSink(ctx, port, 1)
			if err != nil {
				return nil, err
			}
			defer quick.kill()
			t := task{Kind: "slow", For: 4 * l.seconds, Rate: quickRate}
			t.Groups = []group{{Event: quickEvent, Port: port, Count: 1}}
			r, err := l.sendToMany(ctx, t, []*sink{quick}, "-d", slowReply)
			if err != nil {
				return nil, err
			}
			p99 := sample{value: milliseconds(r.P99), cpu: r.CPU, allocs: r.Allocs, hasAllocs: true}
			return []sample{p99, {value: milliseconds(r.P50)}}, nil
		},
	}
}

// idleSubscribers is the memory of 10,000 subscribers that have nothing to do.
func idleSubscribers() *experiment {
	return &experiment{
		rows: []*row{
			{what: "an idle subscriber, never called", unit: "B", limit: limit{most: 1000}},
			{what: "an idle subscriber, called once", unit: "B", limit: limit{most: 1000}},
		},
		run: func(ctx context.Context, l *lab, _ int) ([]sample, error) {
			r, err := l.sendToMany(ctx, task{Kind: "idle"}, nil)
			return []sample{{value: r.Idle}, {value: r.Rested}}, err
		},
	}
}

// sendToMany runs a task with a group of 10,000 subscribers more, who have their ports on
// two sinks with these options. The groups that are there have the other sinks.
func (l *lab) sendToMany(ctx context.Context, t task, sinks []*sink, options ...string) (result, error) {
	t.Groups = append(t.Groups, group{Event: event, Port: l.port, Count: manyCount})
	l.place(&t)
	for first := 0; first < manyCount; first += sinkPorts {
		s, err := l.startSink(ctx, l.port+first, sinkPorts, options...)
		if err != nil {
			return result{}, err
		}
		defer s.kill()
		sinks = append(sinks, s)
	}
	return l.sendTo(ctx, t, sinks...)
}

// raises is what a raise takes its caller.
func raises() *experiment {
	counts := []int{1, 100, 10_000}
	e := &experiment{}
	for _, n := range counts {
		e.rows = append(e.rows, &row{
			what:  fmt.Sprintf("Raise, %s subscribers, all behind", figure(float64(n))),
			unit:  "ns",
			limit: limit{most: 1000 + 100*float64(n), allocs: 2},
		})
	}
	e.rows[0].what = "Raise, 1 subscriber, behind"
	e.rows = append(e.rows, &row{
		what:  "Raise, 1 subscriber with nothing to do: a worker is woken",
		unit:  "ns",
		limit: limit{most: 10_000},
	})
	e.run = func(ctx context.Context, l *lab, _ int) ([]sample, error) {
		r, err := l.send(ctx, task{Kind: "raise"})
		if err != nil {
			return nil, err
		}
		var samples []sample
		for _, n := range counts {
			cost := r.Raises[fmt.Sprint(n)]
			samples = append(samples, sample{value: cost.Nanoseconds, allocs: cost.Allocs, hasAllocs: true})
		}
		return append(samples, sample{value: r.Raises[wake].Nanoseconds}), nil
	}
	return e
}
