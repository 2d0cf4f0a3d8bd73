package program

import (
	"regexp"

	"github.com/evid/evid/script"
	"github.com/evid/evid/script/posix"
	"github.com/evid/evid/script/value"
)

// An expr gives a value. When there is none it has said why, and r.failed is set.
type expr func(r *Run) value.Value

// A cond says whether a condition holds. When that cannot be said, it has said why.
type cond func(r *Run) truth

// value compiles an expression whose value is asked for.
func (c *compiler) value(e script.Expr) expr {
	switch e := e.(type) {
	case *script.Integer:
		return constant(value.Int(e.Value))
	case *script.String:
		return constant(value.String(e.Value))
	case *script.Null:
		return constant(value.Value{})
	case *script.Variable:
		return c.variable(e)
	case *script.Paren:
		return c.value(e.X)
	case *script.Test:
		return c.value(e.X)
	case *script.Complement:
		return c.complement(e)
	case *script.Call:
		return integerOf(c.call(e))
	case *script.RouteCall:
		return integerOf(c.routeCall(e))
	case *script.Binary:
		if isArithmetic(e.Op) {
			return c.arithmetic(e)
		}
	}
	holds := c.cond(e)
	return func(r *Run) value.Value {
		t := holds(r)
		if t == unknown {
			r.failed = true
		}
		return value.Int(int64(t) & 1)
	}
}

func constant(v value.Value) expr { return func(*Run) value.Value { return v } }

func integerOf(call func(r *Run) int64) expr {
	return func(r *Run) value.Value { return value.Int(call(r)) }
}

func isArithmetic(op string) bool {
	switch op {
	case "+", "-", "*", "/", "%", "|", "&", "^", "<<", ">>":
		return true
	default:
		return false
	}
}

func (c *compiler) complement(e *script.Complement) expr {
	x := c.value(e.X)
	return func(r *Run) value.Value {
		v := x(r)
		if !v.IsInt() && !r.failed {
			return r.noValue(e.Pos, "~%#v: expected an integer", v)
		}
		return value.Int(^v.Int())
	}
}

func (c *compiler) arithmetic(e *script.Binary) expr {
	c.warnOrder(e)
	x, y := c.value(e.X), c.value(e.Y)
	return func(r *Run) value.Value {
		left, right := x(r), y(r)
		if r.failed || r.stop {
			return value.Value{}
		}
		return r.arithmetic(e.Pos, e.Op, left, right)
	}
}

func (r *Run) arithmetic(pos script.Pos, op string, x, y value.Value) value.Value {
	v, err := arithmetic(op, x, y)
	if err != nil {
		return r.noValue(pos, "%v", err)
	}
	if v.IsString() && !r.made(pos, len(v.Text())) {
		return value.Value{}
	}
	return v
}

// warnOrder warns when an operator binds tighter in most languages than the one to its
// left, which here goes first.
func (c *compiler) warnOrder(e *script.Binary) {
	if x, ok := e.X.(*script.Binary); ok && rank(e.Op) > rank(x.Op) && rank(x.Op) > 0 {
		c.warnf(e.Pos, "%s is applied after %s, from left to right, as in OpenSIPS: write (%s %s %s) %s %s, or what is meant, with parentheses",
			e.Op, x.Op, short(x.X), x.Op, short(x.Y), e.Op, short(e.Y))
	}
}

// short is an expression in a message. Only a small one is shown: there can be as many
// messages as operands.
func short(e script.Expr) string {
	const longest = 40
	switch e := e.(type) {
	case *script.Integer, *script.String, *script.Null, *script.Variable:
		if text := e.String(); len(text) <= longest {
			return text
		}
	case *script.Binary:
		if !isBinary(e.X) && !isBinary(e.Y) {
			return short(e.X) + " " + e.Op + " " + short(e.Y)
		}
	}
	return "…"
}

func isBinary(e script.Expr) bool {
	_, is := e.(*script.Binary)
	return is
}

// rank is how tight an operator binds in C. Only operators that stand beside each other
// without parentheses are compared.
func rank(op string) int {
	switch op {
	case "||":
		return 1
	case "&&":
		return 2
	case "|":
		return 3
	case "^":
		return 4
	case "&":
		return 5
	case "<<", ">>":
		return 6
	case "+", "-":
		return 7
	case "*", "/", "%":
		return 8
	default:
		return 0
	}
}

// cond compiles a condition.
func (c *compiler) cond(e script.Expr) cond {
	switch e := e.(type) {
	case *script.Paren:
		return c.cond(e.X)
	case *script.Not:
		x := c.cond(e.X)
		return func(r *Run) truth {
			switch x(r) {
			case yes:
				return no
			case no:
				return yes
			default:
				return unknown
			}
		}
	case *script.Call:
		return isTrue(c.call(e))
	case *script.RouteCall:
		return isTrue(c.routeCall(e))
	case *script.Binary:
		switch {
		case e.Op == "&&" || e.Op == "||":
			return c.logical(e)
		case !isArithmetic(e.Op):
			return c.comparison(e)
		}
	}
	x := c.value(e)
	return func(r *Run) truth {
		v := x(r)
		if r.takeFailed() {
			return unknown
		}
		return truthOf(v.True())
	}
}

