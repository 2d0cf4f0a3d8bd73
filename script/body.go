package script

import "slices"

// The words of the actions, and of their parts.
const (
	wordIf      = "if"
	wordElse    = "else"
	wordWhile   = "while"
	wordFor     = "for"
	wordIn      = "in"
	wordSwitch  = "switch"
	wordCase    = "case"
	wordDefault = "default"
	wordBreak   = "break"
	wordReturn  = "return"
	wordExit    = "exit"
	wordDrop    = "drop"

	anyAction = "an assignment, a function, if, while, for, switch, route, return or exit" // in errors
)

// routeBody parses what is between the braces of a route. Where it ends is looked for
// first, so that nothing in it can hide the statements after it.
func (p *parser) routeBody() (*Block, bool) {
	open, inside := p.tok.pos, p.lex
	if _, ok := p.lex.block(open); !ok {
		p.next()
		return nil, false
	}
	inside.src = inside.src[:p.lex.off-1]
	inside.closer = "}"
	outer := p.lex
	p.lex = inside
	p.next()
	body := &Block{Pos: open, Actions: p.actions()}
	p.lex = outer
	p.next()
	return body, true
}

// actions parses actions up to the end of the text.
func (p *parser) actions() []Action {
	var actions []Action
	for p.tok.kind != tokEOF {
		if p.tok.is("}") {
			p.unexpected(anyAction) // of a file that is included
			p.next()
			continue
		}
		actions = p.appendAction(actions)
	}
	return actions
}

// appendAction parses one action, or the file that an include names.
func (p *parser) appendAction(actions []Action) []Action {
	start := p.tok.pos
	if p.tok.kind == tokIdent && isInclude(p.tok.text) {
		word := p.tok
		p.next()
		if !p.include(word, func() { actions = append(actions, p.actions()...) }) {
			p.recoverAction(start)
		} else if p.tok.is(";") {
			p.next()
		}
		return actions
	}
	a, ok := p.action()
	if !ok {
		p.recoverAction(start)
	} else if a != nil {
		actions = append(actions, a)
	}
	return actions
}

// recoverAction skips past the end of the action that began at start, or to what is likely
// the next one.
func (p *parser) recoverAction(start Pos) {
	for p.tok.kind != tokEOF && !p.tok.is("}") {
		if p.tok.first && p.tok.pos != start && (p.tok.kind == tokVariable || p.tok.kind == tokIdent) {
			return
		}
		if p.tok.is("{") {
			p.skipBraces()
			return
		}
		if p.tok.is(";") {
			p.next()
			return
		}
		p.next()
	}
}

// skipBraces moves past all between this { and its }.
func (p *parser) skipBraces() {
	for depth := 0; p.tok.kind != tokEOF; p.next() {
		if p.tok.is("{") {
			depth++
		} else if p.tok.is("}") {
			if depth--; depth == 0 {
				p.next()
				return
			}
		}
	}
}

// action parses one action; that of a lone ; is nil.
func (p *parser) action() (Action, bool) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxBraceDepth {
		p.errs.add(p.tok.pos, "actions are nested too deep: expected at most %d", maxBraceDepth)
		return nil, false
	}
	word := p.tok
	switch {
	case word.is(";"):
		p.next()
		return nil, true
	case word.is("{"):
		return p.braces()
	case word.kind == tokVariable:
		return p.assign()
	case word.kind != tokIdent:
		p.errs.add(word.pos, "unexpected %v: expected %s%s", word, anyAction, p.hint())
		return nil, false
	}
	p.next()
	switch word.text {
	case wordIf:
		return p.ifAction(word)
	case wordWhile:
		return p.whileAction(word)
	case wordFor:
		return p.forAction(word)
	case wordSwitch:
		return p.switchAction(word)
	case "continue":
		p.errs.add(word.pos, "there is no continue: expected an if around what is left of the loop")
		return nil, false
	case "async", "launch":
		p.errs.add(word.pos, "%s is not supported: it is for SIP requests that wait; an event_route holds up nobody", word.text)
		return nil, false
	case "assert":
		p.errs.add(word.pos, "assert is not supported: write an if")
		return nil, false
	case "elseif", "elsif", "elif":
		p.errs.add(word.pos, "unexpected %v: expected else if", word)
		return nil, false
	case wordElse:
		p.errs.add(word.pos, "else without an if: expected it right after what the if does")
		return nil, false
	case wordCase, wordDefault:
		p.errs.add(word.pos, "%s without a switch", word.text)
		return nil, false
	}
	a, ok := p.simpleAction(word)
	if !ok {
		return nil, false
	}
	where := "after " + word.text
	if p.tok.is("{") {
		where += didYouMeanWord(word.text)
	}
	return a, p.expect(";", where)
}

