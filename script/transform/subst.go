package transform

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/evid/evid/script/posix"
	"github.com/evid/evid/script/value"
)

const (
	maxResult      = 1 << 20 // of re.subst, in bytes
	maxMatches     = 1 << 16 // that re.subst replaces
	maxReplacement = 4096    // as it stands in the script, in bytes
)

// A substitution is /expression/replacement/flags, compiled.
type substitution struct {
	re      *regexp.Regexp
	pieces  []piece
	matches int // at most; 1 without the flag g
}

// A piece of a replacement is a text or, if that is empty, what a group matched, 0 being the whole
// expression.
type piece struct {
	text  string
	group int
}

// bindSubst takes /expression/replacement/flags, in which any other character than a
// backslash can stand for the /, and a backslash before it makes it part of the text.
//
// The expression is one of package posix. In the replacement, \0 is what was matched, \1
// to \9 what a group matched, \n \r \t are as usual, and any other character after a
// backslash stands for itself. Flags: i ignores case, g replaces all matches and not only the
// first, s takes the text as one line: without it, ^ and $ match at each line, and a dot and
// [^a] match no line end.
//
// What has no match stays as it is. A match that is empty makes NULL, and so do more than
// maxMatches of them, and a text larger than maxResult.
func bindSubst(a arguments) (function, error) {
	s, err := parseSubst(strings.TrimLeft(a.values[0].Text(), blanks))
	if err != nil {
		return nil, err
	}
	return s.apply, nil
}

func parseSubst(text string) (*substitution, error) {
	// OpenSIPS has \{ and \} so that the braces of a transformation can be found.
	text = strings.NewReplacer(`\{`, "{", `\}`, "}").Replace(text)
	if text == "" || text[0] == '\\' {
		return nil, fmt.Errorf("expected /expression/replacement/flags, got %q", text)
	}
	separator := text[0]
	expr, rest, ok := cutExpression(text[1:], separator)
	if !ok {
		return nil, fmt.Errorf("expected a second %c after the expression", separator)
	}
	if expr == "" {
		return nil, errors.New("the expression is empty: it would match nowhere")
	}
	s := &substitution{matches: 1}
	flags, err := s.parseReplacement(rest, separator)
	if err != nil {
		return nil, err
	}
	options := posix.Options{Lines: true, Groups: s.groups()}
	for _, flag := range flags {
		switch flag {
		case 'g':
			s.matches = maxMatches
		case 'i':
			options.IgnoreCase = true
		case 's':
			options.Lines = false
		default:
			return nil, fmt.Errorf("unknown flag %q after the last %c: expected i, s or g", flag, separator)
		}
	}
	s.re, err = options.Compile(expr)
	return s, err
}

// cutExpression cuts at the first separator that has no backslash before it. All
// backslashes stay: the expression takes them.
func cutExpression(text string, separator byte) (expr, rest string, ok bool) {
	for i := range len(text) {
		if text[i] == separator && (i == 0 || text[i-1] != '\\') {
			return text[:i], text[i+1:], true
		}
	}
	return "", "", false
}

// parseReplacement takes the replacement up to the separator and returns what comes after.
func (s *substitution) parseReplacement(text string, separator byte) (flags string, err error) {
	var literal []byte // not yet among the pieces
	flush := func() {
		if len(literal) > 0 {
			s.pieces = append(s.pieces, piece{text: string(literal)})
			literal = nil
		}
	}
	for i := 0; i < len(text) && i < maxReplacement; i++ {
		switch c := text[i]; {
		case c == separator:
			flush()
			return text[i+1:], nil
		case c == '$':
			return "", fmt.Errorf("variable %s in the replacement is not supported: for the character itself, write \\$", variable(text[i:]))
		case c == '\\' && i+1 < len(text):
			i++
			switch c := text[i]; {
			case '0' <= c && c <= '9':
				flush()
				s.pieces = append(s.pieces, piece{group: int(c - '0')})
			case c == 'u':
				return "", errors.New(`\u in the replacement, the URI of a request, is not supported`)
			default:
				literal = append(literal, unescaped(c))
			}
		default:
			literal = append(literal, c)
		}
	}
	if len(text) >= maxReplacement {
		return "", fmt.Errorf("the replacement is too long: at most %d bytes are allowed", maxReplacement-1)
	}
	return "", fmt.Errorf("expected a third %c after the replacement", separator)
}

// unescaped is what a character stands for after a backslash.
func unescaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// variable is the variable that a text begins with, for a message.
func variable(text string) string {
	for i := 1; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '(':
			if end := strings.IndexByte(text[i:], ')'); end >= 0 {
				return text[:i+end+1]
			}
			return text[:i]
		case c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z'):
			return text[:i]
		}
	}
	return text
}

// groups is how many groups the replacement needs.
func (s *substitution) groups() int {
	n := 0
	for _, p := range s.pieces {
		n = max(n, p.group)
	}
	return n
}

func (s *substitution) apply(v value.Value) value.Value {
	text := v.Text()
	if len(text) > maxResult { // matching cannot be interrupted
		return value.Value{}
	}
	var matches [][]int // as regexp has them: offsets of the match and of its groups
	if s.matches == 1 {
		match := s.re.FindStringSubmatchIndex(text)
		if match == nil {
			return v
		}
		matches = [][]int{match}
	} else if matches = s.re.FindAllStringSubmatchIndex(text, s.matches+1); matches == nil {
		return v
	}
	size, ok := s.size(text, matches)
	if !ok {
		return value.Value{}
	}
	var b strings.Builder
	b.Grow(size)
	end := 0 // of the match before
	for _, match := range matches {
		b.WriteString(text[end:match[0]])
		for _, p := range s.pieces {
			b.WriteString(p.within(text, match))
		}
		end = match[1]
	}
	b.WriteString(text[end:])
	return value.String(b.String())
}

// size is the length of the result; ok is whether there is one.
func (s *substitution) size(text string, matches [][]int) (size int, ok bool) {
	if len(matches) > s.matches {
		return 0, false
	}
	size = len(text)
	for _, match := range matches {
		if match[0] == match[1] {
			return 0, false
		}
		size -= match[1] - match[0]
		for _, p := range s.pieces {
			size += len(p.within(text, match))
		}
	}
	return size, size <= maxResult
}

// within returns what the piece stands for in a match: nothing, if the group matched
// nothing, or there is none.
func (p piece) within(text string, match []int) string {
	switch {
	case p.text != "":
		return p.text
	case 2*p.group+1 >= len(match) || match[2*p.group] < 0:
		return ""
	}
	return text[match[2*p.group]:match[2*p.group+1]]
}
