package script

import (
	"slices"
	"strings"
)

// Operators bind as in OpenSIPS: those of one level from left to right, so that 2+3*4 is
// 20 and a || b && c is (a || b) && c. Who compiles an expression can warn of that.
const (
	levelLogical = iota
	levelComparison
	levelBits
	levelArithmetic
	levels
)

func operatorsOf(level int) []string {
	return [levels][]string{
		levelLogical:    {"&&", "||"},
		levelComparison: {"==", "!=", "<", "<=", ">", ">=", "=~", "!~"},
		levelBits:       {"|", "&", "^", "<<", ">>"},
		levelArithmetic: {"+", "-", "*", "/", "%"},
	}[level]
}

func isNull(word string) bool { return word == "NULL" || word == "null" }

// expr parses an expression.
func (p *parser) expr() (Expr, bool) {
	p.operands = 0
	return p.inner()
}

// inner parses an expression, or one within brackets: its operands count with those around
// it, as the depth of what comes out of both does.
func (p *parser) inner() (Expr, bool) { return p.binary(levelLogical) }

// binary parses operators of a level, or higher.
func (p *parser) binary(level int) (Expr, bool) {
	if level == levels {
		return p.operand()
	}
	operand := func() (Expr, bool) { return p.binary(level + 1) }
	if level == levelLogical {
		operand = p.not
	}
	x, ok := operand()
	for ok {
		op := p.operator(level)
		if op == "" {
			break
		}
		pos := p.tok.pos
		p.next()
		var y Expr
		if y, ok = operand(); ok {
			x = &Binary{pos, op, x, y}
		}
		if level == levelComparison {
			break // there is no a < b < c
		}
	}
	return x, ok
}

// operator is the next token if it is an operator of the level, else empty.
func (p *parser) operator(level int) string {
	op := p.tok.text
	if p.tok.kind == tokIdent && level == levelLogical {
		switch op {
		case "and":
			return "&&"
		case "or":
			return "||"
		}
	}
	if p.tok.kind != tokOperator || !slices.Contains(operatorsOf(level), op) {
		return ""
	}
	return op
}

// not parses a comparison, or what it is not. As in OpenSIPS !$x == 5 is !($x == 5).
func (p *parser) not() (Expr, bool) {
	if !p.tok.is("!") && !p.isWord("not") {
		return p.binary(levelComparison)
	}
	pos := p.tok.pos
	p.next()
	x, ok := p.nested(p.not)
	return &Not{pos, x}, ok
}

// nested parses what is within another expression.
func (p *parser) nested(parse func() (Expr, bool)) (Expr, bool) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxBraceDepth {
		p.errs.add(p.tok.pos, "expressions are nested too deep: expected at most %d", maxBraceDepth)
		return nil, false
	}
	return parse()
}

// operand parses what stands between operators.
func (p *parser) operand() (Expr, bool) {
	if p.operands++; p.operands > maxOperands {
		p.errs.add(p.tok.pos, "expression is too long: expected at most %d operands", maxOperands)
		return nil, false
	}
	tok := p.tok
	switch {
	case tok.is("("):
		p.next()
		x, ok := p.nested(p.inner)
		return &Paren{tok.pos, x}, ok && p.expect(")", "after the expression")
	case tok.is("["):
		p.next()
		x, ok := p.nested(p.inner)
		return &Test{tok.pos, x}, ok && p.expect("]", "after the expression")
	case tok.is("~"):
		p.next()
		x, ok := p.nested(p.operand)
		return &Complement{tok.pos, x}, ok
	case tok.kind == tokIdent && !isNull(tok.text):
		p.next()
		if tok.text == wordRoute {
			return p.routeCall(tok)
		}
		return p.call(tok)
	default:
		return p.arg()
	}
}

func (p *parser) variable() (*Variable, bool) {
	if p.tok.kind != tokVariable {
		return nil, p.unexpected("a variable")
	}
	v, err := ParseVariable(p.tok.pos, p.tok.text)
	if err != nil {
		if !p.errs.has(p.tok.pos) { // that it is not closed was said by the lexer
			p.errs.add(p.tok.pos, "%v", err)
		}
		return nil, false
	}
	p.next()
	return v, true
}

// constant parses strings, which are one, or a number, which may have a sign.
func (p *parser) constant() (Expr, bool) {
	pos := p.tok.pos
	if p.tok.kind == tokString {
		var text strings.Builder
		for ; p.tok.kind == tokString; p.next() {
			text.WriteString(p.tok.text)
		}
		return &String{pos, text.String()}, true
	}
	sign := ""
	if p.tok.kind == tokOperator {
		sign = p.tok.text
		p.next()
	}
	n, err := integer(pos, sign+p.tok.text)
	if p.tok.kind != tokInteger || err != nil {
		return nil, p.unexpected("an integer of 64 bits: decimal, hexadecimal after 0x or octal after 0")
	}
	p.next()
	return n, true
}
