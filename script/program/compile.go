package program

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/spell"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/value"
)

// Options of [Compile].
type Options struct {
	Library   Library
	Loaded    []string     // the modules whose functions and variables can be used
	Called    []string     // routes that are run by somebody else, though the script does not call them
	AnyCalled bool         // that may be any route
	Log       *slog.Logger // for what goes wrong in the script, and for its functions
	// MaxWhileLoops is how often the body of one while can be run; all loops of one run
	// and its calls of routes are together at most a thousand times as many.
	MaxWhileLoops int
}

// Compile makes a program of the routes in the file. All that is wrong with them is in
// errs, and the program is then not to be run; the warnings are about what is allowed, but
// hardly meant.
func Compile(file *script.File, opts Options) (p *Program, warnings, errs script.Errors) {
	c := &compiler{
		program: &Program{
			log:           opts.Log,
			maxWhileLoops: opts.MaxWhileLoops,
			routes:        make(map[string]*route),
			events:        make(map[string]*route),
		},
		library:  opts.Library,
		loaded:   opts.Loaded,
		vars:     make(map[string]int),
		avps:     make(map[string]int),
		called:   make(map[string]bool),
		anyRoute: opts.AnyCalled,
	}
	for _, name := range opts.Called {
		c.called[name] = true
	}
	var routes []*script.Route
	for _, stmt := range file.Stmts {
		if r, ok := stmt.(*script.Route); ok {
			routes = append(routes, r)
		}
	}
	compiled := make([]*route, len(routes)) // all are known before the first is compiled
	for i, r := range routes {
		compiled[i] = c.declare(r)
	}
	for i, r := range routes {
		if compiled[i] != nil {
			compiled[i].body = c.block(r.Body)
		}
	}
	c.warnUnused(routes)
	c.program.vars, c.program.avps = len(c.vars), len(c.avps)
	return c.program, c.warnings, c.errs
}

type compiler struct {
	program  *Program
	library  Library
	loaded   []string
	vars     map[string]int // where in a Run
	avps     map[string]int
	called   map[string]bool // routes
	anyRoute bool            // any can be: somebody else does, or a name is in a variable
	breaks   int             // loops and switches around what is being compiled

	warnings, errs script.Errors
}

