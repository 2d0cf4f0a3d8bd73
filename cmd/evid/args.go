package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/evid/evid"
)

// paramName matches names of parameters, and nothing.
var paramName = regexp.MustCompile(`^([\pL_][\pL\pN_.-]*)?$`)

// splitArg reads an argument of "raise" and "mi". It is named if what stands
// before its first = is a name: letters, digits, '_', '.' and '-', the first of
// them a letter or '_'. A leading = says that it is unnamed and is not part of
// the value.
func splitArg(arg string) (name, value string) {
	before, after, found := strings.Cut(arg, "=")
	if !found || !paramName.MatchString(before) {
		return "", arg
	}
	return before, after
}

// miParams makes the parameters of an MI command out of arguments: an object if
// they are named, an array if not, nil if there are none. All values are
// strings: MI commands that need an integer take it as a string, too.
func miParams(args []string) (any, error) {
	named := make(map[string]string)
	var positional []string
	for _, arg := range args {
		name, value := splitArg(arg)
		if name == "" {
			positional = append(positional, value)
			continue
		}
		if _, twice := named[name]; twice {
			return nil, fmt.Errorf("parameter %s is given twice", name)
		}
		named[name] = value
	}
	switch {
	case len(named) > 0 && len(positional) > 0:
		return nil, errors.New("expected all parameters with names or none: " +
			"a value that looks like name=value is written =name=value")
	case len(named) > 0:
		return named, nil
	case len(positional) > 0:
		return positional, nil
	default:
		return nil, nil
	}
}

// eventParam makes the parameter of an event out of an argument. A decimal
// integer of at most 64 bits is an integer, unless asText.
func eventParam(arg string, asText bool) (evid.Param, error) {
	if !utf8.ValidString(arg) {
		return evid.Param{}, fmt.Errorf("parameter %q: expected UTF-8", arg)
	}
	name, value := splitArg(arg)
	n, err := strconv.ParseInt(value, 10, 64)
	if asText || err != nil || strconv.FormatInt(n, 10) != value { // 007 is a text
		return evid.String(name, value), nil
	}
	return evid.Int(name, n), nil
}

// raiseArgs returns the parameters of raise_event for an event. MI takes unnamed
// strings as an array. Names and integers need an object, which OpenSIPS takes
// only as JSON inside a string; an unnamed parameter has an empty name there.
func raiseArgs(event string, params []evid.Param) (map[string]any, error) {
	args := map[string]any{"event": event}
	switch {
	case len(params) == 0:
	case slices.ContainsFunc(params, func(p evid.Param) bool { return p.Name != "" || p.Kind == evid.KindInt }):
		object, err := jsonObject(params)
		if err != nil {
			return nil, err
		}
		args["params"] = object
	default:
		values := make([]string, len(params))
		for i, p := range params {
			values[i] = p.Str
		}
		args["params"] = values
	}
	return args, nil
}

// jsonObject returns parameters as a JSON object, in their order.
func jsonObject(params []evid.Param) (string, error) {
	members := make([]string, len(params))
	for i, p := range params {
		name, err := json.Marshal(p.Name)
		if err != nil {
			return "", err
		}
		value := []byte(p.Text())
		if p.Kind == evid.KindString {
			if value, err = json.Marshal(p.Str); err != nil {
				return "", err
			}
		}
		members[i] = string(name) + ":" + string(value)
	}
	return "{" + strings.Join(members, ",") + "}", nil
}
