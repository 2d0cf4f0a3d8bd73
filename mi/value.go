package mi

import (
	"math"
	"strconv"
)

// A Kind is the type of a [Value].
type Kind uint8

// The types of JSON.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

func (k Kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// A Value is a JSON value just as it was sent: numbers digit for digit, the
// members of an object in their order, also those whose names repeat. The zero
// Value is null.
type Value struct {
	Kind  Kind
	Name  string  // of a member of an object
	Text  string  // of a string; the digits of a number; "true" or "false"
	Items []Value // of an array or object
}

// member returns the first member of this name. Letter case does not matter, as
// in OpenSIPS.
func (v Value) member(name string) (Value, bool) {
	for _, m := range v.Items {
		if equalFold(m.Name, name) {
			return m, true
		}
	}
	return Value{}, false
}

// equalFold compares ASCII letters regardless of case.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// text returns the text of a string or number, the only values that OpenSIPS
// takes where it expects a string.
func (v Value) text() (string, bool) {
	return v.Text, v.Kind == String || v.Kind == Number
}

// int returns a number, or a string that holds an integer, as OpenSIPS reads it:
// without its fraction, and what is outside 32 bits as the nearest that is inside.
func (v Value) int() (int, bool) {
	var number float64
	var err error
	switch v.Kind {
	case Number:
		number, err = strconv.ParseFloat(v.Text, 64)
	case String:
		var integer int64
		integer, err = strconv.ParseInt(v.Text, 10, 64)
		number = float64(integer)
	default:
		return 0, false
	}
	if err != nil && number == 0 { // out of range is no error: it has a sign
		return 0, false
	}
	return int(min(max(number, math.MinInt32), math.MaxInt32)), true
}
