package script

import (
	"fmt"
	"strings"
)

// A File is a configuration as it was written, files included by it in their
// places.
type File struct {
	Stmts []Stmt

	sources map[string]string // the text of every file read, for Excerpt
	errs    errorList         // of parsing
}

// A Node is a part of the text. String gives it as the language has it: what is
// printed parses to the same nodes.
type Node interface {
	Position() Pos
	String() string
}

// A Stmt is a [*Global], [*LoadModule], [*ModParam] or [*Route].
type Stmt interface {
	Node
	stmt()
}

// A Global is name=value.
type Global struct {
	Pos
	Name  string
	Value Value
}

// A LoadModule is loadmodule "module".
type LoadModule struct {
	Pos
	Module *String
}

// A ModParam is modparam("module", "param", value). Several modules have a |
// between them.
type ModParam struct {
	Pos
	Module *String
	Param  *String
	Value  Value
}

// A Route is a route block: route[name] {…}, event_route[E_NAME] {…}, ….
type Route struct {
	Pos
	Kind string  // route, startup_route, timer_route, …
	Args []Value // in the brackets; none when there are none
	Body *Block
}

// A Value is an [*Integer], a [*String] or a [*Word].
type Value interface {
	Node
	value()
}

// An Integer is a number, or one of the words that stand for 1 (yes, true, on,
// enable) and 0 (no, false, off, disable).
type Integer struct {
	Pos
	Source string // 0x10
	Value  int64  // 16
}

// A String is text in quotes; several in a row are one.
type String struct {
	Pos
	Value string
}

// A Word is any other value of a global, or a name in the brackets of a route:
// udp:127.0.0.1:5060. It may have blanks in it.
type Word struct {
	Pos
	Source string
}

func (*Global) stmt()     {}
func (*LoadModule) stmt() {}
func (*ModParam) stmt()   {}
func (*Route) stmt()      {}

func (*Integer) value() {}
func (*String) value()  {}
func (*Word) value()    {}

// String gives the statements, one per line.
func (f *File) String() string {
	var b strings.Builder
	for _, s := range f.Stmts {
		b.WriteString(s.String())
		b.WriteByte('\n')
	}
	return b.String()
}

func (g *Global) String() string { return g.Name + " = " + g.Value.String() }

func (l *LoadModule) String() string { return wordLoadModule + " " + l.Module.String() }

func (m *ModParam) String() string {
	return fmt.Sprintf("%s(%v, %v, %v)", wordModParam, m.Module, m.Param, m.Value)
}

func (r *Route) String() string {
	if len(r.Args) == 0 {
		return r.Kind + " " + r.Body.String()
	}
	args := make([]string, len(r.Args))
	for i, arg := range r.Args {
		args[i] = arg.String()
	}
	return r.Kind + "[" + strings.Join(args, ", ") + "] " + r.Body.String()
}

func (i *Integer) String() string { return i.Source }

func (w *Word) String() string { return w.Source }

// String gives the string in double quotes.
func (s *String) String() string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s.Value) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
