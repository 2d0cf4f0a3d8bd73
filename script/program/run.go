package program

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/evid/evid"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/value"
)

// Limits of one run.
const (
	maxRouteDepth = 100      // routes that call each other
	maxText       = 64 << 20 // bytes of text that it makes, all together
	maxAVPValues  = 10000    // of one name
	maxValues     = 1000000  // of all names
	loopsFactor   = 1000     // all loops and calls of routes, beside the loops of one while
)

// A Run is one run of a route, with those that it calls. Its variables begin empty.
type Run struct {
	program *Program
	ctx     context.Context
	cause

	vars  []value.Value
	avps  [][]value.Value // the one assigned last at the end
	stack []value.Value   // the parameters of the routes that are running
	frame []value.Value   // of these, those of the innermost
	depth int

	code    int64         // $retcode
	ret     int64         // what the route returns if it ends here
	returns []value.Value // $return(0), …

	stop   bool // the script is to end
	failed bool // the expression being evaluated has no value
	err    error

	at     *script.Pos // the call that is running, for a panic
	buf    []byte      // to put texts together
	text   int         // bytes of text made
	steps  int
	values int // of all avps

	// Params is for a function to put together the parameters of an event.
	Params []evid.Param
}

// Context ends when the script is to stop. An event raised with it is caused by the one
// that the route runs for.
func (r *Run) Context() context.Context { return r.ctx }

// Log is where a script logs.
func (r *Run) Log() *slog.Logger { return r.program.log }

// Event is the event of an event route, also in the routes that it calls; nil elsewhere.
func (r *Run) Event() *evid.Event { return r.event }

// Fail ends the script with an error, which names the place of the call.
func (r *Run) Fail(err error) { r.fail(*r.at, "%w", err) }

// Warn logs something wrong that does not make a function fail, with the place of the call.
func (r *Run) Warn(format string, args ...any) { r.warn(*r.at, format, args...) }

// Error logs something wrong as Warn does, but as an error.
func (r *Run) Error(format string, args ...any) {
	r.program.log.ErrorContext(r.ctx, fmt.Sprintf(format, args...), "at", *r.at)
}

// Request is what the main route runs for, also in the routes that it calls; nil elsewhere.
func (r *Run) Request() Request { return r.request }

// warn logs something wrong that does not end the script.
func (r *Run) warn(pos script.Pos, format string, args ...any) {
	r.program.log.WarnContext(r.ctx, fmt.Sprintf(format, args...), "at", pos)
}

// noValue logs why an expression has no value.
func (r *Run) noValue(pos script.Pos, format string, args ...any) value.Value {
	r.warn(pos, format, args...)
	r.failed = true
	return value.Value{}
}

// takeFailed reports whether the expression just evaluated has no value.
func (r *Run) takeFailed() bool {
	failed := r.failed
	r.failed = false
	return failed
}

// fail ends the script.
func (r *Run) fail(pos script.Pos, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%v: %w", pos, fmt.Errorf(format, args...))
	}
	r.stop = true
}

// made counts the bytes of a text that the script has made.
func (r *Run) made(pos script.Pos, bytes int) bool {
	r.text += bytes
	if r.text > maxText {
		r.fail(pos, "the script has made more than %d MiB of text in one run", maxText>>20)
		return false
	}
	return true
}

// step counts the loops and the calls of routes: nothing else can make a run long that the
// text of the script is not. It reports whether the run goes on.
func (r *Run) step(pos script.Pos) bool {
	r.steps++
	if most := loopsFactor * r.program.maxWhileLoops; r.steps > most {
		r.fail(pos, "expected at most %d loops and calls of routes in one run of the script (%d x max_while_loops)", most, loopsFactor)
		return false
	}
	if err := r.ctx.Err(); err != nil {
		r.fail(pos, "the script was stopped: %w", err)
		return false
	}
	return true
}

// A flow says how a script goes on after an action.
type flow uint8

const (
	next   flow = iota // with the next action
	leave              // after the loop or switch
	back               // where the route was called
	theEnd             // not at all
)

type action func(r *Run) flow

// call runs a route, with the parameters that were pushed to the stack from base on.
func (r *Run) call(pos script.Pos, to *route, base int) int64 {
	if r.depth == maxRouteDepth {
		r.fail(pos, "route[%s] is called too deep: expected at most %d routes that call each other", to.name, maxRouteDepth)
		return 0
	}
	frame := r.frame
	r.frame = r.stack[base:len(r.stack):len(r.stack)]
	r.depth++
	r.ret, r.returns = True, nil
	if to.body(r) == theEnd {
		r.stop = true
		return 0
	}
	r.depth--
	clear(r.stack[base:])
	r.stack, r.frame = r.stack[:base], frame
	return r.ret
}

// A panic in a function is an error that names the place.
func (r *Run) recovered(panicked any) {
	r.fail(*r.at, "panic: %v", panicked)
}

// reset makes the run ready for the pool: what it holds is released.
func (r *Run) reset() {
	clear(r.vars)
	for i, values := range r.avps {
		clear(values)
		r.avps[i] = values[:0]
		if cap(values) > maxKept {
			r.avps[i] = nil
		}
	}
	clear(r.stack)
	clear(r.Params[:cap(r.Params)])
	kept := Run{program: r.program, vars: r.vars, avps: r.avps, stack: r.stack[:0]}
	if cap(r.buf) <= maxKept {
		kept.buf = r.buf[:0]
	}
	if cap(r.Params) <= maxKept {
		kept.Params = r.Params[:0]
	}
	*r = kept
}

// maxKept is how large a buffer is kept for another run.
const maxKept = 4096
