package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A spread sums up what several runs gave.
type spread struct{ median, min, max float64 }

// spreadOf returns the spread of values; of none it is all NaN.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

// String is the median, and the range in parentheses.
func (s spread) String() string {
	if math.IsNaN(s.median) {
		return "–"
	}
	return figure(s.median) + " (" + figure(s.min) + "–" + figure(s.max) + ")"
}

// figure prints a number with about three digits that say something, and a comma
// between thousands.
func figure(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	decimals := 0
	switch abs := math.Abs(x); {
	case abs == 0 || abs >= 100:
	case abs >= 10:
		decimals = 1
	case abs >= 0.1:
		decimals = 2
	default:
		decimals = 3
	}
	text := strconv.FormatFloat(x, 'f', decimals, 64)
	whole, rest, _ := strings.Cut(text, ".")
	first := len(whole) % 3
	if first == 0 || strings.HasPrefix(whole, "-") && first == 1 {
		first += 3
	}
	for i := len(whole) - 3; i >= first && i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if rest == "" {
		return whole
	}
	return whole + "." + rest
}

// percentile returns the value below which the given share of sorted lies.
func percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	at := int(math.Ceil(share*float64(len(sorted)))) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}
