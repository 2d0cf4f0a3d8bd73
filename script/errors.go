package script

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A Pos is a place in a configuration text.
type Pos struct {
	File string // as it was opened, or the name given to [Parse]
	Line int    // from 1; 0 when the file as a whole is meant
	Col  int    // in bytes, from 1
}

// Position returns p. Nodes have it by embedding their Pos.
func (p Pos) Position() Pos { return p }

// String gives file:line:col, or only the file when there is no line.
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

func (p Pos) compare(q Pos) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Col, q.Col))
}

// An Error is one thing wrong with a configuration, or worth a warning.
type Error struct {
	Pos Pos
	Msg string // what is wrong: what is expected or known instead
}

func (e Error) Error() string { return e.Pos.String() + ": " + e.Msg }

// Errors are all the errors of a configuration, sorted by file, line and column,
// at most 100. Were there more, one saying so comes last.
type Errors []Error

// Error gives one error per line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// errorList collects errors up to maxErrors.
type errorList struct {
	errs Errors
	more *Error // set when there were more
}

func (l *errorList) add(pos Pos, format string, args ...any) {
	if l.full() {
		l.stop(pos)
		return
	}
	l.errs = append(l.errs, Error{pos, fmt.Sprintf(format, args...)})
}

func (l *errorList) full() bool { return len(l.errs) >= maxErrors }

// has reports whether the last error is at pos.
func (l *errorList) has(pos Pos) bool { return len(l.errs) > 0 && l.errs[len(l.errs)-1].Pos == pos }

// stop notes that errors from pos on are not shown.
func (l *errorList) stop(pos Pos) {
	if l.more == nil {
		l.more = &Error{pos, fmt.Sprintf("too many errors: only the first %d are shown", maxErrors)}
	}
}

// sorted returns the errors, without those that were found twice.
func (l *errorList) sorted() Errors {
	errs := slices.Clone(l.errs)
	slices.SortStableFunc(errs, func(a, b Error) int { return a.Pos.compare(b.Pos) })
	errs = slices.Compact(errs)
	if l.more != nil {
		errs = append(errs, *l.more)
	}
	return errs
}

// err is sorted as an error: nil when there is none.
func (l *errorList) err() error {
	if len(l.errs) == 0 {
		return nil
	}
	return l.sorted()
}

// Excerpt gives the source line of pos and below it a line with a caret under
// the column, to be shown with an error. It is empty when the file was not read
// or has no such line, or f is nil. Of a long line it shows the part around the
// column.
func (f *File) Excerpt(pos Pos) string {
	const around = 60 // bytes shown before and after the column
	if f == nil {
		return ""
	}
	source, ok := f.sources[pos.File]
	lines := strings.Split(source, "\n")
	if !ok || pos.Line < 1 || pos.Line > len(lines) {
		return ""
	}
	line := strings.TrimSuffix(lines[pos.Line-1], "\r")
	col := min(max(pos.Col-1, 0), len(line))
	before := line[max(col-around, 0):col]
	after := line[col:min(col+around, len(line))]
	return printable(before+after) + "\n" + blank(before) + "^"
}

// printable replaces what could disturb a terminal, rune for rune.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// blank makes as much blank space as s is wide; tabs stay tabs.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, s)
}

// Sorted returns the errors by file, line and column, without those that are there twice,
// and at most 100.
func (e Errors) Sorted() Errors {
	list := errorList{errs: e}
	if len(e) <= maxErrors {
		return list.sorted()
	}
	sorted := list.sorted()
	if len(sorted) > maxErrors {
		list.stop(sorted[maxErrors].Pos)
		sorted = append(sorted[:maxErrors], *list.more)
	}
	return sorted
}
