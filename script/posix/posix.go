// Package posix compiles POSIX extended regular expressions, as OpenSIPS has them from the
// C library of GNU (regcomp with REG_EXTENDED), to those of Go, which match in linear time.
//
// Of all matches that begin leftmost, the longest is found. Known are bracket expressions,
// in which a backslash stands for itself, with classes such as [:alpha:]; the repetitions
// * + ? {n} {n,} {,m} {n,m}; and of GNU \w \W \s \S \b \B \< \> \` and \'. Any other
// backslash makes the character after it stand for itself: \d is the letter d.
//
// It differs from the C library in this:
//   - Back-references (\1) are an error.
//   - Characters are those of UTF-8, an invalid byte being one character. Classes, \w and
//     \b know the letters of ASCII; upper and lower case of all others are known as well.
//   - \< and \> are the same as \b.
//   - Where a group can match in several ways within the same longest match, the first
//     alternative and the greedy repetition count, not the longest group.
package posix

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"regexp/syntax"
)

const (
	maxLen    = 4096 // of an expression, in bytes
	maxSize   = 5000 // of an expression, in characters to match, each as often as it may be repeated
	maxRepeat = 1000 // in braces, as Go has it
	maxDepth  = 100  // of groups
)

// Compile compiles an expression to be matched as =~ does it: a dot matches a line end as
// well, ^ and $ only the beginning and end of the text, and what groups matched is not
// remembered.
//
// The error says what is wrong with the expression, or which limit it exceeds: it may have
// 4096 bytes, groups 100 deep, repetitions of 1000, and 5000 characters to match when all
// that is repeated is written out.
func Compile(expr string, ignoreCase bool) (*regexp.Regexp, error) {
	return Options{IgnoreCase: ignoreCase}.Compile(expr)
}

// Options are how an expression is compiled. The zero value is as with [Compile].
type Options struct {
	IgnoreCase bool

	// Lines makes ^ and $ match also at the beginning and end of each line; a dot and
	// lists such as [^a] then match no line end (REG_NEWLINE).
	Lines bool

	// Groups is of how many groups it is remembered what they matched: the first ones.
	Groups int
}

// AllGroups is for [Options] more than there can be.
const AllGroups = math.MaxInt

// Compile compiles an expression. Limits and errors are those of the function [Compile].
func (o Options) Compile(expr string) (*regexp.Regexp, error) {
	translated, err := o.translate(expr)
	if err != nil {
		return nil, err
	}
	re, err := regexp.Compile(translated)
	if err != nil {
		if e := (*syntax.Error)(nil); errors.As(err, &e) && tooLarge(e.Code) {
			return nil, errTooLarge
		}
		return nil, fmt.Errorf("translate %q: %w", expr, err)
	}
	re.Longest()
	return re, nil
}

// tooLarge reports whether Go refused an expression only for its size.
func tooLarge(code syntax.ErrorCode) bool {
	return code == syntax.ErrInvalidRepeatSize || code == syntax.ErrLarge || code == syntax.ErrNestingDepth
}
