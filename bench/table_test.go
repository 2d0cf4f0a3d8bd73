package main

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpreadOf(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values []float64
		want   spread
	}{
		{"one", []float64{3}, spread{3, 3, 3}},
		{"odd", []float64{9, 1, 4}, spread{4, 1, 9}},
		{"even", []float64{8, 2, 4, 1}, spread{3, 1, 8}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := spreadOf(tc.values); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
	if got := spreadOf(nil); !math.IsNaN(got.median) || got.String() != "–" {
		t.Errorf("of nothing: got %+v, %q", got, got.String())
	}
}

func TestFigure(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 0.0123: "0.012", 0.5: "0.50", 1.4: "1.40", 15: "15.0", 123.4: "123", 1234: "1,234",
		12345: "12,345", 123456: "123,456", 1234567: "1,234,567", -12: "-12.0", -1234: "-1,234", -123456: "-123,456",
		math.NaN(): "–",
	} {
		if got := figure(value); got != want {
			t.Errorf("figure(%v) = %q, want %q", value, got, want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var sorted []time.Duration
	for i := range 100 {
		sorted = append(sorted, time.Duration(i+1))
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := percentile(sorted, share); got != want {
			t.Errorf("percentile(%v) = %d, want %d", share, got, want)
		}
	}
	if got := percentile(nil, 0.5); got != 0 {
		t.Errorf("of nothing: got %d, want 0", got)
	}
}

func TestTable(t *testing.T) {
	rated := func(l limit, samples ...sample) *row {
		return &row{what: "rate", unit: unitRate, reference: "`csend x`", limit: l, samples: samples}
	}
	fast := sample{value: 300, reference: 200, peer: 100, referenceCPU: 9, cpu: 4, hasAllocs: true}
	for _, tc := range []struct {
		name   string
		row    *row
		want   string
		missed bool
	}{
		{
			"limits kept", rated(limit{ratio: 1.5, peer: 3}, fast),
			"| rate | 300 (300–300) events/s | `csend x`: 200, 9.00 µs/event | 1.50 (1.50–1.50) | ≥ 1.50 x, ≥ 3.00 x peer | 4.00 | 0 | 3.00 |", false,
		},
		{
			"the ratio of medians is not the median of ratios",
			rated(limit{ratio: 0.5}, sample{value: 1, reference: 10}, sample{value: 20, reference: 100}, sample{value: 9, reference: 1}),
			"| rate | 9.00 (1.00–20.0) events/s | `csend x`: 10.0 | 0.20 (0.10–9.00) | **missed: ≥ 0.50 x** | – | – | – |", true,
		},
		{
			"x peer missed", rated(limit{peer: 4}, fast),
			"| rate | 300 (300–300) events/s | `csend x`: 200, 9.00 µs/event | 1.50 (1.50–1.50) | **missed: ≥ 4.00 x peer** | 4.00 | 0 | 3.00 |", true,
		},
		{
			"too much", &row{what: "cost", unit: "ms", limit: limit{most: 5, allocs: 2}, samples: []sample{{value: 6, allocs: 3, hasAllocs: true}}},
			"| cost | 6.00 (6.00–6.00) ms | – | – | **missed: ≤ 5.00 ms**, **missed: ≤ 2.00 allocations** | – | 3.00 | – |", true,
		},
		{
			"no run gave a figure", &row{what: "cost", unit: "ms", limit: limit{most: 5}},
			"| cost | – | – | – | ≤ 5.00 ms | – | – | – |", false,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.row.markdown()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if tc.row.missed() != tc.missed {
				t.Errorf("missed: got %v, want %v", tc.row.missed(), tc.missed)
			}
		})
	}
}

// A row that is not selected is not printed, and its limit does not count; a run that
// failed is told of.
func TestSelection(t *testing.T) {
	late := func() *row {
		return &row{what: "one: late", unit: "ms", limit: limit{most: 1}, samples: []sample{{value: 2}}}
	}
	all := []*experiment{
		{rows: []*row{late(), {what: "one: early"}}, errors: []error{errors.New("no server")}},
		{rows: []*row{{what: "two"}}},
	}
	for _, tc := range []struct {
		match            string
		lines            []string
		missed, failures int
	}{
		{"", []string{"one: late", "one: early", "two"}, 1, 1},
		{"early", []string{"one: early"}, 0, 1},
		{"two", []string{"two"}, 0, 0},
		{"three", nil, 0, 0},
	} {
		some := chosen(all, regexp.MustCompile(tc.match))
		var text strings.Builder
		printTable(&text, some)
		var lines []string
		for line := range strings.Lines(text.String()) {
			if what, ok := strings.CutPrefix(line, "| "); ok && !strings.HasPrefix(what, "what") {
				lines = append(lines, what[:strings.Index(what, " |")])
			}
		}
		if diff := cmp.Diff(tc.lines, lines); diff != "" {
			t.Errorf("rows that match %q (-want +got)\n%s", tc.match, diff)
		}
		missed, failures := verdict(some)
		if missed != tc.missed || failures != tc.failures {
			t.Errorf("rows that match %q: %d missed, %d failed, want %d and %d", tc.match, missed, failures, tc.missed, tc.failures)
		}
		if strings.Contains(text.String(), "no server") != (tc.failures > 0) {
			t.Errorf("rows that match %q: is the failure told?\n%s", tc.match, text.String())
		}
	}
}

func TestInTurn(t *testing.T) {
	for turn, want := range []string{"abc", "cba", "abc"} {
		var got strings.Builder
		step := func(name string) func() error {
			return func() error { got.WriteString(name); return nil }
		}
		if err := inTurn(turn, step("a"), step("b"), step("c")); err != nil || got.String() != want {
			t.Errorf("turn %d: got %q, %v, want %q", turn, got.String(), err, want)
		}
	}
	broken := errors.New("broken")
	if err := inTurn(0, func() error { return broken }, func() error { return nil }); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the first step", err)
	}
}

func TestReadFields(t *testing.T) {
	got, err := readFields("csend pp k=1 events=12 rate=1.5")
	if diff := cmp.Diff(map[string]float64{"k": 1, "events": 12, "rate": 1.5}, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got)\n%s", err, diff)
	}
	if _, err := readFields("rate=fast"); err == nil {
		t.Error("no error for what is no number")
	}
}
