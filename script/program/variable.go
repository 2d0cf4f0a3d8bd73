package program

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/evid/evid"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/transform"
	"github.com/evid/evid/script/value"
)

// The variables that the language itself has.
const (
	varVar     = "var"
	varAVP     = "avp"
	varParam   = "param"
	varReturn  = "return"
	varCode    = "rc"
	varRetcode = "retcode"
)

func ownVariables() []string {
	return []string{varVar, varAVP, varParam, varReturn, varCode, varRetcode}
}

// variable compiles the reading of a variable, with its transformations.
func (c *compiler) variable(v *script.Variable) expr {
	read := c.read(v)
	for i := range v.Transforms {
		read = c.transform(v, &v.Transforms[i], read)
	}
	return read
}

// read compiles the reading of a variable as it is.
func (c *compiler) read(v *script.Variable) expr {
	if v.Index != nil && v.Name != varAVP && slices.Contains(ownVariables(), v.Name) {
		c.noIndex(v)
		return constant(value.Value{})
	}
	switch v.Name {
	case varVar:
		at := c.varSlot(v)
		return func(r *Run) value.Value { return r.vars[at] }
	case varAVP:
		return c.readAVP(v)
	case varParam:
		return c.param(v)
	case varReturn:
		return c.returned(v)
	case varCode, varRetcode:
		c.noSubname(v)
		return func(r *Run) value.Value { return value.Int(r.code) }
	default:
		return c.libraryVariable(v)
	}
}

// noIndex reports an index of a variable that has one value.
func (c *compiler) noIndex(v *script.Variable) {
	c.errorf(v.Pos, "variable %v: $%s has one value, and no index", v, v.Name)
}

func (c *compiler) noSubname(v *script.Variable) {
	if v.Sub != nil {
		c.errorf(v.Pos, "variable $%s has nothing in parentheses, got %v", v.Name, v)
	}
}

// subname is the text in the parentheses of a variable.
func (c *compiler) subname(v *script.Variable, what string) string {
	switch {
	case v.Sub == nil:
		c.errorf(v.Pos, "variable $%s: expected $%s(%s)", v.Name, v.Name, what)
		return ""
	case v.Sub.Var != nil:
		c.errorf(v.Pos, "variable %v: expected %s in the parentheses, not a variable", v, what)
	}
	return v.Sub.Text
}

func (c *compiler) varSlot(v *script.Variable) int { return slot(c.vars, c.subname(v, "name")) }

// avp is where the values of an $avp are.
func (c *compiler) avp(v *script.Variable) int { return slot(c.avps, c.subname(v, "name")) }

// newest is the value at an index that counts from the one assigned last, or if it is
// negative, from the one assigned first. There may be none.
func newest(values []value.Value, index int) value.Value {
	if at := place(values, index); at >= 0 && at < len(values) {
		return values[at]
	}
	return value.Value{}
}

func place(values []value.Value, index int) int {
	if index < 0 {
		return -1 - index
	}
	return len(values) - 1 - index
}

func (c *compiler) readAVP(v *script.Variable) expr {
	at := c.avp(v)
	switch {
	case v.Index == nil:
		return func(r *Run) value.Value { return newest(r.avps[at], 0) }
	case v.Index.All:
		return func(r *Run) value.Value { return r.joined(v.Pos, r.avps[at]) }
	case v.Index.Append:
		c.errorf(v.Pos, "variable %v: [append] is for assigning", v)
	}
	index := c.index(v)
	return func(r *Run) value.Value {
		i, ok := index(r)
		if !ok {
			return value.Value{}
		}
		return newest(r.avps[at], i)
	}
}

// index compiles an index that is an integer.
func (c *compiler) index(v *script.Variable) func(r *Run) (index int, ok bool) {
	if v.Index.Var == nil {
		n := int(v.Index.N)
		return func(*Run) (int, bool) { return n, true }
	}
	read := c.variable(v.Index.Var)
	return func(r *Run) (int, bool) {
		i := read(r)
		if !i.IsInt() {
			r.warn(v.Pos, "variable %v: the index is %#v: expected an integer", v, i)
			return 0, false
		}
		return int(i.Int()), true
	}
}

