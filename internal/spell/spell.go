// Package spell finds the known names nearest to one that was mistyped, for
// messages that end in "did you mean …?".
package spell

import (
	"cmp"
	"slices"
	"strings"
)

const (
	maxNearest = 3  // more than that is no help
	maxLen     = 64 // runes; a longer word is no name
)

// Nearest returns the names out of known that word most likely stands for,
// nearest first and at most three; equally near ones are sorted. Letters match
// in either case. A name is near when at most a third of its letters (or of
// word's, if that is longer) were added, dropped, changed, or swapped with
// their neighbour. The result is nil when no name is near.
func Nearest(word string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	letters := []rune(strings.ToLower(word))
	if len(letters) > maxLen {
		return nil
	}
	var near []candidate
	for _, name := range known {
		other := []rune(strings.ToLower(name))
		if len(other) > maxLen {
			continue
		}
		if d := distance(letters, other); d <= max(len(letters), len(other))/3 {
			near = append(near, candidate{name, d})
		}
	}
	slices.SortFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	near = slices.Compact(near)
	var names []string
	for _, c := range near[:min(len(near), maxNearest)] {
		names = append(names, c.name)
	}
	return names
}

// distance is the number of edits that turn a into b (optimal string
// alignment: a swap of two neighbours is one edit).
func distance(a, b []rune) int {
	// rows[i][j] is the distance of a[:i] and b[:j].
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			rows[i][j] = min(change, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
