// Package program compiles the routes of a configuration and runs them.
//
// [Compile] turns the syntax tree of a [script.File] into functions, once; what can be
// looked up by name is looked up then. A [Program] does not change: several of its routes
// run at a time, each in a [Run] of its own, with variables of its own.
package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/value"
)

// A Program is the routes of a configuration. The zero value has none.
type Program struct {
	log           *slog.Logger
	maxWhileLoops int

	routes    map[string]*route
	events    map[string]*route
	startup   *route // nil: there is none
	timers    []Timer
	listed    []EventRoute
	registers []string

	vars, avps int // how many each run has
	regexps    regexpCache
	runs       sync.Pool // of *Run
}

// A route is a compiled route.
type route struct {
	name string
	pos  script.Pos
	body action
}

// An EventRoute runs for each event of its name.
type EventRoute struct {
	Event string
	Sync  bool // raising waits for it
}

// A Timer is a route that is to run again and again.
type Timer struct {
	Name  string
	Every time.Duration
	route *route
}

// EventRoutes lists the event routes in the order of the file.
func (p *Program) EventRoutes() []EventRoute { return p.listed }

// Timers lists the timer routes in the order of the file. Several can have one name.
func (p *Program) Timers() []Timer { return p.timers }

// Registers lists the events that the script raises, subscribes to or has a route for, as
// far as their names are in it: they are to be registered.
func (p *Program) Registers() []string { return p.registers }

// HasRoute reports whether there is a route[name].
func (p *Program) HasRoute(name string) bool { return p.routes[name] != nil }

// HasEvent reports whether there is an event route for the event.
func (p *Program) HasEvent(event string) bool { return p.events[event] != nil }

// An error of these says why the script could not go on, and in which line; what is only
// logged does not end it. What a run has done up to there stays done.

// RunStartup runs the startup route, if there is one.
func (p *Program) RunStartup(ctx context.Context) error {
	if p.startup == nil {
		return nil
	}
	_, err := p.run(ctx, p.startup, cause{}, nil)
	return err
}

// RunTimer runs a timer route once.
func (p *Program) RunTimer(ctx context.Context, t Timer) error {
	_, err := p.run(ctx, t.route, cause{}, nil)
	return err
}

// RunEvent runs the event route of this name, which need not be that of the event. Ctx
// should be one of [evid.CausedBy].
func (p *Program) RunEvent(ctx context.Context, name string, e *evid.Event) error {
	to := p.events[name]
	if to == nil {
		return fmt.Errorf("the script has no event_route[%s]", name)
	}
	_, err := p.run(ctx, to, cause{event: e}, nil)
	return err
}

// RunRoute runs route[name] with args as its parameters. The result is what it returned:
// above 0 true, below false, 0 that it ended the script.
func (p *Program) RunRoute(ctx context.Context, name string, args []value.Value) (result int64, err error) {
	to := p.routes[name]
	if to == nil {
		return 0, fmt.Errorf("the script has no route[%s]", name)
	}
	return p.run(ctx, to, cause{}, args)
}

// A Request is what came from the network and the main route runs for.
type Request interface {
	// Source is where it came from.
	Source() netip.AddrPort
}

// HasMain reports whether there is a main route: one without a name.
func (p *Program) HasMain() bool { return p.HasRoute(mainRoute) }

// RunRequest runs the main route for a request.
func (p *Program) RunRequest(ctx context.Context, request Request) error {
	to := p.routes[mainRoute]
	if to == nil {
		return errors.New("the script has no route {…}")
	}
	_, err := p.run(ctx, to, cause{request: request}, nil)
	return err
}

// RunRequestRoute runs route[name] for a request, before the main route, and says whether it
// ended with drop.
func (p *Program) RunRequestRoute(ctx context.Context, name string, request Request) (dropped bool, err error) {
	to := p.routes[name]
	if to == nil {
		return false, fmt.Errorf("the script has no route[%s]", name)
	}
	why := cause{request: request, dropped: &dropped}
	_, err = p.run(ctx, to, why, nil)
	return dropped, err
}

// A cause is what a route runs for.
type cause struct {
	event   *evid.Event
	request Request
	dropped *bool // set if the script ends with drop; nil: nobody asks
}

func (p *Program) run(ctx context.Context, to *route, why cause, args []value.Value) (result int64, err error) {
	r, pooled := p.runs.Get().(*Run)
	if !pooled {
		r = &Run{program: p, vars: make([]value.Value, p.vars), avps: make([][]value.Value, p.avps)}
	}
	defer func() {
		if panicked := recover(); panicked != nil {
			r.recovered(panicked)
			result, err = 0, r.err
		}
		r.reset()
		p.runs.Put(r)
	}()
	r.ctx, r.cause, r.at = ctx, why, &to.pos
	r.stack = append(r.stack, args...)
	result = r.call(to.pos, to, 0)
	return result, r.err
}