// joined is all values of an $avp in one text.
func (r *Run) joined(pos script.Pos, values []value.Value) value.Value {
	if len(values) == 0 {
		return value.Value{}
	}
	size := 0
	for _, v := range values {
		size += len(v.Text()) + len(", ")
	}
	if !r.made(pos, size) {
		return value.Value{}
	}
	var text strings.Builder
	for i, v := range slices.Backward(values) {
		text.WriteString(v.Text())
		if i > 0 {
			text.WriteString(", ")
		}
	}
	return value.String(text.String())
}

// param compiles $param: of an event, by name or number, or of a route that was called,
// by number.
func (c *compiler) param(v *script.Variable) expr {
	if v.Sub != nil && v.Sub.Var != nil {
		name := c.variable(v.Sub.Var)
		return func(r *Run) value.Value {
			n := name(r)
			if n.IsInt() {
				return r.paramAt(v, n.Int())
			}
			return r.paramNamed(v, n.Text())
		}
	}
	name := c.subname(v, "name")
	n, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return func(r *Run) value.Value { return r.paramNamed(v, name) }
	}
	if n < 1 {
		c.errorf(v.Pos, "variable %v: parameters are counted from 1", v)
	}
	return func(r *Run) value.Value { return r.paramAt(v, n) }
}

func (r *Run) paramAt(v *script.Variable, n int64) value.Value {
	if r.depth > 1 || r.event == nil {
		if n < 1 || n > int64(len(r.frame)) {
			return value.Value{}
		}
		return r.frame[n-1]
	}
	if n < 1 || n > int64(len(r.event.Params)) {
		r.warn(v.Pos, "event %s has no parameter %d: it has %d", r.event.Name, n, len(r.event.Params))
		return value.Value{}
	}
	return ParamValue(&r.event.Params[n-1])
}

func (r *Run) paramNamed(v *script.Variable, name string) value.Value {
	if r.event == nil {
		r.warn(v.Pos, "variable %v: no event is at hand: expected the number of a parameter", v)
		return value.Value{}
	}
	for i := range r.event.Params {
		if p := &r.event.Params[i]; p.Name == name {
			return ParamValue(p)
		}
	}
	r.warn(v.Pos, "event %s has no parameter %q", r.event.Name, name)
	return value.Value{}
}

// ParamValue returns the value of a parameter of an event.
func ParamValue(p *evid.Param) value.Value {
	if p.Kind == evid.KindInt {
		return value.Int(p.Int)
	}
	return value.String(p.Str)
}

// returned compiles $return(n): what the route called last has returned beside its code.
func (c *compiler) returned(v *script.Variable) expr {
	const what = "number, from 0"
	n, err := strconv.Atoi(c.subname(v, what))
	if (err != nil || n < 0) && v.Sub != nil {
		c.errorf(v.Pos, "variable %v: expected $return(%s)", v, what)
	}
	return func(r *Run) value.Value {
		if n >= len(r.returns) {
			return value.Value{}
		}
		return r.returns[n]
	}
}

// libraryVariable compiles a variable that a module has.
func (c *compiler) libraryVariable(v *script.Variable) expr {
	names := ownVariables()
	for _, known := range c.library.Variables {
		if known.Name != v.Name {
			names = append(names, known.Name)
			continue
		}
		subname := ""
		switch {
		case !c.isLoaded(known.Module):
			c.errorf(v.Pos, `variable $%s needs module %s: add loadmodule "%s.so"`, v.Name, known.Module, known.Module)
			return constant(value.Value{})
		case known.Subname == "":
			c.noSubname(v)
		default:
			subname = c.subname(v, known.Subname)
		}
		read, err := c.bindVariable(v, &known, subname)
		if err != nil {
			c.errorf(v.Pos, "variable %v: %v", v, err)
			return constant(value.Value{})
		}
		return read
	}
	if reason := c.library.Missing["$"+v.Name]; reason != "" {
		c.errorf(v.Pos, "variable $%s is not supported: %s", v.Name, reason)
	} else {
		c.errorf(v.Pos, "unknown variable $%s%s", v.Name, didYouMean(v.Name, names))
	}
	return constant(value.Value{})
}

