package main

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// latency raises the event of the first group at a steady rate, whatever is delivered.
func latency(t task) (result, error) {
	var r result
	g := newGauge()
	g.timed = t.Groups[0].Event
	n, err := t.prepare(1<<16, g.wrap) // what waits counts as late, not as lost
	if err != nil {
		return r, err
	}
	defer n.close()
	if err := n.pace(g.timed, t.Rate, warmUp); err != nil {
		return r, err
	}
	g.take()
	m, err := startMeter()
	if err != nil {
		return r, err
	}
	if err := n.pace(g.timed, t.Rate, t.For); err != nil {
		return r, err
	}
	noted := g.take()
	if err := m.stop(int64(len(noted)), &r); err != nil {
		return r, err
	}
	slices.Sort(noted)
	r.P50, r.P99 = percentile(noted, 0.5), percentile(noted, 0.99)
	return r, t.finish(n, &r)
}

// pace raises an event so many times a second, for some time. Between those that follow
// one another closely it sleeps in the kernel: a sleep of Go's can be a millisecond late,
// and what is due would come in bursts. With a long sleep that would keep a processor from
// what is measured.
func (n *notifier) pace(event string, rate float64, period time.Duration) error {
	const long = 500 * time.Microsecond
	if rate*long.Seconds() > 1 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	if rate <= 0 {
		return fmt.Errorf("raise %s: expected a rate above 0, got %v", event, rate)
	}
	began := time.Now()
	for raised := 0; ; raised++ {
		due := time.Duration(float64(raised) / rate * float64(time.Second))
		if due >= period {
			return nil
		}
		switch wait := due - time.Since(began); {
		case wait >= long:
			time.Sleep(wait)
		case wait > 0:
			left := syscall.NsecToTimespec(wait.Nanoseconds())
			syscall.Nanosleep(&left, nil) //nolint:errcheck // a signal may end it early: the next one sleeps longer
		}
		if err := n.raise(event); err != nil {
			return err
		}
	}
}

// slow raises the event of the first group, which is for quick subscribers, at a steady
// rate, while each of the second group gets one too, over and over: as often as takes
// half of one processor, by what the first takes, which is not measured otherwise.
func slow(t task) (result, error) {
	var r result
	g := newGauge()
	quick, slow := t.Groups[0], t.Groups[1]
	g.timed = quick.Event
	n, err := t.prepare(1<<16, g.wrap)
	if err != nil {
		return r, err
	}
	defer n.close()
	begun, err := cpuTime()
	if err != nil {
		return r, err
	}
	g.expect(slow.Count)
	if err := n.raise(slow.Event); err != nil {
		return r, err
	}
	if err := g.await(30 * time.Second); err != nil {
		return r, err
	}
	ended, err := cpuTime()
	if err != nil {
		return r, err
	}
	interval := 2 * (ended - begun)
	paced := make(chan error, 1)
	go func() { paced <- n.pace(slow.Event, 1/interval.Seconds(), t.For) }()
	g.take()
	m, err := startMeter()
	if err != nil {
		return r, err
	}
	before := g.delivered.Load()
	err = n.pace(quick.Event, t.Rate, t.For)
	if errSlow := <-paced; err == nil {
		err = errSlow
	}
	if err != nil {
		return r, err
	}
	noted := g.take()
	if err := m.stop(g.delivered.Load()-before, &r); err != nil {
		return r, err
	}
	slices.Sort(noted)
	r.P50, r.P99 = percentile(noted, 0.5), percentile(noted, 0.99)
	return r, t.finish(n, &r)
}
