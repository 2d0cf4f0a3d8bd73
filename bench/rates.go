package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

const (
	unitRate = "events/s"
	event    = "E_PIKE_BLOCKED"

	// A raiser has this many events wait for a subscriber that takes them one by one, and
	// for one that takes several at a time.
	oneByOne = 512
	several  = 8192
	// backlogEvents wait before the clock starts in the row of that name.
	backlogEvents = 200_000
)

// standardExperiments are the rows beside the reference, and what evid costs.
func standardExperiments() []*experiment {
	return append([]*experiment{
		oneInFlight(),
		drainedBacklog(),
		growingBacklog(),
		eightDestinations(),
		eightBareLoops(),
		latencies(),
		isolation(),
	}, slices.Concat(costExperiments(), diskExperiments(), sipExperiments())...)
}

// oneInFlight is one subscriber who gets one event per call.
func oneInFlight() *experiment {
	flooded := task{
		Kind:   "flood",
		Groups: []group{{Event: event, Count: 1, Options: single}},
		Depth:  oneByOne,
	}
	return rateExperiment(row{
		what:      "one subscriber, one in flight",
		reference: "`csend pp -k 1`",
		limit:     limit{ratio: 0.85},
	}, flooded, "pp", "-k", "1")
}

// drainedBacklog is one subscriber with many events waiting when the clock starts.
func drainedBacklog() *experiment {
	drained := task{
		Kind:   "backlog",
		Groups: []group{{Event: event, Count: 1}},
		Events: backlogEvents,
	}
	return rateExperiment(row{
		what:      "one subscriber, 200,000 events waiting, multicall",
		reference: "`csend pipe -k 8 -d 32`",
		limit:     limit{ratio: 0.2, peer: 15},
	}, drained, "pipe", "-k", "8", "-d", "32")
}

// growingBacklog is the same while events are raised.
func growingBacklog() *experiment {
	flooded := task{
		Kind:   "flood",
		Groups: []group{{Event: event, Count: 1}},
		Depth:  several,
	}
	return rateExperiment(row{
		what:      "one subscriber, a raiser that keeps ahead, multicall",
		reference: "`csend pipe -k 8 -d 32`",
	}, flooded, "pipe", "-k", "8", "-d", "32")
}

// eightDestinations is one event for eight subscribers, with a server each.
func eightDestinations() *experiment {
	flooded := task{
		Kind:   "flood",
		Groups: []group{{Event: event, Count: 8, Options: single}},
		Depth:  oneByOne,
	}
	return rateExperiment(row{
		what:      "8 destinations, one in flight each",
		reference: "`csend pp -k 8`",
		limit:     limit{ratio: 0.55},
	}, flooded, "pp", "-k", "8")
}

// eightBareLoops is what Go itself makes of that.
func eightBareLoops() *experiment {
	bare := task{Kind: "bare", Groups: []group{{Event: event, Count: 8}}}
	return rateExperiment(row{
		what:      "8 destinations, a bare loop in Go instead of evid",
		reference: "`csend pp -k 8`",
	}, bare, "pp", "-k", "8")
}

// rateExperiment measures a task beside a mode of csend and beside the C module's loop.
func rateExperiment(r row, t task, mode string, args ...string) *experiment {
	r.unit = unitRate
	return &experiment{
		rows: []*row{&r},
		run: func(ctx context.Context, l *lab, turn int) ([]sample, error) {
			var s sample
			err := inTurn(turn,
				func() (err error) {
					s.peer, _, err = l.reference(ctx, "peer")
					return err
				},
				func() (err error) {
					s.reference, s.referenceCPU, err = l.reference(ctx, mode, args...)
					return err
				},
				func() error {
					r, err := l.sendToSink(ctx, t)
					s.value, s.cpu, s.allocs, s.hasAllocs = r.Rate, r.CPU, r.Allocs, true
					return err
				})
			return []sample{s}, err
		},
	}
}

// reference returns the rate of a mode of csend against a fresh sink, and the µs of
// processor time that an event takes it.
func (l *lab) reference(ctx context.Context, mode string, args ...string) (rate, cpu float64, err error) {
	s, err := l.startSink(ctx, l.port, 1)
	if err != nil {
		return 0, 0, err
	}
	defer s.kill()
	c, err := l.csend(ctx, l.host, l.port, mode, args...)
	if err == nil && c.failed > 0 {
		err = fmt.Errorf("run csend %s: %d events failed", mode, c.failed)
	}
	return c.rate, c.cpu, err
}

// sendToSink runs a task whose groups get the ports of one fresh sink, one group after
// the other, and checks that the sink was called as often as the task has confirmed.
func (l *lab) sendToSink(ctx context.Context, t task) (result, error) {
	ports := l.place(&t)
	s, err := l.startSink(ctx, l.port, ports)
	if err != nil {
		return result{}, err
	}
	defer s.kill()
	t.Hold = s.cmd.Process.Pid
	return l.sendTo(ctx, t, s)
}

// sendTo runs a task, stops the sinks of its healthy groups, and checks what they say.
func (l *lab) sendTo(ctx context.Context, t task, sinks ...*sink) (result, error) {
	r, err := l.send(ctx, t)
	if err != nil {
		return r, err
	}
	var calls uint64
	for _, s := range sinks {
		n, err := s.stop()
		if err != nil {
			return r, err
		}
		calls += n
	}
	return r, r.check(calls)
}

// place gives each group of a task its address and its ports, and returns how many ports
// there are. What is given stays.
func (l *lab) place(t *task) int {
	groups := append([]group(nil), t.Groups...)
	next := l.port
	for i := range groups {
		if groups[i].Port == 0 {
			groups[i].Port = next
		}
		groups[i].Host = cmp.Or(groups[i].Host, l.host)
		next = groups[i].Port + groups[i].Count
	}
	t.Groups = groups
	if t.For == 0 {
		t.For = l.seconds
	}
	return next - l.port
}

// check compares what was confirmed with what the servers did.
func (r result) check(calls uint64) error {
	if r.Delivered != calls {
		return fmt.Errorf("count deliveries: %d are confirmed, the servers were called %d times", r.Delivered, calls)
	}
	if r.Dropped > 0 {
		return fmt.Errorf("count deliveries: %d events were dropped", r.Dropped)
	}
	return nil
}

// latencies is how long an event takes from raise to confirmed, at half the rate that
// one subscriber bears. That rate is measured right before.
func latencies() *experiment {
	one := []group{{Event: event, Count: 1, Options: single}}
	half := []group{{Event: event, Count: 1}}
	return &experiment{
		rows: []*row{
			{what: "latency at half load, one subscriber: p50", unit: "µs", limit: limit{most: 100}},
			{what: "latency at half load, one subscriber: p99", unit: "µs", limit: limit{most: 2000}},
		},
		run: func(ctx context.Context, l *lab, _ int) ([]sample, error) {
			full, err := l.sendToSink(ctx, task{Kind: "flood", Groups: one, Depth: oneByOne})
			if err != nil {
				return nil, err
			}
			r, err := l.sendToSink(ctx, task{Kind: "latency", Groups: half, Rate: full.Rate / 2})
			if err != nil {
				return nil, err
			}
			p50 := sample{value: microseconds(r.P50), cpu: r.CPU, allocs: r.Allocs, hasAllocs: true}
			return []sample{p50, {value: microseconds(r.P99)}}, nil
		},
	}
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