// bindVariable binds one that a module has, with its index.
func (c *compiler) bindVariable(v *script.Variable, known *Variable, subname string) (expr, error) {
	if known.BindIndexed == nil {
		if v.Index != nil {
			c.noIndex(v)
			return constant(value.Value{}), nil
		}
		return known.Bind(subname)
	}
	at, err := known.BindIndexed(subname)
	switch {
	case err != nil:
		return nil, err
	case v.Index == nil:
		return func(r *Run) value.Value { return at(r, 0) }, nil
	case v.Index.Append:
		return nil, errors.New("[append] is for assigning")
	case v.Index.All:
		return func(r *Run) value.Value { return r.allOf(v.Pos, at) }, nil
	}
	index := c.index(v)
	return func(r *Run) value.Value {
		i, ok := index(r)
		if !ok {
			return value.Value{}
		}
		return at(r, i)
	}, nil
}

// allOf is all values of a variable in one text, with commas between, up to one that is
// NULL.
func (r *Run) allOf(pos script.Pos, at func(r *Run, index int) value.Value) value.Value {
	all := at(r, 0)
	if all.IsNull() {
		return all
	}
	text := all.Append(nil)
	for i := 1; ; i++ {
		next := at(r, i)
		if next.IsNull() || !r.made(pos, len(next.Text())) {
			return value.String(string(text))
		}
		text = next.Append(append(text, ", "...))
	}
}

// transform compiles one transformation of what read gives.
func (c *compiler) transform(v *script.Variable, t *script.Transform, read expr) expr {
	known, ok := transform.Lookup(t.Name)
	if !ok {
		c.errorf(v.Pos, "variable %v: unknown transformation {%s}%s", v, t.Name, didYouMean(t.Name, transform.Names()))
		return read
	}
	args, err := c.transformArgs(v, t, &known)
	if err != nil {
		c.errorf(v.Pos, "variable %v: %v", v, err)
		return read
	}
	values := make([]value.Value, len(args))
	dynamic := false
	for i, arg := range args {
		values[i] = arg.value
		dynamic = dynamic || !arg.constant
	}
	if dynamic {
		return c.transformWith(v, &known, args, read)
	}
	apply, err := known.Bind(values)
	if err != nil {
		c.errorf(v.Pos, "variable %v: %v", v, err)
		return read
	}
	return func(r *Run) value.Value { return r.transformed(v, apply(read(r))) }
}

// transformWith compiles a transformation whose arguments are known only then.
func (c *compiler) transformWith(v *script.Variable, t *transform.Transformation, args []argument, read expr) expr {
	return func(r *Run) value.Value {
		values := make([]value.Value, len(args))
		for i, arg := range args {
			values[i] = arg.eval(r)
		}
		apply, err := t.Bind(values)
		if err != nil {
			r.warn(v.Pos, "variable %v: %v", v, err)
			return value.Value{}
		}
		return r.transformed(v, apply(read(r)))
	}
}

func (r *Run) transformed(v *script.Variable, result value.Value) value.Value {
	if result.IsString() && !r.made(v.Pos, len(result.Text())) {
		return value.Value{}
	}
	return result
}

// transformArgs cuts what follows the name of a transformation at its commas. All is text,
// but for what begins with a $; what is left for the last argument is not cut.
func (c *compiler) transformArgs(v *script.Variable, t *script.Transform, known *transform.Transformation) ([]argument, error) {
	var args []argument
	rest, more := t.Args, t.HasArgs
	for more && len(args) < len(known.Params) {
		source := rest
		if last := len(args) == len(known.Params)-1; last {
			more = false
		} else {
			at := variableEnd(rest)
			before, after, found := strings.Cut(rest[at:], ",")
			source, rest, more = rest[:at]+before, after, found
		}
		arg := argument{given: true, constant: true, value: value.String(source)}
		arg.eval = constant(arg.value)
		if text := strings.TrimSpace(source); len(text) > 1 && text[0] == '$' {
			of, err := script.ParseVariable(v.Pos, text)
			if err != nil {
				return nil, err
			}
			arg.constant, arg.eval = false, c.variable(of)
		}
		args = append(args, arg)
	}
	if len(args) < len(known.Params) || more || t.HasArgs && len(known.Params) == 0 {
		return nil, fmt.Errorf("{%s}: expected {%s}", t.Name, strings.Join(append([]string{t.Name}, known.Params...), ","))
	}
	return args, nil
}

