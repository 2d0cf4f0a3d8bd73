package program

import (
	"errors"
	"slices"

	"github.com/evid/evid/script"
	"github.com/evid/evid/script/value"
)

// call compiles a call of a function.
func (c *compiler) call(x *script.Call) func(r *Run) int64 {
	run := c.bind(x)
	if run == nil {
		return func(*Run) int64 { return False } // an error was reported
	}
	return func(r *Run) int64 {
		r.at = &x.Pos
		n, err := run(r)
		if err != nil {
			n = False
			if !r.stop { // else it is the error of the run
				r.program.log.ErrorContext(r.ctx, x.Name+": "+err.Error(), "at", x.Pos)
			}
		}
		if r.takeFailed() {
			n = False
		}
		if n == 0 || r.stop {
			r.stop = true
			return 0
		}
		return n
	}
}

// bind finds the function and checks its arguments. It returns nil after an error.
func (c *compiler) bind(x *script.Call) Call {
	f := c.function(x)
	if f == nil {
		c.checkArgs(x)
		return nil
	}
	b := &Binding{function: f, args: make([]argument, len(f.Params)), registers: c.registers, hasEvent: c.program.HasEvent}
	b.assign = func(source string) (func(r *Run, to value.Value), error) {
		v, err := script.ParseVariable(x.Pos, source)
		if err != nil {
			return nil, err
		}
		return c.setter(v, "="), nil
	}
	before := len(c.errs)
	for i, arg := range x.Args {
		if i == len(f.Params) {
			c.errorf(argPos(x, i), "%s takes at most %d arguments: expected %s", f.Name, len(f.Params), f.usage())
			break
		}
		if arg != nil {
			b.args[i] = c.arg(f, i, arg)
		}
	}
	for i, p := range f.Params {
		if !p.Optional && !b.args[i].given {
			c.errorf(x.Pos, "%s needs its argument %s: expected %s", f.Name, p.Name, f.usage())
			break
		}
	}
	if len(c.errs) > before {
		return nil
	}
	run, err := f.Bind(b)
	if err != nil {
		c.bindError(x, f, err)
		return nil
	}
	return run
}

// checkArgs reports what is wrong with the arguments of a function that is not there.
func (c *compiler) checkArgs(x *script.Call) {
	for _, arg := range x.Args {
		if arg != nil {
			c.format(arg)
		}
	}
}

// argPos is where an argument stands, or the call if it was left out.
func argPos(x *script.Call, i int) script.Pos {
	if x.Args[i] == nil {
		return x.Pos
	}
	return x.Args[i].Position()
}

func (c *compiler) bindError(x *script.Call, f *Function, err error) {
	pos, name := x.Pos, f.Name
	if arg, ok := errors.AsType[*BindError](err); ok && arg.Arg < len(x.Args) && x.Args[arg.Arg] != nil {
		pos, name = x.Args[arg.Arg].Position(), f.Name+": "+f.Params[arg.Arg].Name
	}
	c.errorf(pos, "%s: %v", name, err)
}

// usage shows how the function is written.
func (f *Function) usage() string {
	if f.Usage != "" {
		return f.Usage
	}
	text, open := f.Name+"(", ""
	for i, p := range f.Params {
		if p.Optional {
			text += "["
			open += "]"
		}
		if i > 0 {
			text += ", "
		}
		text += p.Name
	}
	return text + open + ")"
}

// arg compiles one argument.
func (c *compiler) arg(f *Function, i int, e script.Expr) argument {
	p := f.Params[i]
	a := argument{given: true}
	wrong := func() {
		c.errorf(e.Position(), "%s: %s: expected %v, got %v", f.Name, p.Name, p.Type, e)
	}
	v, isVariable := e.(*script.Variable)
	switch p.Type {
	case AVP:
		if !isVariable || v.Name != "avp" || v.Sub == nil || v.Index != nil || v.Transforms != nil {
			wrong()
			return a
		}
		at := c.avp(v)
		a.values = func(r *Run) []value.Value { return r.avps[at] }
		return a
	case Output:
		if !isVariable {
			wrong()
			return a
		}
		a.set = c.setter(v, "=")
		return a
	}
	switch e := e.(type) {
	case *script.Null:
		wrong()
	case *script.Integer:
		a.constant, a.value = true, value.Int(e.Value)
	case *script.String:
		a.constant, a.value = constantText(e, p.Type)
	case *script.Variable:
		if p.Type == Constant {
			wrong()
		}
	}
	switch {
	case !a.constant:
		a.eval = c.format(e)
	case p.Type == Integer:
		if _, err := (&Binding{function: f}).integer(i, a.value); err != nil {
			wrong()
		}
		a.eval = constant(a.value)
	default:
		a.eval = constant(a.value)
	}
	return a
}

// constantText is the text of a string in which no variable is.
func constantText(s *script.String, t Type) (bool, value.Value) {
	if t == Constant {
		return true, value.String(s.Value)
	}
	parts, err := script.ParseFormat(s.Pos, s.Value)
	switch {
	case err != nil || len(parts) > 1 || len(parts) == 1 && parts[0].Var != nil:
		return false, value.Value{}
	case len(parts) == 0:
		return true, value.String("")
	default:
		return true, value.String(parts[0].Text)
	}
}

// function finds the function of a call. It returns nil after an error.
func (c *compiler) function(x *script.Call) *Function {
	var names []string
	for i := range c.library.Functions {
		f := &c.library.Functions[i]
		if f.Name != x.Name {
			names = append(names, f.Name)
			continue
		}
		if !c.isLoaded(f.Module) {
			c.errorf(x.Pos, `function %s needs module %s: add loadmodule "%s.so"`, f.Name, f.Module, f.Module)
			return nil
		}
		return f
	}
	if reason := c.library.Missing[x.Name]; reason != "" {
		c.errorf(x.Pos, "function %s is not supported: %s", x.Name, reason)
	} else {
		c.errorf(x.Pos, "unknown function %s%s", x.Name, didYouMean(x.Name, names))
	}
	return nil
}

func (c *compiler) isLoaded(module string) bool {
	return module == "" || slices.Contains(c.loaded, module)
}
