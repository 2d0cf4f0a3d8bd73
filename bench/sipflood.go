package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

const (
	// maxGrowth is how many times the memory at a third of a flood the daemon may have at
	// its end.
	maxGrowth = 1.2
	// fullLatency is remove_latency of pike by default, in seconds.
	fullLatency = 120
)

// hepFloods is what memory the daemon takes while it gets packets from addresses that come
// once each, as many as it can take.
func hepFloods() *experiment {
	return &experiment{
		rows: []*row{
			{
				what: "HEP flood from random addresses: resident memory at its end", unit: "MB",
				reference: "at a third of it", limit: limit{most: 500},
			},
			{what: "HEP flood from random addresses: its packets", unit: unitPackets},
		},
		run: func(ctx context.Context, l *lab, _ int) ([]sample, error) {
			f, err := l.flood(ctx, l.seconds)
			return []sample{{value: f.end, reference: f.third}, {value: f.rate, cpu: f.cpu}}, err
		},
	}
}

// A floodResult is what a flood has shown.
type floodResult struct {
	third, end float64 // MB of resident memory
	heap       float64 // MB of it that were in use at the end
	nodes      uint64  // of pike's tree, at the end
	rate, cpu  float64
}

// flood floods a daemon for some time. Pike remembers addresses for a fifth of it, or as
// long as by default if that is less: so its tree is as full as it gets after a third.
func (l *lab) flood(ctx context.Context, period time.Duration) (floodResult, error) {
	var f floodResult
	d, err := l.startDaemon(ctx, fmt.Sprintf(`modparam("pike", "remove_latency", %d)`,
		min(max(1, int(period.Seconds()/5)), fullLatency))+looks)
	if err != nil {
		return f, err
	}
	defer d.kill()
	watch := make(chan error, 1)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go func() { watch <- f.watch(watching, d, period) }()
	r, err := l.sendMessages(ctx, d.process, task{Kind: "random", For: period}, portHEP)
	stop()
	if errWatch := <-watch; err == nil {
		err = errWatch
	}
	if err != nil {
		return f, err
	}
	f.rate, f.cpu = r.Rate, r.CPU
	s, err := d.statistics(ctx)
	if err != nil {
		return f, err
	}
	f.heap, f.nodes = float64(s["shmem:used_size"])/1e6, s["pike:nodes"]
	return f, d.check(ctx, map[string]uint64{"hep:packets": r.Delivered, "hep:dropped": 0, "hep:sip_malformed": 0})
}

// watch looks at the memory of the daemon until ctx is done. Third is the most from a fourth
// to a third of the time, end that of the last twelfth.
func (f *floodResult) watch(ctx context.Context, d *daemon, period time.Duration) error {
	began := time.Now()
	tick := time.NewTicker(period / 200)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		bytes, err := statusBytes(d.cmd.Process.Pid, "VmRSS")
		if err != nil {
			return err
		}
		megabytes := float64(bytes) / 1e6
		switch part := time.Since(began).Seconds() / period.Seconds(); {
		case part >= 1./4 && part <= 1./3:
			f.third = max(f.third, megabytes)
		case part >= 11./12:
			f.end = max(f.end, megabytes)
		}
	}
}

// floodFlat floods once, and reports whether the memory stays as it is.
func floodFlat(ctx context.Context, opts options) (flat bool, err error) {
	l, err := newLab(ctx, opts)
	if err != nil {
		return false, err
	}
	defer l.close()
	f, err := l.flood(ctx, opts.flood)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(os.Stdout, "%v of flood, %s packets/s, %s µs each: %s MB resident after a third, %s MB at the end, %s MB of heap in use, %d nodes\n",
		opts.flood, figure(f.rate), figure(f.cpu), figure(f.third), figure(f.end), figure(f.heap), f.nodes)
	if f.third == 0 || f.end > maxGrowth*f.third {
		fmt.Fprintf(os.Stderr, "evid-bench: memory grows: expected at most %s times that after a third\n", figure(maxGrowth))
		return false, nil
	}
	return true, nil
}