// variableEnd is the length of the variable that text begins with, 0 if it is none.
func variableEnd(text string) int {
	blanks := len(text) - len(strings.TrimLeft(text, " \t"))
	if !strings.HasPrefix(text[blanks:], "$") {
		return 0
	}
	return blanks + script.VariableLen(text[blanks:])
}

// setter compiles what assigns to a variable with the operator.
func (c *compiler) setter(v *script.Variable, op string) func(r *Run, to value.Value) {
	nothing := func(*Run, value.Value) {}
	if v.Transforms != nil {
		c.errorf(v.Pos, "variable %v: expected no transformation where it is assigned to", v)
		return nothing
	}
	switch v.Name {
	case varVar:
		if v.Index != nil {
			c.noIndex(v)
		}
		at := c.varSlot(v)
		return func(r *Run, to value.Value) { r.vars[at] = to }
	case varAVP:
		return c.setAVP(v, op)
	default:
		if before := len(c.errs); c.read(v) != nil && len(c.errs) == before {
			c.errorf(v.Pos, "variable %v cannot be assigned to: only $var(name) and $avp(name) can", v)
		}
		return nothing
	}
}

// setAVP compiles what assigns to an $avp. An = without an index adds a value; one of NULL
// removes what was assigned last. Operators that change a value leave it in its place.
func (c *compiler) setAVP(v *script.Variable, op string) func(r *Run, to value.Value) {
	at := c.avp(v)
	switch {
	case v.Index != nil && v.Index.Append:
		return func(r *Run, to value.Value) {
			if !to.IsNull() && r.takeRoom(v, at) {
				r.avps[at] = slices.Insert(r.avps[at], 0, to)
			}
		}
	case op == ":=" || v.Index != nil && v.Index.All:
		return func(r *Run, to value.Value) {
			r.values -= len(r.avps[at])
			clear(r.avps[at])
			r.avps[at] = r.avps[at][:0]
			if !to.IsNull() && r.takeRoom(v, at) {
				r.avps[at] = append(r.avps[at], to)
			}
		}
	case v.Index == nil && op == "=":
		return func(r *Run, to value.Value) {
			if to.IsNull() {
				r.replaceAVP(at, 0, to)
			} else if r.takeRoom(v, at) {
				r.avps[at] = append(r.avps[at], to)
			}
		}
	case v.Index == nil:
		return func(r *Run, to value.Value) { r.replaceAVP(at, 0, to) }
	}
	index := c.index(v)
	return func(r *Run, to value.Value) {
		if i, ok := index(r); ok && !r.replaceAVP(at, i, to) && !to.IsNull() {
			r.warn(v.Pos, "variable %v: there is no value %d to replace: it has %d", v, i, len(r.avps[at]))
		}
	}
}

// takeRoom counts one more value of an $avp, if it may have one.
func (r *Run) takeRoom(v *script.Variable, at int) bool {
	switch {
	case len(r.avps[at]) == maxAVPValues:
		r.fail(v.Pos, "variable %v: expected at most %d values", v, maxAVPValues)
	case r.values == maxValues:
		r.fail(v.Pos, "variable %v: expected at most %d values of all $avp together", v, maxValues)
	default:
		r.values++
		return true
	}
	return false
}

// replaceAVP replaces the value at an index, or removes it, and reports whether there is
// one.
func (r *Run) replaceAVP(at, index int, to value.Value) bool {
	values := r.avps[at]
	i := place(values, index)
	switch {
	case i < 0 || i >= len(values):
		return false
	case to.IsNull():
		r.values--
		r.avps[at] = slices.Delete(values, i, i+1) // it clears what is left over
	default:
		values[i] = to
	}
	return true
}
