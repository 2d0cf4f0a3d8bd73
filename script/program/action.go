package program

import (
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/value"
)

// action compiles one action.
func (c *compiler) action(a script.Action) action {
	switch a := a.(type) {
	case *script.Assign:
		return c.assign(a)
	case *script.Call:
		return result(c.call(a))
	case *script.RouteCall:
		return result(c.routeCall(a))
	case *script.If:
		return c.ifAction(a)
	case *script.While:
		return c.while(a)
	case *script.For:
		return c.forEach(a)
	case *script.Switch:
		return c.switchAction(a)
	case *script.Return:
		return c.returnAction(a)
	case *script.Block:
		return c.block(a)
	case *script.Break:
		if c.breaks == 0 {
			c.errorf(a.Pos, "break outside of while, for and switch: expected return or exit")
		}
		return func(*Run) flow { return leave }
	case *script.Drop:
		return func(r *Run) flow {
			if r.dropped != nil {
				*r.dropped = true
			}
			return theEnd
		}
	default: // exit
		return func(*Run) flow { return theEnd }
	}
}

// result makes an action of a call: 0 ends the script.
func result(call func(r *Run) int64) action {
	return func(r *Run) flow {
		n := call(r)
		r.code, r.ret = n, n
		if n == 0 || r.stop {
			return theEnd
		}
		return next
	}
}

func (c *compiler) assign(a *script.Assign) action {
	if _, isNull := a.Value.(*script.Null); isNull && a.Op != "=" && a.Op != ":=" {
		c.errorf(a.Value.Position(), "NULL cannot be used with %s: expected an integer or a string", a.Op)
	}
	c.warnLiteral(a.Value)
	source, set := c.value(a.Value), c.setter(a.Var, a.Op)
	if a.Op != "=" && a.Op != ":=" {
		source = c.changed(a, source)
	}
	return func(r *Run) flow {
		v := source(r)
		if r.stop {
			return theEnd
		}
		r.code, r.ret = True, True
		if r.takeFailed() {
			r.code, r.ret = False, False
			return next
		}
		set(r, v)
		return next
	}
}

// warnLiteral warns of a text whose variables stay as they stand: only the arguments of
// functions are formats.
func (c *compiler) warnLiteral(e script.Expr) {
	s, ok := e.(*script.String)
	if !ok {
		return
	}
	parts, _ := script.ParseFormat(s.Pos, s.Value)
	for _, part := range parts {
		if part.Var != nil {
			c.warnf(s.Pos, "the text is assigned as it stands, with %v in it: put texts together with +", part.Var)
			return
		}
	}
}

// changed gives what $x += y and the like assign. As beside other operators, an x of NULL is
// 0 or "".
func (c *compiler) changed(a *script.Assign, y expr) expr {
	x, op := c.variable(a.Var), a.Op[:1]
	return func(r *Run) value.Value {
		left, right := x(r), y(r)
		if r.failed || r.stop {
			return value.Value{}
		}
		if right.IsNull() {
			return r.noValue(a.Pos, "%#v %s NULL: expected a value", left, a.Op)
		}
		if !left.IsNull() && left.IsInt() != right.IsInt() {
			return r.noValue(a.Pos, "%#v %s %#v: expected two integers or two strings", left, a.Op, right)
		}
		return r.arithmetic(a.Pos, op, left, right)
	}
}

func (c *compiler) ifAction(a *script.If) action {
	elseBody := func(*Run) flow { return next }
	hasElse := a.Else != nil
	type branch struct {
		cond cond
		body action
	}
	branches := make([]branch, len(a.Branches))
	for i, b := range a.Branches {
		branches[i] = branch{c.cond(b.Cond), c.block(b.Body)}
	}
	if hasElse {
		elseBody = c.block(a.Else)
	}
	return func(r *Run) flow {
		for i := range branches {
			t := branches[i].cond(r)
			if r.stop {
				return theEnd
			}
			if t == yes {
				r.ret, r.code = True, True
				return branches[i].body(r)
			}
		}
		r.ret, r.code = True, 0
		return elseBody(r)
	}
}

// body compiles what a loop repeats.
func (c *compiler) body(b *script.Block) action {
	c.breaks++
	defer func() { c.breaks-- }()
	return c.block(b)
}