func isTrue(call func(r *Run) int64) cond {
	return func(r *Run) truth {
		n := call(r)
		r.code = n
		return truthOf(n > 0)
	}
}

func (c *compiler) logical(e *script.Binary) cond {
	c.warnOrder(e)
	x, y := c.cond(e.X), c.cond(e.Y)
	decided := no // by the left side alone
	if e.Op == "||" {
		decided = yes
	}
	return func(r *Run) truth {
		if t := x(r); t == decided || t == unknown || r.stop {
			return t
		}
		return y(r)
	}
}

func (c *compiler) comparison(e *script.Binary) cond {
	_, nullX := e.X.(*script.Null)
	_, nullY := e.Y.(*script.Null)
	switch {
	case nullX || nullY:
		return c.nullTest(e, nullX)
	case e.Op == "=~" || e.Op == "!~":
		return c.match(e)
	}
	x, y, holds := c.value(e.X), c.value(e.Y), comparisonOf(e.Op)
	_, intX := e.X.(*script.Integer)
	_, intY := e.Y.(*script.Integer)
	equality := e.Op == "==" || e.Op == "!="
	return func(r *Run) truth {
		left, right := x(r), y(r)
		if r.takeFailed() || r.stop {
			return unknown
		}
		if left.IsNull() || right.IsNull() {
			return nullOrder(e.Op, left, right)
		}
		if intX && !right.IsInt() || intY && !left.IsInt() {
			r.warn(e.Pos, "%#v %s %#v: expected two integers; {s.int} makes one of a string", left, e.Op, right)
			return unknown
		}
		if equality && left.IsString() && right.IsString() {
			return truthOf(equalFold(left.Text(), right.Text()) == (e.Op == "=="))
		}
		return truthOf(holds(compare(left, right)))
	}
}

// nullOrder compares two values of which one or both are NULL.
func nullOrder(op string, x, y value.Value) truth {
	both := x.IsNull() && y.IsNull()
	return truthOf(op == "==" && both || op == "!=" && !both)
}

// nullTest compiles a comparison with NULL.
func (c *compiler) nullTest(e *script.Binary, nullX bool) cond {
	if e.Op != "==" && e.Op != "!=" {
		c.errorf(e.Pos, "NULL cannot be compared with %s: expected == or !=", e.Op)
	}
	other := e.X
	if nullX {
		other = e.Y
	}
	x := c.value(other)
	return func(r *Run) truth {
		v := x(r)
		if r.takeFailed() || r.stop {
			return unknown
		}
		return truthOf(v.IsNull() == (e.Op == "=="))
	}
}

// match compiles =~ and !~, which do not regard the case of letters.
func (c *compiler) match(e *script.Binary) cond {
	x, find, wanted := c.value(e.X), c.expression(e), e.Op == "=~"
	return func(r *Run) truth {
		v := x(r)
		re := find(r)
		if r.takeFailed() || r.stop {
			return unknown
		}
		if v.IsNull() || re == nil {
			return truthOf(!wanted)
		}
		return truthOf(r.matches(e.Pos, re, v.Text()) == wanted)
	}
}

// expression compiles what gives the regular expression to the right of =~; it gives nil
// for NULL.
func (c *compiler) expression(e *script.Binary) func(r *Run) *regexp.Regexp {
	if s, ok := e.Y.(*script.String); ok {
		re, err := posix.Compile(s.Value, true)
		if err != nil {
			c.errorf(s.Pos, "regular expression %v: %v", s, err)
		}
		return func(*Run) *regexp.Regexp { return re }
	}
	y, cache := c.value(e.Y), &c.program.regexps
	return func(r *Run) *regexp.Regexp {
		v := y(r)
		if v.IsNull() {
			return nil
		}
		re, err := cache.get(v.Text())
		if err != nil {
			r.noValue(e.Pos, "regular expression %#v: %v", v, err)
		}
		return re
	}
}

// format compiles what a function takes as text: the variables in a string are replaced.
func (c *compiler) format(e script.Expr) expr {
	s, ok := e.(*script.String)
	if !ok {
		return c.value(e)
	}
	parts, err := script.ParseFormat(s.Pos, s.Value)
	if err != nil {
		c.errorf(s.Pos, "%v", err)
		return constant(value.Value{})
	}
	switch {
	case len(parts) == 0:
		return constant(value.String(""))
	case len(parts) == 1 && parts[0].Var == nil:
		return constant(value.String(parts[0].Text))
	case len(parts) == 1:
		return c.variable(parts[0].Var)
	}
	type piece struct {
		text string
		read expr // nil: text
	}
	pieces := make([]piece, len(parts))
	for i, part := range parts {
		pieces[i].text = part.Text
		if part.Var != nil {
			pieces[i].read = c.variable(part.Var)
		}
	}
	return func(r *Run) value.Value {
		start := len(r.buf) // a variable may be a format in turn
		for i := range pieces {
			end := len(r.buf)
			if pieces[i].read == nil {
				r.buf = append(r.buf, pieces[i].text...)
			} else {
				r.buf = pieces[i].read(r).Append(r.buf)
			}
			if !r.made(s.Pos, len(r.buf)-end) { // said before the next one makes it larger
				r.buf = r.buf[:start]
				return value.Value{}
			}
		}
		text := string(r.buf[start:])
		r.buf = r.buf[:start]
		return value.String(text)
	}
}
