package main

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// warmUp is how long a flood runs before it is measured: connections are made then.
const warmUp = 200 * time.Millisecond

// flood raises the event of the first group as fast as it is delivered: so that there is
// always something to send, and never more than Depth events wait for each subscriber.
func flood(t task) (result, error) {
	var r result
	gauge := newGauge()
	n, err := t.prepareFlood(gauge)
	if err != nil {
		return r, err
	}
	defer n.close()
	f := flooder{notifier: n, event: t.Groups[0].Event, fan: int64(t.Groups[0].Count), depth: int64(t.Depth)}
	f.delivered = func() int64 { return int64(n.queue.Totals().Delivered) }
	if t.Bad > 0 {
		f.delivered = gauge.delivered.Load
	}
	if err := f.run(warmUp); err != nil {
		return r, err
	}
	m, err := startMeter()
	if err != nil {
		return r, err
	}
	before := f.delivered()
	if err := f.run(t.For); err != nil {
		return r, err
	}
	if err := m.stop(f.delivered()-before, &r); err != nil {
		return r, err
	}
	return r, t.finish(n, &r)
}

// prepareFlood prepares. Where some subscribers take nothing the list is as long as by
// default, so that they lose events as they would; else it holds all that may wait. Only
// then are single lanes watched: the figure of a row without bad ones is evid's alone.
func (t task) prepareFlood(g *gauge) (*notifier, error) {
	if t.Bad > 0 {
		return t.prepare(1024, g.wrap)
	}
	return t.prepare(max(1024, 2*t.Depth*t.Groups[0].Count), nil)
}

// A flooder raises as fast as is delivered.
type flooder struct {
	*notifier
	event     string
	fan       int64 // subscribers that take the event
	depth     int64
	raised    int64
	delivered func() int64
}

// run floods for some time. It looks for room no more often than it must: that takes
// processor time from what is measured.
func (f *flooder) run(period time.Duration) error {
	const looks, least, most = 8, 50 * time.Microsecond, 5 * time.Millisecond
	pause, filled := least, time.Now()
	for end := filled.Add(period); time.Now().Before(end); {
		room := f.depth - (f.raised*f.fan-f.delivered())/f.fan
		if room < (f.depth+1)/2 {
			time.Sleep(pause)
			continue
		}
		pause = min(max(time.Since(filled)/looks, least), most)
		filled = time.Now()
		if err := f.raiseMany(f.event, room); err != nil {
			return err
		}
		f.raised += room
	}
	return nil
}

// raiseMany raises an event so many times; with a queue on disk all at once, so that they
// share the writing.
func (n *notifier) raiseMany(event string, times int64) error {
	if n.store == nil {
		for range times {
			if err := n.raise(event); err != nil {
				return err
			}
		}
		return nil
	}
	var group errgroup.Group
	for range times {
		group.Go(func() error { return n.raise(event) })
	}
	return group.Wait()
}

// backlog has many events wait for one subscriber, whose server stands still meanwhile,
// and measures how fast they go once it runs again.
func backlog(t task) (result, error) {
	var r result
	n, err := t.prepare(2*t.Events, nil)
	if err != nil {
		return r, err
	}
	defer n.close()
	event := t.Groups[0].Event
	if err := n.raise(event); err != nil { // connects
		return r, err
	}
	if err := t.finish(n, &r); err != nil {
		return r, err
	}
	if err := syscall.Kill(t.Hold, syscall.SIGSTOP); err != nil {
		return r, fmt.Errorf("stop server: %w", err)
	}
	for range t.Events {
		if err := n.raise(event); err != nil {
			return r, err
		}
	}
	m, err := startMeter()
	if err != nil {
		return r, err
	}
	before := n.queue.Totals().Delivered
	if err := syscall.Kill(t.Hold, syscall.SIGCONT); err != nil {
		return r, fmt.Errorf("continue server: %w", err)
	}
	for n.queue.Totals().Waiting > 0 && time.Since(m.began) < time.Minute {
		time.Sleep(time.Millisecond)
	}
	if err := m.stop(int64(n.queue.Totals().Delivered-before), &r); err != nil {
		return r, err
	}
	return r, t.finish(n, &r)
}
