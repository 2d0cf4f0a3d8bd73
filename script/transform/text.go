package transform

import (
	"errors"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/evid/evid/script/value"
)

// blanks are what OpenSIPS trims.
const blanks = " \t\r\n"

func length(v value.Value) value.Value { return value.Int(int64(len(v.Text()))) }

// toInt reads the integer that a text begins with; 0 if it begins with none. One that is
// too large becomes the largest there is.
func toInt(v value.Value) value.Value {
	if v.IsInt() {
		return v
	}
	digits := v.Text()
	sign := int64(1)
	if digits != "" && (digits[0] == '-' || digits[0] == '+') {
		if digits[0] == '-' {
			sign = -1
		}
		digits = digits[1:]
	}
	n := int64(0)
	for i := 0; i < len(digits) && '0' <= digits[i] && digits[i] <= '9'; i++ {
		digit := int64(digits[i] - '0')
		if n > (math.MaxInt64-digit)/10 {
			n = math.MaxInt64
			break
		}
		n = 10*n + digit
	}
	return value.Int(sign * n)
}

// substr has an offset from the beginning or, when negative, from the end, and a length
// that goes to the end when it is 0 or too large and, when negative, leaves as many bytes
// out at the end. The result is NULL if the offset is outside the text, or after its end.
func substr(a arguments) (function, error) {
	offset, err := a.integer(0)
	if err != nil {
		return nil, err
	}
	length, err := a.integer(1)
	if err != nil {
		return nil, err
	}
	return func(v value.Value) value.Value {
		text := v.Text()
		size := int64(len(text))
		start, end := offset, size
		if start < 0 {
			start += size
		}
		if start < 0 || start >= size {
			return value.Value{}
		}
		switch {
		case length < 0:
			end += length
		case length > 0 && length < size-start:
			end = start + length
		}
		if end < start {
			return value.Value{}
		}
		return value.String(text[start:end])
	}, nil
}

// bindSelect returns a field, counted from 0 or, when negative, from the end. The
// separator is one character; as OpenSIPS does it, what comes after it does not matter.
func bindSelect(a arguments) (function, error) {
	index, err := a.integer(0)
	if err != nil {
		return nil, err
	}
	separator := a.values[1].Text()
	if separator == "" {
		return nil, errors.New("expected a separator of one character, got none")
	}
	_, n := utf8.DecodeRuneInString(separator)
	separator = separator[:n]
	if index < 0 {
		return func(v value.Value) value.Value { return fieldFromEnd(v.Text(), index, separator) }, nil
	}
	return func(v value.Value) value.Value { return field(v.Text(), index, separator) }, nil
}

// field returns a field, counted from 0.
func field(text string, index int64, separator string) value.Value {
	for {
		first, rest, more := strings.Cut(text, separator)
		switch {
		case index == 0:
			return value.String(first)
		case !more:
			return value.Value{}
		}
		text = rest
		index--
	}
}

// fieldFromEnd returns a field, -1 being the last one.
func fieldFromEnd(text string, index int64, separator string) value.Value {
	for {
		i := strings.LastIndex(text, separator)
		switch {
		case index == -1 && i < 0:
			return value.String(text)
		case index == -1:
			return value.String(text[i+len(separator):])
		case i < 0:
			return value.Value{}
		}
		text = text[:i]
		index++
	}
}

// toLower and toUpper know the letters of ASCII.
func toLower(v value.Value) value.Value { return changeCase(v, 'A', 'Z') }
func toUpper(v value.Value) value.Value { return changeCase(v, 'a', 'z') }

// changeCase changes the case of the letters from first to last.
func changeCase(v value.Value, first, last byte) value.Value {
	if v.IsInt() {
		return v
	}
	text := v.Text()
	for i := range len(text) {
		if first <= text[i] && text[i] <= last {
			return value.String(changeCaseFrom(text, i, first, last))
		}
	}
	return v
}

// changeCaseFrom changes what comes from offset start on.
func changeCaseFrom(text string, start int, first, last byte) string {
	var b strings.Builder
	b.Grow(len(text))
	b.WriteString(text[:start])
	for i := start; i < len(text); i++ {
		c := text[i]
		if first <= c && c <= last {
			c ^= 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

func trim(v value.Value) value.Value {
	if v.IsInt() {
		return v
	}
	return value.String(strings.Trim(v.Text(), blanks))
}

func trimLeft(v value.Value) value.Value {
	if v.IsInt() {
		return v
	}
	return value.String(strings.TrimLeft(v.Text(), blanks))
}

func trimRight(v value.Value) value.Value {
	if v.IsInt() {
		return v
	}
	return value.String(strings.TrimRight(v.Text(), blanks))
}

// escapeCommon puts a backslash before ', " and \, and writes a zero byte as \0.
func escapeCommon(v value.Value) value.Value {
	text := v.Text()
	special := 0
	for i := range len(text) {
		if isSpecial(text[i]) {
			special++
		}
	}
	if special == 0 {
		return value.String(text)
	}
	var b strings.Builder
	b.Grow(len(text) + special)
	for i := range len(text) {
		c := text[i]
		if isSpecial(c) {
			b.WriteByte('\\')
		}
		if c == 0 {
			c = '0'
		}
		b.WriteByte(c)
	}
	return value.String(b.String())
}

func isSpecial(c byte) bool { return c == '\'' || c == '"' || c == '\\' || c == 0 }

// unescapeCommon is the reverse of escapeCommon. Any other backslash stands for itself.
func unescapeCommon(v value.Value) value.Value {
	text := v.Text()
	if strings.IndexByte(text, '\\') < 0 {
		return value.String(text)
	}
	var b strings.Builder
	b.Grow(len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) && strings.IndexByte(`'"\0`, text[i+1]) >= 0 {
			i++
			if c = text[i]; c == '0' {
				c = 0
			}
		}
		b.WriteByte(c)
	}
	return value.String(b.String())
}