// simpleAction parses an action that begins with a word and ends with a ;.
func (p *parser) simpleAction(word token) (Action, bool) {
	switch word.text {
	case wordBreak:
		return &Break{word.pos}, true
	case wordExit:
		return &Exit{word.pos}, p.noArgs()
	case wordDrop:
		return &Drop{word.pos}, p.noArgs()
	case wordReturn:
		return p.returnAction(word)
	case wordRoute:
		return p.routeCall(word)
	default:
		return p.call(word)
	}
}

// noArgs takes (), if it is there.
func (p *parser) noArgs() bool {
	if !p.tok.is("(") {
		return true
	}
	p.next()
	return p.expect(")", "after the (")
}

func (p *parser) braces() (*Block, bool) {
	b := &Block{Pos: p.tok.pos}
	p.next()
	for !p.tok.is("}") {
		if p.tok.kind == tokEOF {
			return nil, p.unexpected(`"}"`)
		}
		b.Actions = p.appendAction(b.Actions)
	}
	p.next()
	return b, true
}

// block parses an action, or several in braces.
func (p *parser) block() (*Block, bool) {
	pos := p.tok.pos
	a, ok := p.action()
	if !ok {
		return nil, false
	}
	switch a := a.(type) {
	case nil:
		return &Block{Pos: pos}, true
	case *Block:
		return a, true
	default:
		return &Block{Pos: pos, Actions: []Action{a}}, true
	}
}

func (p *parser) assign() (Action, bool) {
	v, ok := p.variable()
	if !ok {
		return nil, false
	}
	op := p.tok
	if op.kind != tokOperator || !slices.Contains(assignments(), op.text) {
		return nil, p.unexpected("= or another assignment after the variable")
	}
	p.next()
	value, ok := p.expr()
	if !ok || !p.expect(";", "after the assignment") {
		return nil, false
	}
	return &Assign{op.pos, v, op.text, value}, true
}

func assignments() []string {
	return []string{"=", ":=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^="}
}

// condition parses (…).
func (p *parser) condition(word token) (Expr, bool) {
	if !p.expect("(", "after "+word.text) {
		return nil, false
	}
	cond, ok := p.expr()
	return cond, ok && p.expect(")", "after the condition")
}

// branch parses (condition) action.
func (p *parser) branch(word token) (Branch, bool) {
	cond, ok := p.condition(word)
	if !ok {
		return Branch{}, false
	}
	body, ok := p.block()
	return Branch{word.pos, cond, body}, ok
}

func (p *parser) ifAction(word token) (Action, bool) {
	branch, ok := p.branch(word)
	if !ok {
		return nil, false
	}
	i := &If{word.pos, []Branch{branch}, nil}
	for p.isWord(wordElse) {
		p.next()
		if !p.isWord(wordIf) {
			i.Else, ok = p.block()
			return i, ok
		}
		word = p.tok
		p.next()
		if branch, ok = p.branch(word); !ok {
			return nil, false
		}
		i.Branches = append(i.Branches, branch)
	}
	return i, true
}

func (p *parser) isWord(word string) bool { return p.tok.kind == tokIdent && p.tok.text == word }

func (p *parser) whileAction(word token) (Action, bool) {
	branch, ok := p.branch(word)
	return &While{word.pos, branch.Cond, branch.Body}, ok
}

func (p *parser) forAction(word token) (Action, bool) {
	if !p.expect("(", "after "+word.text) {
		return nil, false
	}
	v, ok := p.variable()
	if !ok {
		return nil, false
	}
	if !p.isWord(wordIn) {
		p.errs.add(p.tok.pos, "unexpected %v: expected for ($x in $(avp(name)[*])); what counts is a while", p.tok)
		return nil, false
	}
	p.next()
	in, ok := p.variable()
	if !ok || !p.expect(")", "after the variable") {
		return nil, false
	}
	body, ok := p.block()
	return &For{word.pos, v, in, body}, ok
}

func (p *parser) switchAction(word token) (Action, bool) {
	if !p.expect("(", "after "+word.text) {
		return nil, false
	}
	v, ok := p.variable()
	if !ok || !p.expect(")", "after the variable") || !p.tok.is("{") {
		return nil, ok && p.unexpected(`"{"`)
	}
	p.next()
	s := &Switch{Pos: word.pos, Var: v}
	for !p.tok.is("}") {
		c, ok := p.caseOf()
		if !ok {
			p.skipCases()
			return nil, false
		}
		s.Cases = append(s.Cases, c)
	}
	p.next()
	return s, true
}

