package program

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/evid/evid/script/value"
)

// A truth is what a condition comes to.
type truth int8

const (
	no truth = iota
	yes
	unknown // it has no value: counts as false, and so does what it is not
)

func truthOf(ok bool) truth {
	if ok {
		return yes
	}
	return no
}

// arithmetic applies an operator. NULL counts as 0 beside an integer and as "" beside a
// string.
func arithmetic(op string, x, y value.Value) (value.Value, error) {
	if op == "+" && (x.IsString() || y.IsString() && !x.IsInt()) {
		return value.String(x.Text() + y.Text()), nil
	}
	if x.IsString() || y.IsString() {
		return value.Value{}, fmt.Errorf("%#v %s %#v: expected two integers", x, op, y)
	}
	if x.IsNull() && y.IsNull() {
		return value.Value{}, fmt.Errorf("NULL %s NULL: expected a value", op)
	}
	n, err := integers(op, x.Int(), y.Int())
	if err != nil {
		return value.Value{}, fmt.Errorf("%d %s %d: %w", x.Int(), op, y.Int(), err)
	}
	return value.Int(n), nil
}

func integers(op string, x, y int64) (int64, error) {
	switch op {
	case "+":
		return x + y, nil
	case "-":
		return x - y, nil
	case "*":
		return x * y, nil
	case "/", "%":
		if y == 0 {
			return 0, errors.New("division by 0")
		}
		if op == "/" {
			return x / y, nil
		}
		return x % y, nil
	case "|":
		return x | y, nil
	case "&":
		return x & y, nil
	case "^":
		return x ^ y, nil
	}
	if y < 0 || y > 63 {
		return 0, errors.New("expected a shift by 0 to 63 bits")
	}
	if op == "<<" {
		return x << y, nil
	}
	return x >> y, nil
}

// A comparison says whether what cmp.Compare says of two values is what it is after.
type comparison func(order int) bool

func comparisonOf(op string) comparison {
	switch op {
	case "==":
		return func(order int) bool { return order == 0 }
	case "!=":
		return func(order int) bool { return order != 0 }
	case "<":
		return func(order int) bool { return order < 0 }
	case "<=":
		return func(order int) bool { return order <= 0 }
	case ">":
		return func(order int) bool { return order > 0 }
	default:
		return func(order int) bool { return order >= 0 }
	}
}

// compare orders two values that are not NULL: integers as such, all else as text, without
// regard to the case of ASCII letters.
func compare(x, y value.Value) int {
	if x.IsInt() && y.IsInt() {
		return cmp.Compare(x.Int(), y.Int())
	}
	return compareFold(x.Text(), y.Text())
}

func compareFold(x, y string) int {
	for i := range min(len(x), len(y)) {
		if c := cmp.Compare(lower(x[i]), lower(y[i])); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

// equalFold is compareFold(x, y) == 0, only faster.
func equalFold(x, y string) bool { return len(x) == len(y) && (x == y || compareFold(x, y) == 0) }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
