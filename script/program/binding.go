package program

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/evid/evid"
	"github.com/evid/evid/script/value"
)

// A Binding is one call of a function in the script, with its arguments. They are counted
// from 0.
type Binding struct {
	function  *Function
	args      []argument
	registers func(event string)
	hasEvent  func(event string) bool
	assign    func(variable string) (func(r *Run, v value.Value), error)
}

// An argument has what its parameter's Type needs.
type argument struct {
	given    bool
	constant bool
	value    value.Value                 // if constant
	eval     expr                        // Format, Constant, Integer
	values   func(r *Run) []value.Value  // AVP
	set      func(r *Run, v value.Value) // Output
}

// Given reports whether the argument was not left out.
func (b *Binding) Given(i int) bool { return b.args[i].given }

// Constant returns the text of an argument that is the same each time.
func (b *Binding) Constant(i int) (text string, ok bool) {
	return b.args[i].value.Text(), b.args[i].constant
}

// Text returns what gives the text of a [Format] or [Constant]. It is "" for an argument
// that was left out. It is an error if a variable holds nothing.
func (b *Binding) Text(i int) func(r *Run) (string, error) {
	arg := b.args[i]
	if !arg.given || arg.constant {
		text := arg.value.Text()
		return func(*Run) (string, error) { return text, nil }
	}
	return func(r *Run) (string, error) {
		v := arg.eval(r)
		if v.IsNull() {
			return "", b.isNull(i)
		}
		return v.Text(), nil
	}
}

// Value returns what gives a [Format] as it is: an integer stays one, and nothing is NULL.
func (b *Binding) Value(i int) func(r *Run) value.Value {
	if !b.args[i].given {
		return func(*Run) value.Value { return value.Value{} }
	}
	return b.args[i].eval
}

// Int returns what gives an [Integer], or otherwise if the argument was left out. It is
// an error if a variable holds no integer.
func (b *Binding) Int(i int, otherwise int64) func(r *Run) (int64, error) {
	arg := b.args[i]
	if !arg.given {
		return func(*Run) (int64, error) { return otherwise, nil }
	}
	if arg.constant {
		n, err := b.integer(i, arg.value)
		return func(*Run) (int64, error) { return n, err }
	}
	return func(r *Run) (int64, error) { return b.integer(i, arg.eval(r)) }
}

func (b *Binding) integer(i int, v value.Value) (int64, error) {
	if v.IsInt() {
		return v.Int(), nil
	}
	if v.IsNull() {
		return 0, b.isNull(i)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(v.Text()), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: expected an integer, got %#v", b.function.Params[i].Name, v)
	}
	return n, nil
}

func (b *Binding) isNull(i int) error {
	return fmt.Errorf("%s: the variable holds nothing", b.function.Params[i].Name)
}

// Values returns what gives the values of an [AVP], the one assigned last at the end. They
// must not be changed, nor kept after the call. There are none for an argument that was
// left out.
func (b *Binding) Values(i int) func(r *Run) []value.Value {
	if !b.args[i].given {
		return func(*Run) []value.Value { return nil }
	}
	return b.args[i].values
}

// Output returns what assigns to an [Output]. It does nothing for an argument that was
// left out.
func (b *Binding) Output(i int) func(r *Run, v value.Value) {
	if !b.args[i].given {
		return func(*Run, value.Value) {}
	}
	return b.args[i].set
}

// Assign returns what assigns to a variable that stands in the text of an argument, from
// its $ on.
func (b *Binding) Assign(variable string) (func(r *Run, v value.Value), error) {
	return b.assign(variable)
}

// Registers notes that the script uses the event of this name: it is to be registered when
// the script is loaded.
func (b *Binding) Registers(event string) error {
	if err := evid.CheckEventName(event); err != nil {
		return err
	}
	b.registers(event)
	return nil
}

// HasEvent reports whether the script has an event route for the event.
func (b *Binding) HasEvent(event string) bool { return b.hasEvent(event) }

// A BindError is wrong with one argument of a call.
type BindError struct {
	Arg int // from 0
	Err error
}

func (e *BindError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *BindError) Unwrap() error { return e.Err }
