package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
)

// A sample is what one run says about one row.
type sample struct {
	value     float64 // in the row's unit
	reference float64 // in the same unit, from the same round; 0: there is none
	// referenceCPU is µs of its sender per event; 0: not measured.
	referenceCPU float64

	peer      float64 // events/s of the C module's loop in the same round; 0: not compared
	cpu       float64 // µs of the sender per event; 0: not measured
	allocs    float64 // per event, of the sender's whole process
	hasAllocs bool
}

// A limit is what a row must keep. The zero value limits nothing.
type limit struct {
	ratio  float64 // to the reference, at least
	peer   float64 // to the C module's loop, at least
	least  float64 // in the row's unit
	most   float64 // in the row's unit
	allocs float64 // per event, at most
}

// A row is one line of the table.
type row struct {
	what      string
	unit      string
	reference string // what the ratio is formed with; empty: nothing
	limit     limit
	hidden    bool // not selected

	samples []sample
}

// An experiment fills rows: each run gives one sample for each of them.
type experiment struct {
	rows []*row
	// run measures once. Turn counts its runs: what is compared changes places from
	// one turn to the next.
	run      func(ctx context.Context, l *lab, turn int) ([]sample, error)
	perRound int // runs in each round; 0: one

	turns  int
	errors []error
}

// chosen returns the experiments that have a row which matches, and hides their others.
func chosen(all []*experiment, match *regexp.Regexp) []*experiment {
	var some []*experiment
	for _, e := range all {
		matches := false
		for _, r := range e.rows {
			r.hidden = !match.MatchString(r.what)
			matches = matches || !r.hidden
		}
		if matches {
			some = append(some, e)
		}
	}
	return some
}

// runRounds runs each experiment in every round, and notes what it gave.
func runRounds(ctx context.Context, l *lab, experiments []*experiment, rounds int) {
	for round := range rounds {
		for _, e := range experiments {
			for range max(1, e.perRound) {
				if ctx.Err() != nil {
					return
				}
				fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, rounds, e.rows[0].what)
				e.runOnce(ctx, l)
			}
		}
	}
}

func (e *experiment) runOnce(ctx context.Context, l *lab) {
	samples, err := e.run(ctx, l, e.turns)
	e.turns++
	if err != nil {
		fmt.Fprintf(os.Stderr, "  %v\n", err)
		e.errors = append(e.errors, err)
		return
	}
	for i, s := range samples {
		e.rows[i].samples = append(e.rows[i].samples, s)
		fmt.Fprintf(os.Stderr, "  %s\n", e.rows[i].line(s))
	}
}

// line says what one run gave.
func (r *row) line(s sample) string {
	text := fmt.Sprintf("%s: %s %s", r.what, figure(s.value), r.unit)
	if s.reference > 0 {
		text += fmt.Sprintf(", %s %s, ratio %s", r.reference, figure(s.reference), figure(s.value/s.reference))
	}
	return text
}

// inTurn runs steps, in an odd turn the last one first, until one fails.
func inTurn(turn int, steps ...func() error) error {
	for i := range steps {
		if turn%2 == 1 {
			i = len(steps) - 1 - i
		}
		if err := steps[i](); err != nil {
			return err
		}
	}
	return nil
}
