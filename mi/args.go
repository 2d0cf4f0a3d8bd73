package mi

import (
	"fmt"
	"strconv"
)

// Args are the parameters of one call, under the names the command gave them;
// that the call had them by position makes no difference.
type Args struct {
	names  []string
	values []Value
}

// Value returns a parameter as it was sent, and whether the call has it.
func (a Args) Value(name string) (Value, bool) {
	for i := range a.names {
		if a.names[i] == name {
			return a.values[i], true
		}
	}
	return Value{}, false
}

// Has reports whether the call has this parameter.
func (a Args) Has(name string) bool {
	_, has := a.Value(name)
	return has
}

// Text returns a parameter that is a string, or a number digit for digit. Others
// are an [Error]: "Bad type for parameter".
func (a Args) Text(name string) (string, error) {
	v, _ := a.Value(name)
	text, ok := v.text()
	if !ok {
		return "", badType(name)
	}
	return text, nil
}

// Int returns a parameter that is a number, or a string that holds an integer:
// without its fraction, and limited to 32 bits. Others are an [Error]: "Bad type
// for parameter".
func (a Args) Int(name string) (int, error) {
	v, _ := a.Value(name)
	n, ok := v.int()
	if !ok {
		return 0, badType(name)
	}
	return n, nil
}

// Uint returns a parameter that is a whole number of at most 64 bits, 0 or more,
// or a string that holds one. Others are an [Error]: "Bad type for parameter".
func (a Args) Uint(name string) (uint64, error) {
	v, _ := a.Value(name)
	text, ok := v.text()
	n, err := strconv.ParseUint(text, 10, 64)
	if !ok || err != nil {
		return 0, badType(name)
	}
	return n, nil
}

// Flag returns a parameter that is 0 or 1, and false if the call does not have it.
// Others are an [Error].
func (a Args) Flag(name string) (bool, error) {
	if !a.Has(name) {
		return false, nil
	}
	n, err := a.Int(name)
	if err == nil && n != 0 && n != 1 {
		err = invalidParams(fmt.Sprintf("Bad value for parameter '%s': expected 0 or 1", name))
	}
	return n == 1, err
}

// Texts returns a parameter that is an array of at least one string or number.
// Others are an [Error].
func (a Args) Texts(name string) ([]string, error) {
	v, _ := a.Value(name)
	if v.Kind != Array {
		return nil, badType(name)
	}
	if len(v.Items) == 0 {
		return nil, invalidParams(fmt.Sprintf("Empty array in parameter '%s'", name))
	}
	texts := make([]string, len(v.Items))
	for i, item := range v.Items {
		text, ok := item.text()
		if !ok {
			return nil, invalidParams(fmt.Sprintf("Bad type for array item in parameter '%s'", name))
		}
		texts[i] = text
	}
	return texts, nil
}

func badType(name string) *Error {
	return invalidParams(fmt.Sprintf("Bad type for parameter '%s'", name))
}
