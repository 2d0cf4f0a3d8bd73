// Package modparam declares the parameters of modules. A module lists its
// parameters, each bound to a field of its configuration; the script
// (modparam("event_xmlrpc", "timeout", 500)) and the options of a socket
// (;timeout=500) are then assigned through the same list, with the same checks.
package modparam

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Param is one parameter of a module.
type Param struct {
	Name  string
	Value Value
	Usage string // one line, for people
}

// A Type says how a parameter's value is written in the script.
type Type uint8

// The ways to write a value.
const (
	Integer Type = iota // 5
	Text                // "five"
	Either
)

func (t Type) String() string {
	return [...]string{"an integer", "a string", "an integer or a string"}[t]
}

// A Value checks what is assigned to a parameter and puts it where it belongs.
type Value interface {
	Type() Type
	// Set assigns the value. Its error says what was expected.
	Set(text string) error
	// String is the present value as one writes it.
	String() string
}

// ErrUnknown is wrapped by the error of [Assign] for a name that no parameter has.
var ErrUnknown = errors.New("no such parameter")

// An Error is wrong with parameters each of which can have its value: with what it names,
// or with several together.
type Error struct {
	Params []string // that it is about, the first one most
	Err    error    // says which
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// Wrong returns an [*Error] about these parameters.
func Wrong(err error, params ...string) error { return &Error{params, err} }

// Find returns the parameter of this name.
func Find(params []Param, name string) (Param, error) {
	for _, p := range params {
		if p.Name == name {
			return p, nil
		}
	}
	return Param{}, fmt.Errorf("%s: %w", name, ErrUnknown)
}

// Assign assigns text to the parameter of this name. As tells how it was
// written: Integer or Text in a script, Either where there are no types.
func Assign(params []Param, name, text string, as Type) error {
	p, err := Find(params, name)
	if err != nil {
		return err
	}
	if as != Either && p.Value.Type() != Either && as != p.Value.Type() {
		return fmt.Errorf("%s: expected %s, got %s", name, p.Value.Type(), written(text, as))
	}
	if err := p.Value.Set(text); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// written shows a value of the wrong type as it was written.
func written(text string, as Type) string {
	if as == Integer {
		return text
	}
	if _, err := strconv.Atoi(text); err == nil {
		return strconv.Quote(text) + " in quotes"
	}
	return strconv.Quote(text)
}

// Bool is a parameter that 0 turns off and any other integer turns on.
func Bool(p *bool) Value { return (*boolValue)(p) }

type boolValue bool

func (v *boolValue) Type() Type { return Integer }

func (v *boolValue) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("expected 0 or 1, got %q", text)
	}
	*v = n != 0
	return nil
}

func (v *boolValue) String() string {
	if *v {
		return "1"
	}
	return "0"
}

// Int is an integer from lowest to highest.
func Int(p *int, lowest, highest int) Value { return &intValue{p, lowest, highest} }

type intValue struct {
	p               *int
	lowest, highest int
}

func (v *intValue) Type() Type { return Integer }

func (v *intValue) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < v.lowest || n > v.highest {
		return fmt.Errorf("expected an integer from %d to %d, got %q", v.lowest, v.highest, text)
	}
	*v.p = n
	return nil
}

func (v *intValue) String() string { return strconv.Itoa(*v.p) }

// Duration is a time from lowest to highest: an integer counts milliseconds, a
// string has a unit ("500ms", "5s", "2m").
func Duration(p *time.Duration, lowest, highest time.Duration) Value {
	return &durationValue{p, lowest, highest}
}

type durationValue struct {
	p               *time.Duration
	lowest, highest time.Duration
}

func (v *durationValue) Type() Type { return Either }

func (v *durationValue) Set(text string) error {
	d, err := time.ParseDuration(text)
	if _, errInt := strconv.ParseInt(text, 10, 64); errInt == nil {
		d, err = time.ParseDuration(text + "ms")
	}
	if err != nil || d < v.lowest || d > v.highest {
		return fmt.Errorf("expected milliseconds or a time with its unit, from %v to %v, got %q", v.lowest, v.highest, text)
	}
	*v.p = d
	return nil
}

// String gives milliseconds without a unit, as in the script's other modules.
func (v *durationValue) String() string {
	if *v.p%time.Millisecond == 0 {
		return strconv.FormatInt(v.p.Milliseconds(), 10)
	}
	return v.p.String()
}

// String is any string.
func String(p *string) Value { return (*stringValue)(p) }

type stringValue string

func (v *stringValue) Type() Type            { return Text }
func (v *stringValue) Set(text string) error { *v = stringValue(text); return nil }
func (v *stringValue) String() string        { return string(*v) }

// OneOf is a string out of a few.
func OneOf(p *string, words ...string) Value { return &oneOfValue{p, words} }

type oneOfValue struct {
	p     *string
	words []string
}

func (v *oneOfValue) Type() Type     { return Text }
func (v *oneOfValue) String() string { return *v.p }

func (v *oneOfValue) Set(text string) error {
	if slices.Contains(v.words, text) {
		*v.p = text
		return nil
	}
	return fmt.Errorf("expected %s, got %q", strings.Join(v.words, " or "), text)
}

// Func is a parameter with a check of its own.
func Func(t Type, get func() string, set func(text string) error) Value {
	return &funcValue{t, get, set}
}

type funcValue struct {
	t   Type
	get func() string
	set func(text string) error
}

func (v *funcValue) Type() Type            { return v.t }
func (v *funcValue) Set(text string) error { return v.set(text) }
func (v *funcValue) String() string        { return v.get() }