func (c *compiler) errorf(pos script.Pos, format string, args ...any) {
	c.errs = append(c.errs, script.Error{Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

func (c *compiler) warnf(pos script.Pos, format string, args ...any) {
	c.warnings = append(c.warnings, script.Error{Pos: pos, Msg: fmt.Sprintf(format, args...)})
}

// The kinds of routes.
const (
	kindRoute   = "route"
	kindStartup = "startup_route"
	kindTimer   = "timer_route"
	kindEvent   = "event_route"
)

// mainRoute is the name of the route without one.
const mainRoute = "0"

// declare makes the route known. It returns nil when it is not to be compiled.
func (c *compiler) declare(r *script.Route) *route {
	switch r.Kind {
	case kindRoute:
		return c.declareRoute(r)
	case kindStartup:
		return c.declareStartup(r)
	case kindTimer:
		return c.declareTimer(r)
	case kindEvent:
		return c.declareEvent(r)
	default:
		c.errorf(r.Pos, "%s is not supported: evid is an event notifier, not a SIP server: it has route, %s, %s and %s",
			r.Kind, kindStartup, kindTimer, kindEvent)
		return nil
	}
}

// routeArgs returns the texts in the brackets of a route, which are at least and at most
// so many.
func (c *compiler) routeArgs(r *script.Route, atLeast, atMost int, form string) ([]string, bool) {
	if len(r.Args) < atLeast || len(r.Args) > atMost {
		c.errorf(r.Pos, "%s: expected %s {…}", r.Kind, form)
		return nil, false
	}
	texts := make([]string, len(r.Args))
	for i, arg := range r.Args {
		texts[i] = arg.String()
		if s, ok := arg.(*script.String); ok {
			texts[i] = s.Value
		}
	}
	return texts, true
}

func (c *compiler) declareRoute(r *script.Route) *route {
	args, ok := c.routeArgs(r, 0, 1, "route, or route[name]")
	if !ok {
		return nil
	}
	name := mainRoute
	if len(args) == 1 {
		name = args[0]
	}
	return c.add(c.program.routes, r, name)
}

// add adds a route to those of its kind.
func (c *compiler) add(to map[string]*route, r *script.Route, name string) *route {
	if before := to[name]; before != nil {
		c.errorf(r.Pos, "%s[%s] is there already: line %d of %s", r.Kind, name, before.pos.Line, before.pos.File)
		return nil
	}
	compiled := &route{name: name, pos: r.Pos}
	to[name] = compiled
	return compiled
}

func (c *compiler) declareStartup(r *script.Route) *route {
	if _, ok := c.routeArgs(r, 0, 0, kindStartup); !ok {
		return nil
	}
	if before := c.program.startup; before != nil {
		c.errorf(r.Pos, "%s is there already: line %d of %s", r.Kind, before.pos.Line, before.pos.File)
		return nil
	}
	c.program.startup = &route{name: r.Kind, pos: r.Pos}
	return c.program.startup
}

func (c *compiler) declareTimer(r *script.Route) *route {
	const form = kindTimer + "[name, seconds]"
	args, ok := c.routeArgs(r, 2, 2, form)
	if !ok {
		return nil
	}
	seconds, isInteger := r.Args[1].(*script.Integer)
	const most = int64(365 * 24 * time.Hour / time.Second)
	if !isInteger || seconds.Value < 1 || seconds.Value > most {
		c.errorf(r.Args[1].Position(), "%s: expected %s {…} with 1 to %d seconds", r.Kind, form, most)
		return nil
	}
	compiled := &route{name: args[0], pos: r.Pos}
	c.program.timers = append(c.program.timers, Timer{args[0], time.Duration(seconds.Value) * time.Second, compiled})
	return compiled
}

func (c *compiler) declareEvent(r *script.Route) *route {
	const form = kindEvent + "[E_NAME], or " + kindEvent + "[E_NAME, sync]"
	args, ok := c.routeArgs(r, 1, 2, form)
	if !ok {
		return nil
	}
	event, sync := args[0], false
	if err := evid.CheckEventName(event); err != nil {
		c.errorf(r.Args[0].Position(), "event %q: %v", event, err)
		return nil
	}
	if len(args) == 2 {
		sync = args[1] == "sync"
		if !sync && args[1] != "async" {
			c.errorf(r.Args[1].Position(), "unexpected %q: expected %s {…}", args[1], form)
			return nil
		}
	}
	compiled := c.add(c.program.events, r, event)
	if compiled != nil {
		c.program.listed = append(c.program.listed, EventRoute{event, sync})
		c.registers(event)
	}
	return compiled
}

func (c *compiler) registers(event string) {
	if !slices.Contains(c.program.registers, event) {
		c.program.registers = append(c.program.registers, event)
	}
}

func (c *compiler) warnUnused(routes []*script.Route) {
	if c.anyRoute {
		return
	}
	for _, r := range routes {
		if r.Kind != kindRoute || len(r.Args) != 1 {
			continue
		}
		if args, _ := c.routeArgs(r, 1, 1, ""); args[0] != mainRoute && !c.called[args[0]] {
			c.warnf(r.Pos, "route[%s] is never run: nothing calls it", args[0])
		}
	}
}

// block compiles actions that follow one another.
func (c *compiler) block(b *script.Block) action {
	actions := make([]action, 0, len(b.Actions))
	ended := false
	for i, a := range b.Actions {
		if !ended && i > 0 && ends(b.Actions[i-1]) {
			ended = true
			c.warnf(a.Position(), "this is never reached: %v is right before it", b.Actions[i-1])
		}
		actions = append(actions, c.action(a))
	}
	return sequence(actions)
}

// ends reports whether what follows the action is never reached.
func ends(a script.Action) bool {
	switch a := a.(type) {
	case *script.Exit, *script.Drop, *script.Return, *script.Break:
		return true
	case *script.Block:
		return len(a.Actions) > 0 && ends(a.Actions[len(a.Actions)-1])
	default:
		return false
	}
}

func sequence(actions []action) action {
	switch len(actions) {
	case 0:
		return func(*Run) flow { return next }
	case 1:
		return actions[0]
	}
	return func(r *Run) flow {
		for _, a := range actions {
			if f := a(r); f != next {
				return f
			}
		}
		return next
	}
}

// slot gives a name its place in each Run.
func slot(slots map[string]int, name string) int {
	at, known := slots[name]
	if !known {
		at = len(slots)
		slots[name] = at
	}
	return at
}

// didYouMean is a hint for a name that is not known.
func didYouMean(name string, known []string) string {
	near := spell.Nearest(name, known)
	if len(near) == 0 {
		return ""
	}
	return ": did you mean " + strings.Join(near, " or ") + "?"
}

// routeName is the name in a route(name) that is the same each time.
func routeName(e script.Expr) (name string, ok bool) {
	switch e := e.(type) {
	case *script.Word:
		return e.Source, true
	case *script.Integer:
		return strconv.FormatInt(e.Value, 10), true
	case *script.String:
		return e.Value, !strings.Contains(e.Value, "$")
	default:
		return "", false
	}
}

// routeCall compiles route(name, args…).
func (c *compiler) routeCall(x *script.RouteCall) func(r *Run) int64 {
	args := make([]expr, len(x.Args))
	for i, arg := range x.Args {
		args[i] = c.argument(arg)
	}
	find := c.findRoute(x)
	return func(r *Run) int64 {
		to := find(r)
		if to == nil {
			return False
		}
		if !r.step(x.Pos) {
			return 0
		}
		base := len(r.stack)
		for _, arg := range args {
			r.stack = append(r.stack, arg(r))
		}
		result := r.call(x.Pos, to, base)
		if result == 0 {
			r.stop = true
		}
		return result
	}
}

// argument compiles an argument of a route: a string is taken as it stands.
func (c *compiler) argument(e script.Expr) expr {
	if s, ok := e.(*script.String); ok {
		v := value.String(s.Value)
		return func(*Run) value.Value { return v }
	}
	return c.value(e)
}

func (c *compiler) findRoute(x *script.RouteCall) func(r *Run) *route {
	routes := c.program.routes
	if name, constant := routeName(x.Route); constant {
		c.called[name] = true
		to := routes[name]
		if to == nil {
			c.errorf(x.Route.Position(), "there is no route[%s]%s", name, didYouMean(name, slices.Sorted(maps.Keys(routes))))
		}
		return func(*Run) *route { return to }
	}
	c.anyRoute = true
	name := c.format(x.Route)
	return func(r *Run) *route {
		name := name(r).Text()
		to := routes[name]
		if to == nil {
			r.warn(x.Pos, "there is no route[%s]", name)
		}
		return to
	}
}
