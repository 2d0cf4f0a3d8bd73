package mi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/evid/evid/internal/spell"
)

// A Command is what MI can be asked to do.
type Command struct {
	Name  string // "raise_event"
	Alias string // the name with its module: "evi:raise"; empty: none
	Help  string // one sentence, for people

	// Params are the lists of parameter names that the command can be called
	// with, an empty list for a call without any. A call by position is told apart
	// by the number of its parameters: of lists that are equally long it is the
	// first, and the others can only be called by name.
	Params [][]string

	// Rest says that in a call by position the last name of the last list stands for all
	// parameters from there on, which Args then has as one array.
	Rest bool

	// Run executes a call with one of those lists. The result is encoded with
	// encoding/json. An error that is no [*Error] is answered as "Server error".
	Run func(ctx context.Context, a Args) (any, error)
}

// A Table is a set of commands that can be called. [NewTable] makes one. Its
// methods except Add may be called from several goroutines at once.
type Table struct {
	commands []Command
	byName   map[string]Command
}

// NewTable returns a table of these commands and two of its own: which, which
// lists them, and help.
func NewTable(commands ...Command) (*Table, error) {
	t := &Table{byName: make(map[string]Command)}
	return t, errors.Join(t.Add(t.ownCommands()...), t.Add(commands...))
}

// Add adds commands, before anything calls the table. It is an error if a name
// is taken.
func (t *Table) Add(commands ...Command) error {
	for _, c := range commands {
		for _, name := range c.names() {
			if _, taken := t.byName[name]; taken {
				return fmt.Errorf("add command %q: the name is taken", name)
			}
			t.byName[name] = c
		}
		t.commands = append(t.commands, c)
	}
	return nil
}

func (c Command) names() []string {
	if c.Alias == "" {
		return []string{c.Name}
	}
	return []string{c.Name, c.Alias}
}

// names lists both names of all commands.
func (t *Table) names() []string {
	var names []string
	for _, c := range t.commands {
		names = append(names, c.names()...)
	}
	return names
}

// Call runs a command. Params is an array for parameters by position, an object
// for named ones; null or nothing inside means none. The error is an [*Error].
func (t *Table) Call(ctx context.Context, method string, params Value) (any, error) {
	c, known := t.byName[method]
	if !known {
		return nil, methodNotFound(unknown("command", method, "which", t.names()))
	}
	args, err := c.match(params)
	if err != nil {
		return nil, err
	}
	result, err := c.Run(ctx, args)
	if err != nil {
		return nil, asError(err)
	}
	return result, nil
}

// match finds the list of parameters that the call has.
func (c Command) match(params Value) (Args, error) {
	if c.Rest && params.Kind != Object {
		params = gathered(params, c.Params[len(c.Params)-1])
	}
	reason := "Too few or too many parameters"
	for _, names := range c.Params {
		if len(names) != len(params.Items) {
			continue
		}
		if params.Kind != Object {
			return Args{names, params.Items}, nil
		}
		if values, ok := valuesOf(names, params); ok {
			return Args{names, values}, nil
		}
		reason = "Named parameters do not match"
	}
	return Args{}, invalidParams(reason)
}

// gathered makes one array of the parameters that the last name stands for.
func gathered(params Value, names []string) Value {
	last := len(names) - 1
	if len(params.Items) <= last || len(params.Items) == len(names) && params.Items[last].Kind == Array {
		return params
	}
	rest := Value{Kind: Array, Items: params.Items[last:]}
	params.Items = append(params.Items[:last:last], rest)
	return params
}

// valuesOf returns the members of an object that have these names, and whether
// it has them all.
func valuesOf(names []string, object Value) ([]Value, bool) {
	values := make([]Value, len(names))
	for i, name := range names {
		at := slices.IndexFunc(object.Items, func(v Value) bool { return v.Name == name })
		if at < 0 {
			return nil, false
		}
		values[i] = object.Items[at]
	}
	return values, true
}

func (t *Table) ownCommands() []Command {
	return []Command{
		{
			Name: "which", Alias: "core:which",
			Help:   "lists the commands, or the parameters that one can have",
			Params: [][]string{{}, {"command"}},
			Run:    t.which,
		},
		{
			Name: "help", Alias: "core:help",
			Help:   "says what a command does",
			Params: [][]string{{}, {"mi_cmd"}},
			Run:    t.help,
		},
	}
}

// which lists all names, those of a module ("evi:"), or a command's parameters.
func (t *Table) which(_ context.Context, a Args) (any, error) {
	if !a.Has("command") {
		return t.names(), nil
	}
	name, err := a.Text("command")
	if err != nil {
		return nil, err
	}
	if c, known := t.byName[name]; known {
		return c.Params, nil
	}
	if strings.HasSuffix(name, ":") {
		names := slices.DeleteFunc(t.names(), func(n string) bool { return !strings.HasPrefix(n, name) })
		if len(names) > 0 {
			return names, nil
		}
	}
	return nil, t.unknownCommand(name)
}

func (t *Table) help(_ context.Context, a Args) (any, error) {
	if !a.Has("mi_cmd") {
		return "Usage: help mi_cmd - returns information about 'mi_cmd'", nil
	}
	name, err := a.Text("mi_cmd")
	if err != nil {
		return nil, err
	}
	c, known := t.byName[name]
	if !known {
		return nil, t.unknownCommand(name)
	}
	module, _, _ := strings.Cut(c.Alias, ":")
	return struct {
		Help   string
		Module string `json:"Exported by,omitempty"`
	}{c.Help, module}, nil
}

func (t *Table) unknownCommand(name string) *Error {
	return &Error{404, "unknown MI command", unknown("command", name, "which", t.names())}
}

// The nearest names are looked for among no more than these: it takes time, and
// whoever mistypes names in a loop would take it from others.
const maxSuggestFrom = 1000

// unknown says that there is no such thing and which ones come near, else what
// command lists them.
func unknown(what, name, lister string, known []string) string {
	text := fmt.Sprintf("unknown %s %q", what, name)
	near := spell.Nearest(name, known[:min(len(known), maxSuggestFrom)])
	if len(near) == 0 {
		return fmt.Sprintf("%s: %s lists the known ones", text, lister)
	}
	for i := range near {
		near[i] = fmt.Sprintf("%q", near[i])
	}
	return text + ": did you mean " + strings.Join(near, " or ") + "?"
}
