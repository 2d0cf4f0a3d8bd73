// Package value is what variables of a script hold: nothing, an integer or a string.
package value

import "strconv"

// A Value is NULL, an integer or a string. The zero value is NULL. Values are compared
// with ==.
type Value struct {
	kind kind
	n    int64
	s    string
}

type kind uint8

const (
	null kind = iota
	integer
	text
)

// Int returns an integer.
func Int(n int64) Value { return Value{kind: integer, n: n} }

// String returns a string: any bytes.
func String(s string) Value { return Value{kind: text, s: s} }

// IsNull reports whether there is no value.
func (v Value) IsNull() bool { return v.kind == null }

// IsInt reports whether the value is an integer.
func (v Value) IsInt() bool { return v.kind == integer }

// IsString reports whether the value is a string.
func (v Value) IsString() bool { return v.kind == text }

// Int returns the integer; 0 if it is none.
func (v Value) Int() int64 { return v.n }

// Text returns a string as it is, an integer in decimal and NULL as "".
func (v Value) Text() string {
	if v.kind == integer {
		return strconv.FormatInt(v.n, 10)
	}
	return v.s
}

// Append appends the value as it is printed within a text: as Text has it, but NULL as
// "<null>".
func (v Value) Append(dst []byte) []byte {
	switch v.kind {
	case integer:
		return strconv.AppendInt(dst, v.n, 10)
	case text:
		return append(dst, v.s...)
	default:
		return append(dst, "<null>"...)
	}
}

// True reports whether the value counts as true: an integer other than 0, or a string
// that is not empty.
func (v Value) True() bool { return v.n != 0 || v.s != "" }

// GoString gives the value as a script has it: NULL, 5 or "five".
func (v Value) GoString() string {
	switch v.kind {
	case integer:
		return strconv.FormatInt(v.n, 10)
	case text:
		return strconv.Quote(v.s)
	default:
		return "NULL"
	}
}
