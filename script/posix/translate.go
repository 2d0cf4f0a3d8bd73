package posix

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	errTooLarge    = errors.New("expression is too large: what it repeats makes it too long")
	errBracketOpen = errors.New("[ is not closed: expected a ] (the first one after [ or [^ stands for itself)")
)

// translate writes an expression in the syntax of Go.
func (o Options) translate(expr string) (string, error) {
	if len(expr) > maxLen {
		return "", fmt.Errorf("expression has %d bytes: at most %d are allowed", len(expr), maxLen)
	}
	if !utf8.ValidString(expr) {
		return "", errors.New("expression is not valid UTF-8")
	}
	t := translator{options: o, rest: expr}
	t.write(o.flags())
	if _, err := t.alternatives(0); err != nil {
		return "", err
	}
	return string(t.out), nil
}

// flags are those that Go wants: its own default is that a dot matches no line end, and
// ^ and $ match only the ends.
func (o Options) flags() string {
	flags := "s"
	if o.Lines {
		flags = "m"
	}
	if o.IgnoreCase {
		flags += "i"
	}
	return "(?" + flags + ")"
}

// A translator reads rest and writes out, by recursive descent. Its methods return the
// size of what they translated, as maxSize counts it.
type translator struct {
	options Options
	rest    string
	out     []byte
	groups  int // so far
}

func (t *translator) write(s string) { t.out = append(t.out, s...) }

// accept moves past prefix if it comes next.
func (t *translator) accept(prefix string) bool {
	rest, ok := strings.CutPrefix(t.rest, prefix)
	t.rest = rest
	return ok
}

// take moves past the next character, which must be there.
func (t *translator) take() string {
	_, n := utf8.DecodeRuneInString(t.rest)
	c := t.rest[:n]
	t.rest = t.rest[n:]
	return c
}

// alternatives translates what stands between |, up to the end or, within depth groups, a ).
func (t *translator) alternatives(depth int) (size int, err error) {
	for t.rest != "" && (depth == 0 || t.rest[0] != ')') {
		if t.accept("|") {
			t.write("|")
			continue
		}
		n, err := t.repeated(depth)
		if err != nil {
			return 0, err
		}
		size += n
		if size > maxSize {
			return 0, errTooLarge
		}
	}
	return size, nil
}

// repeated translates an atom with the repetitions after it.
func (t *translator) repeated(depth int) (size int, err error) {
	start := len(t.out)
	size, repeatable, err := t.atom(depth)
	if err != nil {
		return 0, err
	}
	last := byte(0) // the repetition that is written last, if it was * + or ?
	for first := true; t.atRepetition(); first = false {
		if !repeatable {
			return 0, nothingToRepeat(t.rest[0])
		}
		op := t.take()
		if op != "{" && last != 0 {
			// Go has x*? for something else, and (x+)? is x*.
			if last != op[0] {
				last = '*'
				t.out[len(t.out)-1] = '*'
			}
			continue
		}
		if !first {
			t.out = slices.Insert(t.out, start, []byte("(?:")...)
			t.write(")")
		}
		if last = op[0]; last != '{' {
			t.write(op)
			continue
		}
		last = 0
		times, err := t.interval()
		if err != nil {
			return 0, err
		}
		if size *= max(times, 1); size > maxSize {
			return 0, errTooLarge
		}
	}
	return size, nil
}

func (t *translator) atRepetition() bool {
	return t.rest != "" && strings.IndexByte("*+?{", t.rest[0]) >= 0
}

func nothingToRepeat(op byte) error {
	return fmt.Errorf(`nothing before %c that it could repeat: to match one, write \%[1]c`, op)
}

// interval translates what comes after a { and returns how often it repeats at most.
func (t *translator) interval() (times int, err error) {
	text, rest, ok := strings.Cut(t.rest, "}")
	if !ok {
		return 0, errors.New("{ is not closed: expected a }")
	}
	t.rest = rest
	low, high, comma := strings.Cut(text, ",")
	lowest, err1 := repeatCount(low, 0)
	highest := lowest
	err2 := error(nil)
	if comma {
		highest, err2 = repeatCount(high, lowest)
	}
	switch {
	case errors.Is(err1, strconv.ErrRange) || errors.Is(err2, strconv.ErrRange) || max(lowest, highest) > maxRepeat:
		return 0, fmt.Errorf("repetition {%s} is too large: at most %d times are allowed", text, maxRepeat)
	case err1 != nil || err2 != nil || low == "" && !comma || highest < lowest:
		return 0, fmt.Errorf("unknown repetition {%s}: expected {n}, {n,}, {,m} or {n,m}", text)
	case comma && high == "":
		t.write(fmt.Sprintf("{%d,}", lowest))
	default:
		t.write(fmt.Sprintf("{%d,%d}", lowest, highest))
	}
	return highest, nil
}

// repeatCount is a number in braces; otherwise is its value when it was left out.
func repeatCount(digits string, otherwise int) (int, error) {
	if digits == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), err
}

