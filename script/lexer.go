package script

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A lexer cuts a text into tokens. It is a value: a copy looks ahead.
type lexer struct {
	file string
	src  string
	off  int // of what comes next
	line int
	bol  int // offset of the beginning of the line
	errs *errorList

	closer string // what stands after the end of src; empty: nothing

	// Once a string was not closed, all strings must end in their line: what is
	// wrong with one string should not hide what follows, nor cost a search
	// through the whole text each time.
	oneLine bool
}

func newLexer(file, src string, errs *errorList) lexer {
	return lexer{file: file, src: src, line: 1, errs: errs}
}

func (l *lexer) pos() Pos { return Pos{l.file, l.line, l.off - l.bol + 1} }

func (l *lexer) rest() string { return l.src[l.off:] }

func (l *lexer) has(prefix string) bool { return strings.HasPrefix(l.rest(), prefix) }

// peek returns the next byte, 0 at the end of the text.
func (l *lexer) peek() byte {
	if l.off == len(l.src) {
		return 0
	}
	return l.src[l.off]
}

// take moves past n bytes and returns them.
func (l *lexer) take(n int) string {
	text := l.src[l.off : l.off+n]
	l.line += strings.Count(text, "\n")
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		l.bol = l.off + i + 1
	}
	l.off += n
	return text
}

// takeWhile moves past all bytes that are in and returns them.
func (l *lexer) takeWhile(in func(byte) bool) string {
	n := 0
	for rest := l.rest(); n < len(rest) && in(rest[n]); {
		n++
	}
	return l.take(n)
}

// next returns the next token, tokEOF for ever at the end of the text and once
// there are too many errors.
func (l *lexer) next() token {
	line := l.line
	atStart := l.off == 0
	l.skipSpace()
	t := token{pos: l.pos(), first: atStart || l.line > line}
	switch c := l.peek(); {
	case l.off == len(l.src) || l.errs.full():
		t.kind, t.text = tokEOF, l.closer
	case isLetter(c):
		t.kind, t.text = tokIdent, l.takeWhile(isAlphanumeric)
	case isDigit(c):
		t.kind, t.text = tokInteger, l.takeWhile(isAlphanumeric)
	case c == '"' || c == '\'':
		t.kind, t.text = tokString, l.str()
	case c == '$':
		t.kind, t.text = tokVariable, l.variable()
	default:
		t.kind, t.text = tokOperator, l.operator()
	}
	t.end = l.pos()
	return t
}

// skipSpace moves past blanks, line ends and comments.
func (l *lexer) skipSpace() {
	for {
		switch c := l.peek(); {
		case isBlank(c) || c == '\n':
			l.takeWhile(func(c byte) bool { return isBlank(c) || c == '\n' })
		case l.atContinuation():
			l.take(strings.IndexByte(l.rest(), '\n') + 1)
		case c == '#':
			l.take(l.lineLen())
		case l.has("/*"):
			l.comment()
		default:
			return
		}
	}
}

// atContinuation reports a backslash at the end of the line: with it, the line
// goes on in the next.
func (l *lexer) atContinuation() bool { return l.has("\\\n") || l.has("\\\r\n") }

// lineLen is the length of the rest of the line.
func (l *lexer) lineLen() int {
	if n := strings.IndexByte(l.rest(), '\n'); n >= 0 {
		return n
	}
	return len(l.rest())
}

// comment moves past /* */, inside which more such comments may stand.
func (l *lexer) comment() {
	start := l.pos()
	for depth := 0; ; {
		switch {
		case l.off == len(l.src):
			l.errs.add(start, "comment is not closed: each /* needs its own */")
			return
		case l.has("/*"):
			depth++
			l.take(2)
		case l.has("*/"):
			depth--
			l.take(2)
			if depth == 0 {
				return
			}
		default:
			l.take(1)
		}
	}
}

// str takes a string and returns its value. Strings may go over several lines.
// Escapes are those of OpenSIPS: none within ' and in " what escape knows, any
// other backslash standing for itself.
func (l *lexer) str() string {
	start := *l
	quote := l.take(1)[0]
	var value strings.Builder
	for {
		switch c := l.peek(); {
		case l.off == len(l.src) || c == '\n' && l.oneLine:
			*l = start // the quote is more likely missing in its own line
			l.oneLine = true
			l.errs.add(l.pos(), "string is not closed: expected a %c at its end", quote)
			return l.take(l.lineLen())[1:]
		case c == quote:
			l.take(1)
			return value.String()
		case c == '\\' && quote == '"':
			text, size := l.escape()
			value.WriteString(text)
			l.take(size)
		default:
			value.WriteString(l.take(1))
		}
	}
}

