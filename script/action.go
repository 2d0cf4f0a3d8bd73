package script

import (
	"strconv"
	"strings"
)

// A Block is what stands in braces, or an action that stands there without.
type Block struct {
	Pos
	Actions []Action
}

// An Action is one step of a route: an [*Assign], [*Call], [*RouteCall], [*If], [*While],
// [*For], [*Switch], [*Break], [*Return], [*Exit], [*Drop] or [*Block].
type Action interface {
	Node
	action()
}

// An Assign is $var(x) = value, also with := and the operators that change a value.
type Assign struct {
	Pos
	Var   *Variable
	Op    string // =, :=, +=, …
	Value Expr
}

// A Call calls a function.
type Call struct {
	Pos
	Name string
	Args []Expr // nil: left out between two commas, or before the last )
}

// A RouteCall is route(name, args…).
type RouteCall struct {
	Pos
	Route Expr // an [*Integer], [*String], [*Word] or [*Variable]
	Args  []Expr
}

// An If is if (…) … else if (…) … else ….
type If struct {
	Pos
	Branches []Branch // the first whose condition is true is taken
	Else     *Block   // nil: there is none
}

// A Branch is a condition and what is done when it is true.
type Branch struct {
	Pos
	Cond Expr
	Body *Block
}

// A While is while (…) ….
type While struct {
	Pos
	Cond Expr
	Body *Block
}

// A For is for ($x in $(avp(y)[*])) ….
type For struct {
	Pos
	Var, In *Variable
	Body    *Block
}

// A Switch is switch ($x) {…}.
type Switch struct {
	Pos
	Var   *Variable
	Cases []Case
}

// A Case is one of a [Switch]. What follows it is done up to a break, also when that is
// in a later one.
type Case struct {
	Pos
	Value Expr // an [*Integer] or [*String]; nil: default
	Body  *Block
}

// A Break ends the innermost loop or switch.
type Break struct{ Pos }

// A Return ends the route.
type Return struct {
	Pos
	Code   Expr   // an [*Integer] or [*Variable]; nil: 1
	Values []Expr // for $return(0), $return(1), …
}

// An Exit ends the script.
type Exit struct{ Pos }

// A Drop ends the script as well.
type Drop struct{ Pos }

func (*Assign) action()    {}
func (*Call) action()      {}
func (*RouteCall) action() {}
func (*If) action()        {}
func (*While) action()     {}
func (*For) action()       {}
func (*Switch) action()    {}
func (*Break) action()     {}
func (*Return) action()    {}
func (*Exit) action()      {}
func (*Drop) action()      {}
func (*Block) action()     {}

func (b *Block) String() string { return "{ " + b.list() + "}" }

// list gives the actions without braces.
func (b *Block) list() string {
	var text strings.Builder
	for _, a := range b.Actions {
		text.WriteString(a.String())
		switch a.(type) {
		case *If, *While, *For, *Switch, *Block:
			text.WriteByte(' ')
		default:
			text.WriteString("; ")
		}
	}
	return text.String()
}

func (a *Assign) String() string { return a.Var.String() + " " + a.Op + " " + a.Value.String() }

func (c *Call) String() string { return c.Name + "(" + join(c.Args) + ")" }

func (r *RouteCall) String() string {
	return wordRoute + "(" + join(append([]Expr{r.Route}, r.Args...)) + ")"
}

// join gives arguments with commas between them.
func join(args []Expr) string {
	texts := make([]string, len(args))
	for i, arg := range args {
		if arg != nil {
			texts[i] = arg.String()
		}
	}
	return strings.Join(texts, ", ")
}

func (i *If) String() string {
	var text strings.Builder
	for n, branch := range i.Branches {
		if n > 0 {
			text.WriteString(" else ")
		}
		text.WriteString("if (" + branch.Cond.String() + ") " + branch.Body.String())
	}
	if i.Else != nil {
		text.WriteString(" else " + i.Else.String())
	}
	return text.String()
}

