package main

import (
	"errors"
	"slices"
	"time"
)

// fanOut raises one event to all groups, which have the same: first with connects, then
// over the open connections.
func fanOut(t task) (result, error) {
	var r result
	g := newGauge()
	n, err := t.prepare(1024, g.wrap)
	if err != nil {
		return r, err
	}
	defer n.close()
	before, err := resident()
	if err != nil {
		return r, err
	}
	if r.Raise, r.Cold, err = n.raiseToAll(t, g); err != nil {
		return r, err
	}
	peak, err := peakResident()
	if err != nil {
		return r, err
	}
	r.Memory = (float64(peak) - float64(before)) / 1e6
	var warm []time.Duration
	for range 5 {
		_, took, err := n.raiseToAll(t, g)
		if err != nil {
			return r, err
		}
		warm = append(warm, took)
	}
	slices.Sort(warm)
	r.Warm = percentile(warm, 0.5)
	return r, t.finish(n, &r)
}

// raiseToAll raises an event and waits until everyone has it. It returns what the raiser
// spent, and what it took in all.
func (n *notifier) raiseToAll(t task, g *gauge) (raiser, all time.Duration, err error) {
	g.expect(t.subscribers())
	began := time.Now()
	if err := n.raise(t.Groups[0].Event); err != nil {
		return 0, 0, err
	}
	raiser = time.Since(began)
	if err := g.await(30 * time.Second); err != nil {
		return 0, 0, err
	}
	return raiser, time.Since(began), nil
}

func (t task) subscribers() int {
	count := 0
	for _, g := range t.Groups {
		count += g.Count
	}
	return count
}

// idle measures what a subscriber takes that has nothing to do: before it was ever
// called, and once its connection has been closed again after one call.
func idle(t task) (result, error) {
	var r result
	n, err := newNotifier(1024, nil)
	if err != nil {
		return r, err
	}
	defer n.close()
	files, err := openFiles()
	if err != nil {
		return r, err
	}
	before := heapInUse()
	for _, g := range t.Groups {
		if err := n.subscribe(g); err != nil {
			return r, err
		}
	}
	each := func(now uint64) float64 { return (float64(now) - float64(before)) / float64(t.subscribers()) }
	r.Idle = each(heapInUse())
	if err := n.raise(t.Groups[0].Event); err != nil {
		return r, err
	}
	if err := t.finish(n, &r); err != nil {
		return r, err
	}
	if err := awaitRest(files); err != nil {
		return r, err
	}
	r.Rested = each(heapInUse())
	return r, nil
}

// awaitRest waits until hardly more files are open than there were: connections that
// linger have been closed.
func awaitRest(files int) error {
	const patience, others = 30 * time.Second, 8
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		open, err := openFiles()
		if err != nil || open <= files+others {
			return err
		}
	}
	return errors.New("wait for rest: connections are still open")
}