// atom translates what a repetition can follow, or an anchor, which none can follow.
func (t *translator) atom(depth int) (size int, repeatable bool, err error) {
	switch c := t.take(); c {
	case "(":
		size, err = t.group(depth + 1)
		return size, true, err
	case "[":
		err = t.bracket()
		return 1, true, err
	case "*", "+", "?", "{":
		return 0, false, nothingToRepeat(c[0])
	case "^", "$":
		t.write(c)
		return 1, false, nil
	case ".":
		t.write(c)
		return 1, true, nil
	case `\`:
		repeatable, err = t.escape()
		return 1, repeatable, err
	default: // a ) and } too that closes nothing
		t.write(regexp.QuoteMeta(c))
		return 1, true, nil
	}
}

// group translates what comes after a (.
func (t *translator) group(depth int) (size int, err error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("groups are too deep: at most %d are allowed", maxDepth)
	}
	if t.groups++; t.groups > t.options.Groups {
		t.write("(?:")
	} else {
		t.write("(")
	}
	size, err = t.alternatives(depth)
	if err == nil && !t.accept(")") {
		err = errors.New("( is not closed: expected a )")
	}
	t.write(")")
	return size + 1, err
}

// escape translates what comes after a backslash.
func (t *translator) escape() (repeatable bool, err error) {
	if t.rest == "" {
		return false, errors.New(`expression ends in a backslash: to match one, write \\`)
	}
	switch c := t.take(); c {
	case "1", "2", "3", "4", "5", "6", "7", "8", "9":
		return false, fmt.Errorf(`back-reference \%s is not supported`, c)
	case "w", "W":
		t.write(`\` + c)
	case "s":
		t.write("[[:space:]]") // \s of Go knows one blank less
	case "S":
		t.write("[^[:space:]]")
	case "b", "<", ">":
		t.write(`\b`)
		return false, nil
	case "B":
		t.write(`\B`)
		return false, nil
	case "`":
		t.write(`\A`)
		return false, nil
	case "'":
		t.write(`\z`)
		return false, nil
	default:
		t.write(regexp.QuoteMeta(c))
	}
	return true, nil
}

// bracket translates what comes after a [.
func (t *translator) bracket() error {
	t.write("[")
	if t.accept("^") {
		t.write("^")
		if t.options.Lines {
			t.write(`\n`)
		}
	}
	for first := true; first || !t.accept("]"); first = false {
		if err := t.element(first); err != nil {
			return err
		}
	}
	t.write("]")
	return nil
}

// element translates a class, a character or a range of characters.
func (t *translator) element(first bool) error {
	if t.accept("[:") {
		return t.class()
	}
	if !first && strings.HasPrefix(t.rest, "-") && !strings.HasPrefix(t.rest, "-]") {
		return fmt.Errorf("- within [ ] stands neither for a range nor at the end, before %q", t.rest[1:])
	}
	low, err := t.endpoint()
	if err != nil {
		return err
	}
	high := low
	if strings.HasPrefix(t.rest, "-") && !strings.HasPrefix(t.rest, "-]") {
		t.accept("-")
		if strings.HasPrefix(t.rest, "[:") {
			return errors.New("a range within [ ] cannot end in a class")
		}
		if high, err = t.endpoint(); err != nil {
			return err
		}
	}
	if high < low {
		return fmt.Errorf("range %c-%c within [ ] goes backwards", low, high)
	}
	t.write(fmt.Sprintf(`\x{%x}-\x{%x}`, low, high))
	return nil
}

// endpoint takes a character, which may be written [.c.] or [=c=].
func (t *translator) endpoint() (rune, error) {
	if t.rest == "" {
		return 0, errBracketOpen
	}
	text := ""
	switch {
	case t.accept("[."):
		text, t.rest, _ = strings.Cut(t.rest, ".]")
	case t.accept("[="):
		text, t.rest, _ = strings.Cut(t.rest, "=]")
	default:
		text = t.take()
	}
	c, n := utf8.DecodeRuneInString(text)
	if n == 0 || n != len(text) {
		return 0, fmt.Errorf("unknown character %q within [ ]: expected a single one", text)
	}
	if t.options.IgnoreCase && 'a' <= c && c <= 'z' {
		c -= 'a' - 'A' // as the C library does it: [A-z] is [A-Z] then, and has no _
	}
	return c, nil
}

// class translates what comes after a [: within brackets.
func (t *translator) class() error {
	name, rest, ok := strings.Cut(t.rest, ":]")
	if !ok {
		return errors.New("[: is not closed: expected a :]")
	}
	switch name {
	case "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit":
	default:
		return fmt.Errorf("unknown class [:%s:]", name)
	}
	t.rest = rest
	if strings.HasPrefix(t.rest, "-") && !strings.HasPrefix(t.rest, "-]") {
		return errors.New("a range within [ ] cannot begin with a class")
	}
	t.write("[:" + name + ":]")
	return nil
}
