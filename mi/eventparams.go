package mi

import (
	"fmt"
	"strconv"

	"github.com/evid/evid"
)

// eventParams reads the parameter params of raise_event: an array of values
// without names, an object, or a string that holds an object as JSON.
func eventParams(sent Value) ([]evid.Param, error) {
	switch sent.Kind {
	case Array:
		return unnamedParams(sent.Items)
	case Object:
		return namedParams(sent.Items)
	case String:
		object, err := parseJSON([]byte(sent.Text))
		if err != nil {
			return nil, badParams("params is a string, but no JSON object: " + err.Error())
		}
		if object.Kind != Object {
			return nil, badParams("params is a string that holds " + object.Kind.String() + ": expected a JSON object")
		}
		return namedParams(object.Items)
	case Number:
		return nil, badParams("params is a number: expected an array or an object")
	default:
		return nil, &Error{400, "No Params", "params is " + sent.Kind.String() + ": expected an array or an object"}
	}
}

func badParams(reason string) *Error { return &Error{400, "Bad Params", reason} }

// unnamedParams makes strings of all values, numbers too, as OpenSIPS does.
func unnamedParams(items []Value) ([]evid.Param, error) {
	params := make([]evid.Param, len(items))
	for i, item := range items {
		text, ok := item.text()
		if !ok {
			return nil, badParams(fmt.Sprintf("parameter %d is %s: expected a string or a number", i+1, item.Kind))
		}
		params[i] = evid.String("", text)
	}
	return params, nil
}

// namedParams makes integers of the numbers that are some within 64 bits, and
// strings of the others, digit for digit.
func namedParams(items []Value) ([]evid.Param, error) {
	params := make([]evid.Param, len(items))
	for i, item := range items {
		text, ok := item.text()
		if !ok {
			return nil, badParams(fmt.Sprintf("parameter %q is %s: expected a string or a number", item.Name, item.Kind))
		}
		params[i] = evid.String(item.Name, text)
		if item.Kind != Number {
			continue
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			params[i] = evid.Int(item.Name, n)
		}
	}
	return params, nil
}
