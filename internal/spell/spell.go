// Package spell finds the known names nearest to one that was mistyped, for
// messages that end in "did you mean …?".
package spell

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
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
	if utf8.RuneCountInString(word) > maxLen {
		return nil
	}
	letters := lowerCase(word)
	var near []candidate
	for _, name := range known {
		n := utf8.RuneCountInString(name)
		shorter, longer := min(n, len(letters)), max(n, len(letters))
		edits := longer / 3
		if longer > maxLen || longer-shorter > edits { // each missing letter is an edit
			continue
		}
		if d := distance(letters, lowerCase(name)); d <= edits {
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

func lowerCase(name string) []rune { return []rune(strings.ToLower(name)) }

// distance is the number of edits that turn a into b (optimal string alignment:
// a swap of two neighbours is one edit). Each has at most maxLen runes.
func distance(a, b []rune) int {
	// row[j] is the distance of a[:i] and b[:j]; last is the row before it, and
	// beforeLast the one before that.
	var row, last, beforeLast [maxLen + 1]int
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		beforeLast, last = last, row
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], beforeLast[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
