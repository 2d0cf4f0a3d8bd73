package program

import (
	"github.com/evid/evid/script/value"
)

// A Library is what the routes of a script can use, beside what the language itself has.
type Library struct {
	Functions []Function
	Variables []Variable
	// Missing are functions ("t_relay") and variables ("$rU") of OpenSIPS that are not
	// here, with the reason: it ends the message of the error.
	Missing map[string]string
}

// A Function is what a script calls by name.
type Function struct {
	Name   string
	Module string // the module that must be loaded for it; empty: none
	Params []Param
	Usage  string // how it is written; empty: as Params has it
	// Bind is called for each call in the script, when that is compiled, and returns what
	// runs then. An error is one of the script: a [*BindError] if it is about an argument.
	Bind func(b *Binding) (Call, error)
}

// A Call runs a function. The script goes on after a result above 0, which counts as
// true, or below, which counts as false; 0 ends it. An error is logged with the place of
// the call, and the result is then [False].
type Call func(r *Run) (result int64, err error)

// What most functions return.
const (
	True  int64 = 1
	False int64 = -1
)

// Bool returns [True] or [False].
func Bool(ok bool) int64 {
	if ok {
		return True
	}
	return False
}

// A Param is a parameter of a function.
type Param struct {
	Name     string
	Type     Type
	Optional bool // it may be left out, at the end or between two commas
}

// A Type says what an argument may be.
type Type uint8

// The types of arguments.
const (
	Format   Type = iota // a text in quotes, whose variables are replaced, or a variable
	Constant             // a text in quotes, as it stands
	Integer              // an integer, or a variable or text in quotes that holds one
	AVP                  // $avp(name): all its values
	Output               // a variable that is written
)

func (t Type) String() string {
	return [...]string{
		"a string or a variable", "a string in quotes", "an integer or a variable", "an $avp(name)",
		"a variable that can be assigned to",
	}[t]
}

// A Variable is what a script reads as $name or $name(subname).
type Variable struct {
	Name   string // without the $
	Module string // the module that must be loaded for it; empty: none
	// Subname says what stands in the parentheses, such as "the name of a statistic";
	// empty: there are none.
	Subname string
	// Bind is called for each use of the variable in the script, when that is compiled,
	// and returns what reads it. The subname is never itself a variable.
	Bind func(subname string) (func(r *Run) value.Value, error)
	// BindIndexed takes the place of Bind for a variable that has several values and, as
	// $(name(subname)[index]), an index. They count from 0, which is that of a variable
	// without an index, or from the last one, -1, back; where there is none is NULL.
	BindIndexed func(subname string) (func(r *Run, index int) value.Value, error)
}
