package main

import (
	"context"
	"fmt"
	"os"
)

// awayEvents is how many events a subscriber misses, in the row about that.
const awayEvents = 1_000_000

// diskExperiments are the rows about a queue on disk, with sync=always.
func diskExperiments() []*experiment {
	return []*experiment{accepts(), oneInFlightOnDisk(), handsToMany(), besideIdleOnes(), restarts(), aways()}
}

// onDisk gives a task a directory for its queue, and runs it.
func (l *lab) onDisk(ctx context.Context, t task) (result, error) {
	dir, err := os.MkdirTemp("", "evid-bench-queue-")
	if err != nil {
		return result{}, fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	t.Dir = dir
	l.place(&t)
	return l.send(ctx, t)
}

// accepts is how many events are kept, beside a bare publish, and beside what one raiser
// would let expect.
func accepts() *experiment {
	e := &experiment{rows: []*row{{
		what: "on disk: accept, 1 raiser", unit: unitRate,
		reference: "a bare publish to JetStream", limit: limit{ratio: 0.85},
	}}}
	counts := []int{64, 256}
	for _, n := range counts {
		e.rows = append(e.rows, &row{
			what: fmt.Sprintf("on disk: accept, %d raisers", n), unit: unitRate,
			reference: fmt.Sprintf("%d raisers who share two writes", n), limit: limit{ratio: 0.8},
		})
	}
	e.run = func(ctx context.Context, l *lab, turn int) ([]sample, error) {
		samples := make([]sample, len(e.rows))
		var alone float64
		err := inTurn(turn,
			func() error {
				r, err := l.onDisk(ctx, task{Kind: "publish"})
				samples[0].reference, samples[0].referenceCPU = r.Rate, r.CPU
				return err
			},
			func() error {
				r, err := l.onDisk(ctx, task{Kind: "accept", Events: 1})
				samples[0].set(r)
				alone = r.Rate
				return err
			})
		for i, n := range counts {
			if err != nil {
				break
			}
			var r result
			r, err = l.onDisk(ctx, task{Kind: "accept", Events: n})
			samples[i+1].set(r)
			samples[i+1].reference = alone * float64(n) / 2
		}
		return samples, err
	}
	return e
}

// set fills in a rate and what it costs.
func (s *sample) set(r result) { s.value, s.cpu, s.allocs, s.hasAllocs = r.Rate, r.CPU, r.Allocs, true }

// oneInFlightOnDisk is one subscriber who gets one event per call, beside the same in
// memory.
func oneInFlightOnDisk() *experiment {
	flooded := task{
		Kind:   "flood",
		Groups: []group{{Event: event, Count: 1, Options: single}},
		Depth:  oneByOne,
	}
	return &experiment{
		rows: []*row{{
			what: "on disk: one subscriber, one in flight", unit: unitRate,
			reference: "the same in memory", limit: limit{ratio: 0.8},
		}},
		run: func(ctx context.Context, l *lab, turn int) ([]sample, error) {
			var s sample
			err := inTurn(turn,
				func() error {
					r, err := l.sendToSink(ctx, flooded)
					s.reference, s.referenceCPU = r.Rate, r.CPU
					return err
				},
				func() error {
					dir, err := os.MkdirTemp("", "evid-bench-queue-")
					if err != nil {
						return fmt.Errorf("make directory: %w", err)
					}
					defer os.RemoveAll(dir)
					t := flooded
					t.Dir = dir
					r, err := l.sendToSink(ctx, t)
					s.set(r)
					return err
				})
			return []sample{s}, err
		},
	}
}

// handsToMany is one event for 1,000 subscribers that do nothing with it.
func handsToMany() *experiment {
	return &experiment{
		rows: []*row{{
			what: "on disk: 1,000 subscribers, accepted and handed to all", unit: unitRate, limit: limit{least: 50_000},
		}},
		run: func(ctx context.Context, l *lab, _ int) ([]sample, error) {
			r, err := l.onDisk(ctx, task{Kind: "hand"})
			s := sample{}
			s.set(r)
			return []sample{s}, err
		},
	}
}

// besideIdleOnes is what is written about subscribers while one gets events and 10,000 do
// not.
func besideIdleOnes() *experiment {
	return &experiment{
		rows: []*row{{
			what: "on disk: written about subscribers, 10,000 idle ones beside one with 50,000 events/s", unit: "KB/s",
			limit: limit{most: 100},
		}},
		run: func(ctx context.Context, l *lab, _ int) ([]sample, error) {
			r, err := l.onDisk(ctx, task{Kind: "beside", Rate: 50_000})
			return []sample{{value: r.Bytes / 1000, cpu: r.CPU}}, err
		},
	}
}

// restarts is how long 10,000 subscribers take to be there again.
func restarts() *experiment {
	return &experiment{
		rows: []*row{{what: "on disk: restart with 10,000 subscribers", unit: "ms", limit: limit{most: 300}}},
		run: func(ctx context.Context, l *lab, _ int) ([]sample, error) {
			r, err := l.onDisk(ctx, task{Kind: "restart"})
			return []sample{{value: milliseconds(r.Start)}}, err
		},
	}
}

// aways is what a subscriber costs that is away for a million events.
func aways() *experiment {
	return &experiment{
		rows: []*row{
			{what: "on disk: one subscriber away for 1,000,000 events: memory, more than before", unit: "MB", limit: limit{most: 50}},
			{what: "on disk: these events raised", unit: unitRate},
			{what: "on disk: these events read and handed to it", unit: unitRate},
			{what: "on disk: restart with these events, until the first is handed to it", unit: "ms", limit: limit{most: 1000}},
		},
		run: func(ctx context.Context, l *lab, _ int) ([]sample, error) {
			r, err := l.onDisk(ctx, task{Kind: "away", Events: awayEvents})
			return []sample{
				{value: r.Memory},
				{value: r.Rate, cpu: r.CPU},
				{value: float64(awayEvents) / r.Cold.Seconds()},
				{value: milliseconds(r.Start)},
			}, err
		},
	}
}
