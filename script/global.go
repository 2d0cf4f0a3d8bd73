package script

import "strings"

// The value of a global stands mostly without quotes and goes on to the end of
// its line: socket=udp:127.0.0.1:5060 as 10.0.0.1. So it is not made of tokens
// but cut from the text into pieces: strings, groups in braces, and words.

// global parses a global from its = on. The value begins in the same line.
func (p *parser) global(name token) (Stmt, bool) {
	value, ok := p.lex.value()
	p.next()
	if !ok {
		return nil, false
	}
	if value == nil {
		return nil, p.unexpected("a value after " + name.text + "=")
	}
	return &Global{name.pos, name.text, value}, true
}

// value takes the value of a global. It is a String when it has only strings, an
// Integer when it is a number, nil when there is nothing, and else a Word. It is
// not ok after an error.
func (l *lexer) value() (v Value, ok bool) {
	l.skipInLine()
	pos := l.pos()
	var text, source strings.Builder // as a String, and as anything else
	onlyStrings := true
	for apart := false; !l.endsValue(apart); apart = l.skipInLine() {
		if apart {
			source.WriteByte(' ')
		}
		switch c := l.peek(); c {
		case '"', '\'':
			s := &String{Value: l.str()}
			text.WriteString(s.Value)
			source.WriteString(s.String())
			continue
		case '{':
			open := l.pos()
			l.take(1)
			inside, ok := l.block(open)
			if !ok {
				return nil, false
			}
			source.WriteString("{" + inside + "}")
		default:
			source.WriteString(l.word())
		}
		onlyStrings = false
	}
	if source.Len() == 0 {
		return nil, true
	}
	if onlyStrings {
		return &String{pos, text.String()}, true
	}
	if n, err := integer(pos, source.String()); err == nil {
		return n, true
	}
	return &Word{pos, source.String()}, true
}

// skipInLine moves past blanks and comments up to the end of the line, and
// reports whether there were any.
func (l *lexer) skipInLine() bool {
	start := l.off
	for {
		switch {
		case isBlank(l.peek()):
			l.take(1)
		case l.atContinuation():
			l.take(strings.IndexByte(l.rest(), '\n') + 1)
		case l.has("/*"):
			l.comment()
		default:
			return l.off > start
		}
	}
}

// endsValue reports whether a value has ended. Apart from what it already has,
// by blanks, a new statement may begin in the same line.
func (l *lexer) endsValue(apart bool) bool {
	if l.off == len(l.src) || strings.IndexByte("\n;#}\\", l.peek()) >= 0 {
		return true
	}
	if !apart {
		return false
	}
	if l.has("//") {
		return true // meant as a comment: left for the parser to report
	}
	ahead := *l
	return isLetter(l.peek()) && ahead.beginsStatement(ahead.next())
}

// word takes all up to a blank, a quote, a brace, a backslash, a comment or the
// end of the line or statement.
func (l *lexer) word() string {
	start := l.off
	for l.off < len(l.src) && strings.IndexByte(" \t\r\b\n;#\"'{}\\", l.peek()) < 0 && !l.has("/*") {
		l.take(1)
	}
	return l.src[start:l.off]
}
