package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// header says what was measured, where and when.
func header(began time.Time, opts options) string {
	return fmt.Sprintf("Measured %s: %s, %d cores, Linux %s, %s; medians (min–max) of %d rounds, %v per run.\n",
		began.Format("2006-01-02 15:04"), cpuModel(), runtime.NumCPU(), kernel(), runtime.Version(), opts.rounds, opts.seconds)
}

// cpuModel returns what the kernel calls the processor.
func cpuModel() string {
	file, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	var uts syscall.Utsname
	if err := syscall.Uname(&uts); err != nil {
		return "?"
	}
	var release strings.Builder
	for _, c := range uts.Release {
		if c == 0 {
			break
		}
		release.WriteByte(byte(c))
	}
	return release.String()
}

// printTable prints the rows as Markdown, and below them what went wrong.
func printTable(w io.Writer, experiments []*experiment) {
	fmt.Fprintln(w, "| what | evid | reference | ratio | limit | CPU µs/event | allocations/event | x peer |")
	fmt.Fprintln(w, "|---|---|---|---|---|---|---|---|")
	for _, e := range experiments {
		for _, r := range e.rows {
			if !r.hidden {
				fmt.Fprintln(w, r.markdown())
			}
		}
	}
	for _, e := range experiments {
		for _, err := range e.errors {
			fmt.Fprintf(w, "\nFailed: %s: %v\n", e.rows[0].what, err)
		}
	}
}

// markdown is the row as a line of the table.
func (r *row) markdown() string {
	value := r.of(func(s sample) (float64, bool) { return s.value, true })
	reference := r.of(func(s sample) (float64, bool) { return s.reference, s.reference > 0 })
	cells := []string{
		r.what,
		withUnit(value.String(), r.unit),
		"–",
		r.ratio().String(),
		r.limitText(),
		figure(r.cpu().median),
		figure(r.allocs().median),
		figure(r.peer().median),
	}
	if r.reference != "" {
		cells[2] = r.reference + ": " + figure(reference.median)
		if cpu := r.of(func(s sample) (float64, bool) { return s.referenceCPU, s.referenceCPU > 0 }); cpu.median > 0 {
			cells[2] += ", " + figure(cpu.median) + " µs/event"
		}
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

func withUnit(text, unit string) string {
	if text == "–" {
		return text
	}
	return text + " " + unit
}

// of gathers what get finds in the samples that have it.
func (r *row) of(get func(sample) (float64, bool)) spread {
	var values []float64
	for _, s := range r.samples {
		if v, ok := get(s); ok {
			values = append(values, v)
		}
	}
	return spreadOf(values)
}

func (r *row) ratio() spread {
	return r.of(func(s sample) (float64, bool) { return s.value / s.reference, s.reference > 0 })
}

func (r *row) peer() spread {
	return r.of(func(s sample) (float64, bool) { return s.value / s.peer, s.peer > 0 })
}

func (r *row) cpu() spread {
	return r.of(func(s sample) (float64, bool) { return s.cpu, s.cpu > 0 })
}

func (r *row) allocs() spread {
	return r.of(func(s sample) (float64, bool) { return s.allocs, s.hasAllocs })
}

// limitText says what the row must keep, and marks it if it does not.
func (r *row) limitText() string {
	var parts []string
	add := func(missed bool, text string) {
		if missed {
			text = "**missed: " + text + "**"
		}
		parts = append(parts, text)
	}
	if l := r.limit; l.ratio > 0 {
		add(r.ratio().median < l.ratio, "≥ "+figure(l.ratio)+" x")
	}
	if l := r.limit; l.peer > 0 {
		add(r.peer().median < l.peer, "≥ "+figure(l.peer)+" x peer")
	}
	if l := r.limit; l.least > 0 {
		add(r.value() < l.least, "≥ "+withUnit(figure(l.least), r.unit))
	}
	if l := r.limit; l.most > 0 {
		add(r.value() > l.most, "≤ "+withUnit(figure(l.most), r.unit))
	}
	if l := r.limit; l.allocs > 0 {
		add(r.allocs().median > l.allocs, "≤ "+figure(l.allocs)+" allocations")
	}
	if parts == nil {
		return "–"
	}
	return strings.Join(parts, ", ")
}

func (r *row) value() float64 {
	return r.of(func(s sample) (float64, bool) { return s.value, true }).median
}

// missed reports whether the row has figures, and they are not within its limits.
func (r *row) missed() bool {
	return !math.IsNaN(r.value()) && strings.Contains(r.limitText(), "missed")
}

// verdict counts the rows that miss their limit, and the runs that failed.
func verdict(experiments []*experiment) (missed, failed int) {
	for _, e := range experiments {
		failed += len(e.errors)
		for _, r := range e.rows {
			if !r.hidden && r.missed() {
				missed++
			}
		}
	}
	return missed, failed
}