// escape returns what the backslash here stands for and the length of what it
// takes in.
func (l *lexer) escape() (text string, size int) {
	rest := l.rest()
	if l.atContinuation() {
		return "", strings.IndexByte(rest, '\n') + 1
	}
	if len(rest) == 1 {
		return `\`, 1
	}
	switch c := rest[1]; {
	case c == 'n':
		return "\n", 2
	case c == 'r':
		return "\r", 2
	case c == 't':
		return "\t", 2
	case c == 'a':
		return "\a", 2
	case c == '"' || c == '\\':
		return rest[1:2], 2
	case c == 'x':
		if digits := prefix(rest[2:], 2, isHex); digits != "" {
			return number(digits, 16), 2 + len(digits)
		}
	case isOctal(c):
		// A single digit is a back-reference, for whoever uses the string.
		if digits := prefix(rest[1:], 3, isOctal); len(digits) > 1 {
			return number(digits, 8), 1 + len(digits)
		}
	}
	return `\`, 1
}

// prefix is the longest beginning of s, up to limit bytes, that is all in.
func prefix(s string, limit int, in func(byte) bool) string {
	n := 0
	for n < min(limit, len(s)) && in(s[n]) {
		n++
	}
	return s[:n]
}

// number is the byte with this number; of a larger one, its lowest eight bits.
func number(digits string, base int) string {
	n, _ := strconv.ParseUint(digits, base, 16) // at most three digits, all of that base
	return string([]byte{byte(n)})
}

// variable takes $name, $name(…) or $(…). What the parentheses hold is taken as
// it stands, quotes too.
func (l *lexer) variable() string {
	start, at := l.off, l.pos()
	l.take(1)
	l.takeWhile(isAlphanumeric)
	if l.peek() == '(' {
		size := parenthesised(l.rest())
		if size == 0 {
			l.errs.add(at, "variable is not closed: expected a ) at its end")
			size = l.lineLen()
		}
		l.take(size)
	}
	return l.src[start:l.off]
}

// parenthesised is the length of s up to the ) that matches its first byte, 0
// when there is none.
func parenthesised(s string) int { return bracketed(s, '(', ')') }

func (l *lexer) operator() string {
	for _, operator := range longOperators() {
		if l.has(operator) {
			return l.take(len(operator))
		}
	}
	_, size := utf8.DecodeRuneInString(l.rest())
	return l.take(size)
}

// block takes the rest of a block whose { stands at open and was taken already,
// and returns what is between the braces. A line that can only begin a statement
// shows that the } is missing; reading goes on there.
func (l *lexer) block(open Pos) (source string, ok bool) {
	start := l.off
	tooDeep := false
	for depth := 1; ; {
		before := *l
		switch t := l.next(); {
		case t.kind == tokEOF || t.first && !isInclude(t.text) && l.beginsStatement(t):
			l.errs.add(open, "block is not closed: expected a } for this { before %v", t)
			*l = before
			return "", false
		case t.is("{"):
			depth++
			if depth > maxBraceDepth && !tooDeep {
				tooDeep = true
				l.errs.add(t.pos, "braces are nested too deep: expected at most %d", maxBraceDepth)
			}
		case t.is("}"):
			depth--
			if depth == 0 {
				return l.src[start : l.off-1], true
			}
		}
	}
}

// beginsStatement reports whether the identifier t, just taken, begins a
// statement.
func (l *lexer) beginsStatement(t token) bool {
	if t.kind != tokIdent {
		return false
	}
	if slices.Contains(statementWords(), t.text) {
		return true
	}
	// Only one character is looked at: taking a whole token, such as a variable
	// with much in its parentheses, could be done anew for each word inside it.
	ahead := *l
	ahead.skipSpace()
	switch ahead.peek() {
	case '=':
		return !ahead.has("==") && !ahead.has("=~")
	case '{', '[':
		return isRouteWord(t.text)
	default:
		return false
	}
}

func isBlank(c byte) bool  { return c == ' ' || c == '\t' || c == '\r' || c == '\b' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isOctal(c byte) bool  { return '0' <= c && c <= '7' }
func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isAlphanumeric(c byte) bool { return isLetter(c) || isDigit(c) }