// skipCases moves to the } of the switch.
func (p *parser) skipCases() {
	for p.tok.kind != tokEOF && !p.tok.is("}") {
		if p.tok.is("{") {
			p.skipBraces()
		} else {
			p.next()
		}
	}
	p.next()
}

func (p *parser) caseOf() (Case, bool) {
	c := Case{Pos: p.tok.pos}
	switch {
	case p.isWord(wordCase):
		p.next()
		value, ok := p.caseValue()
		if !ok {
			return c, false
		}
		c.Value = value
	case p.isWord(wordDefault):
		p.next()
	default:
		return c, p.unexpected(`case, default or "}"`)
	}
	if !p.expect(":", "after the value") {
		return c, false
	}
	c.Body = &Block{Pos: c.Pos}
	for !p.isWord(wordCase) && !p.isWord(wordDefault) && !p.tok.is("}") {
		if p.tok.kind == tokEOF {
			return c, p.unexpected(`"}" after the last case`)
		}
		c.Body.Actions = p.appendAction(c.Body.Actions)
	}
	if c.Value == nil && !p.tok.is("}") {
		return c, p.unexpected(`"}": default is the last one`)
	}
	return c, true
}

func (p *parser) caseValue() (Expr, bool) {
	if p.tok.kind == tokString || p.tok.kind == tokInteger || p.tok.is("-") || p.tok.is("+") {
		return p.constant()
	}
	return nil, p.unexpected("a string or an integer after case")
}

// returnAction parses a return: alone, with a code, or with values as well.
func (p *parser) returnAction(word token) (Action, bool) {
	r := &Return{Pos: word.pos}
	if p.tok.is(";") {
		return r, true
	}
	if !p.tok.is("(") {
		code, ok := p.arg()
		r.Code = code
		return r, ok
	}
	args, ok := p.args()
	if len(args) > 0 {
		r.Code, r.Values = args[0], args[1:]
	}
	if slices.Contains(r.Values, nil) {
		p.errs.add(word.pos, "return: expected a value after each comma")
		return nil, false
	}
	return r, ok
}

// routeCall parses route(name, args…) from its ( on.
func (p *parser) routeCall(word token) (*RouteCall, bool) {
	if !p.expect("(", "after route") {
		return nil, false
	}
	r := &RouteCall{Pos: word.pos}
	if p.tok.kind == tokIdent && !isNull(p.tok.text) {
		r.Route = &Word{p.tok.pos, p.tok.text}
		p.next()
	} else {
		route, ok := p.arg()
		if !ok {
			return nil, false
		}
		r.Route = route
	}
	for p.tok.is(",") {
		p.next()
		arg, ok := p.arg()
		if !ok {
			return nil, false
		}
		r.Args = append(r.Args, arg)
	}
	return r, p.expect(")", "after the arguments of the route")
}

// call parses a call from its ( on.
func (p *parser) call(word token) (*Call, bool) {
	if !p.tok.is("(") {
		return nil, p.unexpected(`"(" after ` + word.text + didYouMeanWord(word.text))
	}
	args, ok := p.args()
	return &Call{word.pos, word.text, args}, ok
}

// didYouMeanWord is a hint for a word that is like one of the language.
func didYouMeanWord(word string) string {
	hint := didYouMean(word, []string{
		wordIf, wordElse, wordWhile, wordFor, wordSwitch, wordCase, wordDefault, wordBreak, wordReturn, wordExit, wordDrop,
	})
	if hint == "" {
		return ""
	}
	return "; " + hint[:len(hint)-1] // without the blank
}

// args parses (arg, …). Those that are left out are nil.
func (p *parser) args() ([]Expr, bool) {
	p.next()
	var args []Expr
	for !p.tok.is(")") {
		var arg Expr
		if !p.tok.is(",") {
			var ok bool
			if arg, ok = p.arg(); !ok {
				return nil, false
			}
		}
		args = append(args, arg)
		if p.tok.is(")") {
			break
		}
		if !p.expect(",", `or ")" after the argument`) {
			return nil, false
		}
		if p.tok.is(")") {
			args = append(args, nil) // f(x,)
		}
	}
	p.next()
	return args, true
}

// arg parses what can be an argument.
func (p *parser) arg() (Expr, bool) {
	switch {
	case p.tok.kind == tokVariable:
		return p.variable()
	case p.tok.kind == tokIdent && isNull(p.tok.text):
		n := &Null{p.tok.pos}
		p.next()
		return n, true
	case p.tok.kind == tokString, p.tok.kind == tokInteger, p.tok.is("-"), p.tok.is("+"):
		return p.constant()
	default:
		return nil, p.unexpected("a string in quotes, an integer or a variable")
	}
}