func (w *While) String() string { return "while (" + w.Cond.String() + ") " + w.Body.String() }

func (f *For) String() string {
	return "for (" + f.Var.String() + " in " + f.In.String() + ") " + f.Body.String()
}

func (s *Switch) String() string {
	var text strings.Builder
	text.WriteString("switch (" + s.Var.String() + ") { ")
	for _, c := range s.Cases {
		if c.Value == nil {
			text.WriteString("default: ")
		} else {
			text.WriteString("case " + c.Value.String() + ": ")
		}
		text.WriteString(c.Body.list())
	}
	return text.String() + "}"
}

func (*Break) String() string { return "break" }
func (*Exit) String() string  { return "exit" }
func (*Drop) String() string  { return "drop" }

func (r *Return) String() string {
	switch {
	case r.Code == nil && r.Values == nil:
		return "return"
	case r.Code == nil:
		return "return(, " + join(r.Values) + ")"
	default:
		return "return(" + join(append([]Expr{r.Code}, r.Values...)) + ")"
	}
}

// An Expr gives a value: a [*Binary], [*Not], [*Complement], [*Paren], [*Test],
// [*Variable], [*Integer], [*String], [*Word] (the name of a route), [*Null], [*Call] or
// [*RouteCall].
type Expr interface {
	Node
	expr()
}

// A Binary has an operator between two expressions. Its place is that of the operator.
type Binary struct {
	Pos
	Op   string // && and || also for "and" and "or"
	X, Y Expr
}

// A Not is !x, or "not x".
type Not struct {
	Pos
	X Expr
}

// A Complement is ~x, all bits of an integer turned over.
type Complement struct {
	Pos
	X Expr
}

// A Paren is (x).
type Paren struct {
	Pos
	X Expr
}

// A Test is [x], an arithmetic expression as a condition.
type Test struct {
	Pos
	X Expr
}

// A Null is NULL.
type Null struct{ Pos }

func (*Binary) expr()     {}
func (*Not) expr()        {}
func (*Complement) expr() {}
func (*Paren) expr()      {}
func (*Test) expr()       {}
func (*Null) expr()       {}
func (*Variable) expr()   {}
func (*Integer) expr()    {}
func (*String) expr()     {}
func (*Word) expr()       {}
func (*Call) expr()       {}
func (*RouteCall) expr()  {}

func (b *Binary) String() string     { return b.X.String() + " " + b.Op + " " + b.Y.String() }
func (n *Not) String() string        { return "! " + n.X.String() }
func (c *Complement) String() string { return "~" + c.X.String() }
func (p *Paren) String() string      { return "(" + p.X.String() + ")" }
func (t *Test) String() string       { return "[" + t.X.String() + "]" }
func (*Null) String() string         { return "NULL" }

// A Variable is $name, $name(subname), or any in $(…), there also with an index and
// transformations: $(avp(x)[0]{s.len}).
type Variable struct {
	Pos
	Source     string
	Name       string // without the $
	Sub        *Subname
	Index      *Index // nil: there is none
	Transforms []Transform
}

// A Subname is what stands in the parentheses after the name of a variable.
type Subname struct {
	Text string
	Var  *Variable // not nil: the variable that the text is
}

// An Index says which of several values is meant.
type Index struct {
	All    bool // [*]
	Append bool // [append]
	N      int64
	Var    *Variable // not nil: it holds the index
}

// A Transform is {name,args}.
type Transform struct {
	Name string
	Args string // what follows the first comma, as it stands
	// HasArgs tells {name,} from {name}.
	HasArgs bool
}

func (v *Variable) String() string { return v.Source }

func (i *Index) String() string {
	switch {
	case i.All:
		return "*"
	case i.Append:
		return "append"
	case i.Var != nil:
		return i.Var.String()
	default:
		return strconv.FormatInt(i.N, 10)
	}
}
