package main

import (
	"context"
	"fmt"
)

const (
	healthyCount = 900
	badCount     = 100
	// badOptions make attempts at bad subscribers end, and begin again, within a run.
	badOptions = ";timeout=1000;connect_timeout=1000;retry_min=100;retry_max=1000"
)

// isolation is one event for 900 healthy subscribers with a server each, without others,
// and with 100 that take nothing. The four runs of a turn are made one after the other.
func isolation() *experiment {
	kinds := []struct{ name, option string }{
		{"", ""},
		{"silent", "-B"},
		{"SYN-dropping", "-S"},
		{"closed", "-C"},
	}
	e := &experiment{perRound: 3}
	for i, kind := range kinds {
		r := row{what: "900 subscribers, own destination each", unit: unitRate}
		if i > 0 {
			r.what = fmt.Sprintf("the same, and 100 %s ones", kind.name)
			r.reference = "without them"
			r.limit.ratio = 0.9
		}
		e.rows = append(e.rows, &r)
	}
	e.run = func(ctx context.Context, l *lab, turn int) ([]sample, error) {
		samples := make([]sample, len(kinds))
		for i := range kinds {
			at := (i + turn) % len(kinds) // nobody is always the first
			r, err := l.sendBeside(ctx, kinds[at].option)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.rows[at].what, err)
			}
			samples[at] = sample{value: r.Rate, cpu: r.CPU, allocs: r.Allocs, hasAllocs: true}
		}
		for i := range samples[1:] {
			samples[i+1].reference = samples[0].value
		}
		return samples, nil
	}
	return e
}

// sendBeside floods the healthy subscribers, beside bad ones if an option of sink says
// what is bad about them.
func (l *lab) sendBeside(ctx context.Context, option string) (result, error) {
	t := task{Kind: "flood", Groups: []group{{Event: event, Count: healthyCount}}, Depth: 8}
	t.Groups[0].Options = single
	if option == "" {
		return l.sendToSink(ctx, t)
	}
	port := l.port + healthyCount
	t.Groups = append(t.Groups, group{Event: event, Port: port, Count: badCount, Options: single + badOptions})
	t.Bad = 1
	l.place(&t)
	bad, err := l.startSink(ctx, port, badCount, option, "0")
	if err != nil {
		return result{}, err
	}
	defer bad.kill()
	healthy, err := l.startSink(ctx, l.port, healthyCount)
	if err != nil {
		return result{}, err
	}
	defer healthy.kill()
	return l.sendTo(ctx, t, healthy)
}
