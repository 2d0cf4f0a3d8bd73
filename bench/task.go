package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/evid/evid"
)

// A task is what a sender process does: in a process of its own, its processor time, its
// garbage and its memory are those of one run of evid and of nothing else.
type task struct {
	Kind   string // a key of tasks
	Groups []group
	For    time.Duration // it is measured
	Depth  int           // events that wait for each subscriber of the first group, at most
	Rate   float64       // events/s
	Events int           // raised before the clock starts
	Hold   int           // process that stands still until then
	Peer   int           // process that receives what is sent
	Bad    int           // groups at the end whose subscribers take nothing
	Dir    string        // of the queue; empty: it is in memory
}

// A result is what came of a task, as far as it applies.
type result struct {
	Rate      float64 // events/s
	CPU       float64 // µs/event
	Allocs    float64 // per event
	Delivered uint64  // confirmed in all, but for bad groups
	Dropped   uint64  // lost, but for bad groups

	P50, P99 time.Duration // from raise to confirmed
	Cold     time.Duration // from raise until all have confirmed, with connects
	Warm     time.Duration // the same over open connections
	Raise    time.Duration // what the raiser spends, with connects
	Memory   float64       // MB more than before
	Idle     float64       // bytes per subscriber that was never called
	Rested   float64       // bytes per subscriber that was called once

	Raises map[string]raiseCost // by what is subscribed

	Bytes float64       // written about subscribers, per second
	Start time.Duration // until all are subscribed again
}

// runTask does what the text of a task says, and prints its result as one line of JSON.
func runTask(text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return fmt.Errorf("read task: %w", err)
	}
	run := map[string]func(task) (result, error){
		"flood":   flood,
		"bare":    bareLoop,
		"backlog": backlog,
		"latency": latency,
		"fan out": fanOut,
		"slow":    slow,
		"idle":    idle,
		"raise":   raiseCosts,
		"publish": publish,
		"accept":  accept,
		"hand":    handToMany,
		"beside":  besideIdle,
		"restart": restart,
		"away":    away,
		"sip":     sipRequests,
		"hep":     func(t task) (result, error) { return hepPackets(t, fewSources) },
		"random":  func(t task) (result, error) { return hepPackets(t, randomSources) },
		"echo":    func(t task) (result, error) { return bareUDP(t, true) },
		"read":    func(t task) (result, error) { return bareUDP(t, false) },
	}[t.Kind]
	if run == nil {
		return fmt.Errorf("read task: unknown kind %q", t.Kind)
	}
	r, err := run(t)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// prepare returns a notifier with all groups of the task subscribed.
func (t task) prepare(maxEvents int, wrap func(evid.Transport) evid.Transport) (*notifier, error) {
	n, err := t.notifier(maxEvents, wrap)
	if err != nil {
		return nil, err
	}
	for _, g := range t.Groups {
		if err := n.subscribe(g); err != nil {
			n.close()
			return nil, err
		}
	}
	return n, nil
}

func (t task) notifier(maxEvents int, wrap func(evid.Transport) evid.Transport) (*notifier, error) {
	if t.Dir == "" {
		return newNotifier(maxEvents, wrap)
	}
	transports, err := newTransports()
	if err != nil {
		return nil, err
	}
	return onDisk(t.Dir, transports)
}

// finish waits until nothing waits for the healthy groups, and fills in what became of
// their events.
func (t task) finish(n *notifier, r *result) error {
	const patience = 30 * time.Second
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var sum evid.Counts
		for _, g := range t.Groups[:len(t.Groups)-t.Bad] {
			counts, err := n.counts(g)
			if err != nil {
				return err
			}
			sum.Add(counts)
		}
		if sum.Waiting == 0 {
			r.Delivered, r.Dropped = sum.Delivered, sum.Dropped
			if sum.Dead+sum.Abandoned > 0 {
				return fmt.Errorf("deliver: %d events were given up", sum.Dead+sum.Abandoned)
			}
			return nil
		}
		if time.Now().After(end) {
			return lateError{int64(sum.Waiting), patience}
		}
	}
}

// A lateError says that events were not delivered in time.
type lateError struct {
	missing int64
	within  time.Duration
}

func (e lateError) Error() string {
	return fmt.Sprintf("deliver: %d events were not confirmed within %v", e.missing, e.within)
}
