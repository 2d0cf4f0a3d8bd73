// Package transform is the transformations of variables: {s.len}, {re.subst,…}.
//
// They do what OpenSIPS does. An integer counts as its decimal digits, and lengths and
// offsets are in bytes. Those of the classes csv, ip, nameaddr, param, re and uri make
// NULL of an empty text, as they do of one that is not what they expect.
//
// A transformation makes no text that is longer than the one it is given, but for
// s.escape.common, which can double it, and re.subst, which makes NULL instead of a text
// of more than 1 MiB.
package transform

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/evid/evid/script/value"
)

// A Transformation is what stands in braces after the name of a variable.
type Transformation struct {
	Name   string   // with its class: s.substr
	Params []string // the names of its parameters; all must be given

	// Bind checks the arguments, one for each parameter, and returns what transforms a
	// value. The script calls it once for arguments that are constants and else each time.
	// Arguments stand in the script between commas, but the last one takes all the
	// rest: of {s.select,0,,} they are "0" and ",". An error begins with the name of the
	// transformation in braces.
	//
	// The function that is returned can be called by several goroutines. Of NULL, and
	// where there is no result, it makes NULL.
	Bind func(args []value.Value) (func(value.Value) value.Value, error)
}

// Lookup returns the transformation of this name, in which upper and lower case are the same.
func Lookup(name string) (Transformation, bool) {
	for _, d := range table() {
		if strings.EqualFold(d.name, name) {
			return d.transformation(), true
		}
	}
	return Transformation{}, false
}

// Names returns the names of all transformations, sorted.
func Names() []string {
	var names []string
	for _, d := range table() {
		names = append(names, d.name)
	}
	return names
}

// A definition is a row of the table.
type definition struct {
	name   string
	params []string
	input  func(v value.Value) bool // what is transformed; of anything else NULL is made
	bind   func(a arguments) (function, error)
}

type function = func(value.Value) value.Value

// table is all there is, sorted by name.
func table() []definition {
	return []definition{
		{"csv.count", nil, notEmpty, plain(csvCount)},
		{"csv.value", []string{"index"}, notEmpty, csvValue},
		{"ip.isip", nil, notEmpty, plain(isIP)},
		{"ip.isip4", nil, notEmpty, plain(isIP4)},
		{"ip.isip6", nil, notEmpty, plain(isIP6)},
		{"nameaddr.name", nil, notEmpty, plain(nameaddrName)},
		{"nameaddr.uri", nil, notEmpty, plain(nameaddrURI)},
		{"param.count", nil, notEmpty, plain(paramCount)},
		{"param.exist", []string{"name"}, notEmpty, paramExist},
		{"param.value", []string{"name"}, notEmpty, paramValue},
		{"re.subst", []string{"expression"}, notEmpty, bindSubst},
		{"s.escape.common", nil, notNull, plain(escapeCommon)},
		{"s.int", nil, notNull, plain(toInt)},
		{"s.len", nil, notNull, plain(length)},
		{"s.select", []string{"index", "separator"}, notNull, bindSelect},
		{"s.substr", []string{"offset", "length"}, notNull, substr},
		{"s.tolower", nil, notNull, plain(toLower)},
		{"s.toupper", nil, notNull, plain(toUpper)},
		{"s.trim", nil, notNull, plain(trim)},
		{"s.triml", nil, notNull, plain(trimLeft)},
		{"s.trimr", nil, notNull, plain(trimRight)},
		{"s.unescape.common", nil, notNull, plain(unescapeCommon)},
		{"uri.domain", nil, notEmpty, uriPart(uri.hostPart)},
		{"uri.headers", nil, notEmpty, uriPart(uri.headersPart)},
		{"uri.host", nil, notEmpty, uriPart(uri.hostPart)},
		{"uri.param", []string{"name"}, notEmpty, uriParam},
		{"uri.params", nil, notEmpty, uriPart(uri.paramsPart)},
		{"uri.passwd", nil, notEmpty, uriPart(uri.passwordPart)},
		{"uri.port", nil, notEmpty, uriPart(uri.portPart)},
		{"uri.schema", nil, notEmpty, uriPart(uri.schemePart)},
		{"uri.user", nil, notEmpty, uriPart(uri.userPart)},
	}
}

func notNull(v value.Value) bool { return !v.IsNull() }

func notEmpty(v value.Value) bool { return !v.IsNull() && v != value.String("") }

// plain is the bind of what takes no arguments.
func plain(f function) func(arguments) (function, error) {
	return func(arguments) (function, error) { return f, nil }
}

func (d definition) transformation() Transformation {
	return Transformation{
		Name:   d.name,
		Params: d.params,
		Bind: func(args []value.Value) (func(value.Value) value.Value, error) {
			f, err := d.checkAndBind(args)
			if err != nil {
				return nil, fmt.Errorf("{%s}: %w", d.name, err)
			}
			return func(v value.Value) value.Value {
				if !d.input(v) {
					return value.Value{}
				}
				return f(v)
			}, nil
		},
	}
}

func (d definition) checkAndBind(args []value.Value) (function, error) {
	if len(args) == len(d.params) {
		return d.bind(arguments{d.params, args})
	}
	if len(d.params) == 0 {
		return nil, fmt.Errorf("expected no arguments, got %d", len(args))
	}
	return nil, fmt.Errorf("expected %d arguments (%s), got %d", len(d.params), strings.Join(d.params, ", "), len(args))
}

// arguments are those given for parameters.
type arguments struct {
	params []string
	values []value.Value
}

// integer returns an argument that is an integer, or a text that holds one.
func (a arguments) integer(i int) (int64, error) {
	v := a.values[i]
	if v.IsInt() {
		return v.Int(), nil
	}
	n, err := strconv.ParseInt(strings.Trim(v.Text(), blanks), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("expected an integer %s, got %#v", a.params[i], v)
	}
	return n, nil
}

// name returns an argument that is the name of a parameter.
func (a arguments) name(i int) (string, error) {
	name := strings.Trim(a.values[i].Text(), blanks)
	if name == "" || strings.ContainsAny(name, blanks+",;=") {
		return "", fmt.Errorf("expected the name of a parameter, got %#v", a.values[i])
	}
	return name, nil
}