func (c *compiler) while(a *script.While) action {
	cond, body, most := c.cond(a.Cond), c.body(a.Body), c.program.maxWhileLoops
	return func(r *Run) flow {
		for n := 1; ; n++ {
			t := cond(r)
			if r.stop {
				return theEnd
			}
			r.ret = True
			if t != yes {
				r.code = 0
				return next
			}
			if n > most {
				r.fail(a.Pos, "while: expected at most %d loops (max_while_loops)", most)
				return theEnd
			}
			if f := r.loop(a.Pos, body); f != next {
				return afterLoop(f)
			}
		}
	}
}

// loop runs the body of a loop once.
func (r *Run) loop(pos script.Pos, body action) flow {
	if !r.step(pos) {
		return theEnd
	}
	return body(r)
}

// afterLoop is how a script goes on after a loop or switch whose body has ended with f.
func afterLoop(f flow) flow {
	if f == leave {
		return next
	}
	return f
}

func (c *compiler) forEach(a *script.For) action {
	set := c.setter(a.Var, "=")
	if a.In.Name != "avp" || a.In.Sub == nil || a.In.Index == nil || !a.In.Index.All || a.In.Transforms != nil {
		c.errorf(a.In.Pos, "for: expected $(avp(name)[*]) after in, got %v", a.In)
	}
	at := c.avp(a.In)
	body := c.body(a.Body)
	return func(r *Run) flow {
		r.ret = True
		for i := 0; ; i++ {
			v := newest(r.avps[at], i)
			if v.IsNull() {
				return next
			}
			set(r, v)
			if f := r.loop(a.Pos, body); f != next {
				return afterLoop(f)
			}
		}
	}
}

func (c *compiler) switchAction(a *script.Switch) action {
	read := c.variable(a.Var)
	type one struct {
		is   value.Value
		body action
	}
	var cases []one
	last := -1 // the default
	lines := make(map[value.Value]int)
	c.breaks++
	for i, cs := range a.Cases {
		var is value.Value
		switch v := cs.Value.(type) {
		case nil:
			last = i
		case *script.Integer:
			is = value.Int(v.Value)
		case *script.String:
			is = value.String(v.Value)
		}
		if line, has := lines[is]; has {
			c.errorf(cs.Pos, "case %#v is there already: line %d", is, line)
		} else if cs.Value != nil {
			lines[is] = cs.Line
		}
		cases = append(cases, one{is, c.block(cs.Body)})
	}
	c.breaks--
	return func(r *Run) flow {
		v := read(r)
		if r.takeFailed() {
			v = value.Value{}
		}
		if r.stop {
			return theEnd
		}
		r.code, r.ret = True, True
		at := last
		for i := range cases {
			if i != last && sameCase(v, cases[i].is) {
				at = i
				break
			}
		}
		for ; at >= 0 && at < len(cases); at++ {
			if f := cases[at].body(r); f != next {
				return afterLoop(f)
			}
		}
		return next
	}
}

// sameCase compares an integer with the integer, and all but NULL with a string.
func sameCase(v, is value.Value) bool {
	if is.IsInt() {
		return v == is
	}
	return !v.IsNull() && equalFold(v.Text(), is.Text())
}

func (c *compiler) returnAction(a *script.Return) action {
	code := func(*Run) value.Value { return value.Int(True) }
	switch e := a.Code.(type) {
	case nil:
	case *script.Integer, *script.Variable:
		code = c.value(e)
	default:
		c.errorf(e.Position(), "return: expected an integer or a variable, got %v", e)
	}
	values := make([]expr, len(a.Values))
	for i, v := range a.Values {
		values[i] = c.argument(v)
	}
	return func(r *Run) flow {
		v := code(r)
		if r.takeFailed() {
			v = value.Value{}
		}
		switch {
		case v.IsInt():
			r.ret = v.Int()
		case v.IsNull():
			r.ret = False
		default:
			r.ret = True
		}
		returns := make([]value.Value, 0, len(values))
		for _, v := range values {
			returns = append(returns, v(r))
		}
		r.returns = returns
		if r.ret == 0 || r.stop {
			return theEnd
		}
		return back
	}
}
