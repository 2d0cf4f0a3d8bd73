package script

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Part is a piece of a format: text, or a variable whose value stands there.
type Part struct {
	Text string
	Var  *Variable // nil: Text
}

// ParseFormat cuts a text as functions take it: $$ is a $, all else that begins with a $
// is a variable. Pos is where the text stands: the variables get it as well.
func ParseFormat(pos Pos, text string) ([]Part, error) {
	var parts []Part
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, Part{Text: literal.String()})
			literal.Reset()
		}
	}
	for text != "" {
		plain, rest, found := strings.Cut(text, "$")
		literal.WriteString(plain)
		if !found {
			break
		}
		if strings.HasPrefix(rest, "$") {
			literal.WriteByte('$')
			text = rest[1:]
			continue
		}
		source := text[len(plain):]
		size := VariableLen(source)
		if strings.HasPrefix(source[size:], "(") {
			return nil, fmt.Errorf("variable %q: expected a ) at its end", source)
		}
		v, err := ParseVariable(pos, source[:size])
		if err != nil {
			return nil, err
		}
		flush()
		parts = append(parts, Part{Var: v})
		text = source[size:]
	}
	flush()
	return parts, nil
}

// VariableLen is the length of the variable at the beginning of s, which is a $. That
// of one whose parentheses are not closed ends before them.
func VariableLen(s string) int {
	n := 1
	for n < len(s) && isAlphanumeric(s[n]) {
		n++
	}
	if n < len(s) && s[n] == '(' {
		n += parenthesised(s[n:])
	}
	return n
}

// ParseVariable parses a variable, from its $ on. Pos is where it stands. The error says
// what was expected.
func ParseVariable(pos Pos, source string) (*Variable, error) {
	v, err := parseVariable(pos, source, 0)
	if err != nil {
		return nil, fmt.Errorf("variable %q: %w", source, err)
	}
	return v, nil
}

func parseVariable(pos Pos, source string, depth int) (*Variable, error) {
	if depth == maxVariableDepth {
		return nil, fmt.Errorf("nested too deep: expected at most %d variables within each other", maxVariableDepth)
	}
	v := &Variable{Pos: pos, Source: source}
	text, found := strings.CutPrefix(source, "$")
	if !found {
		return nil, errors.New("expected a $ before its name")
	}
	inside, parenthesised := strings.CutPrefix(text, "(")
	if parenthesised {
		if inside, found = strings.CutSuffix(inside, ")"); !found {
			return nil, errors.New("expected a ) at its end")
		}
		text = inside
	}
	if strings.HasPrefix(text, "<") {
		return nil, errors.New("contexts in <> are of SIP transactions, which evid does not have")
	}
	v.Name = prefix(text, len(text), isNameByte)
	if v.Name == "" {
		return nil, errors.New("expected its name after the $; a $ itself is $$ in a text")
	}
	rest, err := v.subname(text[len(v.Name):], depth)
	if err == nil && parenthesised {
		if rest, err = v.index(rest, depth); err == nil {
			rest, err = v.transforms(rest)
		}
	}
	if err != nil {
		return nil, err
	}
	if rest != "" {
		return nil, fmt.Errorf("unexpected %q: expected the form $name(subname), or $(name(subname)[index]{transformation})", rest)
	}
	return v, nil
}

// A point is part of names that stand in parentheses: $(err.class).
func isNameByte(c byte) bool { return isAlphanumeric(c) || c == '.' }

// subname takes (subname).
func (v *Variable) subname(text string, depth int) (rest string, err error) {
	if !strings.HasPrefix(text, "(") {
		return text, nil
	}
	size := parenthesised(text)
	if size == 0 {
		return "", errors.New("expected a ) after the subname")
	}
	v.Sub = &Subname{Text: strings.TrimSpace(text[1 : size-1])}
	if v.Sub.Text == "" {
		return "", errors.New("expected a subname in the parentheses")
	}
	if v.Sub.Text[0] == '$' {
		v.Sub.Var, err = parseVariable(v.Pos, v.Sub.Text, depth+1)
	}
	return text[size:], err
}

// index takes [index].
func (v *Variable) index(text string, depth int) (rest string, err error) {
	if !strings.HasPrefix(text, "[") {
		return text, nil
	}
	size := bracketed(text, '[', ']')
	if size == 0 {
		return "", errors.New("expected a ] after the index")
	}
	inside := strings.TrimSpace(text[1 : size-1])
	v.Index = new(Index)
	switch {
	case inside == "*":
		v.Index.All = true
	case strings.EqualFold(inside, "append"):
		v.Index.Append = true
	case strings.HasPrefix(inside, "$"):
		v.Index.Var, err = parseVariable(v.Pos, inside, depth+1)
	default:
		if v.Index.N, err = strconv.ParseInt(inside, 10, 32); err != nil {
			err = fmt.Errorf("index [%s]: expected an integer, a variable, * or append", inside)
		}
	}
	return text[size:], err
}

// transforms takes all {name,args}.
func (v *Variable) transforms(text string) (rest string, err error) {
	for strings.HasPrefix(text, "{") {
		if len(v.Transforms) == maxTransforms {
			return "", fmt.Errorf("too many transformations: expected at most %d", maxTransforms)
		}
		size := bracketed(text, '{', '}')
		if size == 0 {
			return "", errors.New("expected a } after the transformation")
		}
		var t Transform
		t.Name, t.Args, t.HasArgs = strings.Cut(text[1:size-1], ",")
		t.Name = strings.TrimSpace(t.Name)
		if t.Name == "" {
			return "", errors.New("expected the name of a transformation in {}")
		}
		v.Transforms = append(v.Transforms, t)
		text = text[size:]
	}
	return text, nil
}

// bracketed is the length of s up to the closing bracket that matches its first byte, 0
// when there is none.
func bracketed(s string, opening, closing byte) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case opening:
			depth++
		case closing:
			depth--
		}
		if depth == 0 {
			return i + 1
		}
	}
	return 0
}
