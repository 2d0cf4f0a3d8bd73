package mi

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Limits of a request besides its size, which its carrier bounds.
const (
	maxDepth  = 32    // arrays and objects inside one another
	maxValues = 65536 // of all kinds, together
)

// parseJSON reads the JSON value that text begins with; what follows it is
// ignored, as OpenSIPS does. Package encoding/json would not do: it replaces
// invalid UTF-8 and refuses line breaks in strings, both of which OpenSIPS
// passes on to subscribers.
func parseJSON(text []byte) (Value, error) {
	p := parser{text: text}
	return p.value(0)
}

type parser struct {
	text   []byte
	at     int
	values int
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", p.at+1, fmt.Sprintf(format, args...))
}

// expected is the error for what stands at the present position.
func (p *parser) expected(what string) error {
	if p.at >= len(p.text) {
		return p.errorf("expected %s, got the end", what)
	}
	return p.errorf("expected %s, got %q", what, p.text[p.at])
}

// space skips white space and returns the byte after it, 0 at the end.
func (p *parser) space() byte {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; c {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return c
		}
	}
	return 0
}

func (p *parser) value(depth int) (Value, error) {
	c := p.space()
	if p.values++; p.values > maxValues {
		return Value{}, p.errorf("expected at most %d values", maxValues)
	}
	if depth > maxDepth {
		return Value{}, p.errorf("expected at most %d arrays and objects inside one another", maxDepth)
	}
	switch {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		text, err := p.string()
		return Value{Kind: String, Text: text}, err
	case c == '-' || '0' <= c && c <= '9':
		return p.number()
	case p.word("null"):
		return Value{}, nil
	case p.word("true"):
		return Value{Kind: Bool, Text: "true"}, nil
	case p.word("false"):
		return Value{Kind: Bool, Text: "false"}, nil
	default:
		return Value{}, p.expected("a JSON value")
	}
}

func (p *parser) word(word string) bool {
	end := p.at + len(word)
	if end > len(p.text) || string(p.text[p.at:end]) != word {
		return false
	}
	p.at = end
	return true
}

func (p *parser) object(depth int) (Value, error) {
	object := Value{Kind: Object}
	p.at++ // the brace
	if p.space() == '}' {
		p.at++
		return object, nil
	}
	for {
		if p.space() != '"' {
			return object, p.expected("the name of a member in quotes")
		}
		name, err := p.string()
		if err != nil {
			return object, err
		}
		if p.space() != ':' {
			return object, p.expected("':'")
		}
		p.at++
		item, err := p.value(depth + 1)
		if err != nil {
			return object, err
		}
		item.Name = name
		object.Items = append(object.Items, item)
		if more, err := p.more('}'); !more {
			return object, err
		}
	}
}

func (p *parser) array(depth int) (Value, error) {
	array := Value{Kind: Array}
	p.at++ // the bracket
	if p.space() == ']' {
		p.at++
		return array, nil
	}
	for {
		item, err := p.value(depth + 1)
		if err != nil {
			return array, err
		}
		array.Items = append(array.Items, item)
		if more, err := p.more(']'); !more {
			return array, err
		}
	}
}

// more skips the comma before another item, or the end of the array or object.
func (p *parser) more(end byte) (bool, error) {
	switch p.space() {
	case ',':
		p.at++
		return true, nil
	case end:
		p.at++
		return false, nil
	default:
		return false, p.expected(fmt.Sprintf("',' or %q", end))
	}
}

// number reads a number by the grammar of JSON and keeps its digits.
func (p *parser) number() (Value, error) {
	start := p.at
	p.skip('-')
	if !p.skip('0') && !p.digits() {
		return Value{}, p.expected("a digit")
	}
	if p.skip('.') && !p.digits() {
		return Value{}, p.expected("a digit")
	}
	if p.skip('e') || p.skip('E') {
		if !p.skip('+') {
			p.skip('-')
		}
		if !p.digits() {
			return Value{}, p.expected("a digit")
		}
	}
	return Value{Kind: Number, Text: string(p.text[start:p.at])}, nil
}

func (p *parser) skip(c byte) bool {
	if p.at == len(p.text) || p.text[p.at] != c {
		return false
	}
	p.at++
	return true
}

func (p *parser) digits() bool {
	start := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at > start
}

// string reads a string. All its bytes are taken as they are, also control
// characters and invalid UTF-8. The result shares no memory with the request.
func (p *parser) string() (string, error) {
	p.at++ // the quote
	start := p.at
	for ; p.at < len(p.text); p.at++ {
		switch p.text[p.at] {
		case '"':
			p.at++
			return string(p.text[start : p.at-1]), nil
		case '\\':
			return p.escapedString(start)
		}
	}
	return "", p.expected("'\"'")
}

// escapedString reads the rest of a string that began at start and has its
// first escape at the present position.
func (p *parser) escapedString(start int) (string, error) {
	text := append([]byte(nil), p.text[start:p.at]...)
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch c {
		case '"':
			return string(text), nil
		case '\\':
			var err error
			if text, err = p.escape(text); err != nil {
				return "", err
			}
		default:
			text = append(text, c)
		}
	}
	return "", p.expected("'\"'")
}

// escape appends the character that the escape at the present position, after
// its backslash, stands for.
func (p *parser) escape(text []byte) ([]byte, error) {
	if p.at == len(p.text) {
		return nil, p.expected("an escape")
	}
	c := p.text[p.at]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return p.unicodeEscape(text)
	default:
		return nil, p.expected(`one of "\/bfnrtu after '\'`)
	}
	p.at++
	return append(text, c), nil
}

// unicodeEscape appends the character of uXXXX, or of two that are a surrogate
// pair. Half a pair becomes U+FFFD.
func (p *parser) unicodeEscape(text []byte) ([]byte, error) {
	char, ok := p.hex4()
	if !ok {
		return nil, p.expected("u and four hexadecimal digits")
	}
	p.at += 5
	if utf16.IsSurrogate(char) && p.at+1 < len(p.text) && p.text[p.at] == '\\' {
		p.at++
		low, ok := p.hex4()
		if pair := utf16.DecodeRune(char, low); ok && pair != utf8.RuneError {
			p.at += 5
			return utf8.AppendRune(text, pair), nil
		}
		p.at--
	}
	return utf8.AppendRune(text, char), nil
}

// hex4 reads the code of uXXXX without moving on.
func (p *parser) hex4() (rune, bool) {
	if p.at+5 > len(p.text) || p.text[p.at] != 'u' {
		return 0, false
	}
	for _, c := range p.text[p.at+1 : p.at+5] {
		if !isHex(c) {
			return 0, false
		}
	}
	code, err := strconv.ParseUint(string(p.text[p.at+1:p.at+5]), 16, 16)
	return rune(code), err == nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= lower(c) && lower(c) <= 'f'
}
