// Package route delivers events to the event routes of the script. An event route is a
// subscriber as any other, with the socket
//
//	route:E_X
//	route:E_X;sync_mode=1
//
// where E_X is the name that event_route[E_X] has. With sync_mode=1 a raise waits until
// the route has run: see [evid.Interface.Raise].
//
// # What becomes of an event
//
// The route is run once for each event, in the order in which they were raised. No route
// waits for another one, and nobody who raises waits for a route, but with sync_mode.
// If the run fails the event is rejected: it is not tried again, as a script fails the
// same way each time, and becomes a dead letter that can be replayed once the script is
// mended. A run that is cut short because evid ends is made again after the next start.
//
// Events that a run raises have one hop more than the one it runs for: those that raise
// each other in a circle end with [evid.ErrTooManyHops]. With sync_mode they end sooner:
// an event of such a circle would have to wait for itself, so its raise fails at once.
package route

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/evid/evid"
	"github.com/evid/evid/modparam"
)

const (
	scheme     = "route"
	syncOption = ";sync_mode=1"
)

// A Runner runs event routes: the script. Its methods are called by several goroutines at
// once, but for one subscriber they run its route one event after the other.
type Runner interface {
	// HasEvent reports whether there is an event route of this name now.
	HasEvent(route string) bool
	// RunEvent runs an event route to its end for an event. It returns soon after ctx is
	// done, with an error if the run was cut short. Events that the run raises are raised
	// with ctx. What is wrong with the script is an error, and so is a route that is not
	// there, or a panic of it; the event is then given up. But an error that wraps
	// [evid.ErrClosed], as a raise returns it while evid ends, has the event come again.
	RunEvent(ctx context.Context, route string, e *evid.Event) error
}

// A Transport is the transport for the scheme route. [New] makes one.
type Transport struct{ runner Runner }

var _ evid.Transport = (*Transport)(nil)

// New returns the transport to the event routes of a script.
func New(r Runner) *Transport { return &Transport{r} }

// Schemes returns the transport itself.
func (t *Transport) Schemes() []evid.Transport { return []evid.Transport{t} }

// Replaced counts the characters that could not be sent as they were: there are none.
func (t *Transport) Replaced() uint64 { return 0 }

// Scheme implements [evid.Transport].
func (t *Transport) Scheme() string { return scheme }

// Parse implements [evid.Transport]. It is an error if the script has no event route of
// this name now.
func (t *Transport) Parse(addr string) (evid.Socket, error) { return parse(addr, t.runner.HasEvent) }

// Check says what [Transport.Parse] would if these were the event routes of the script.
func Check(addr string, hasEvent func(route string) bool) error {
	_, err := parse(addr, hasEvent)
	return err
}

func parse(addr string, hasEvent func(route string) bool) (evid.Socket, error) {
	name, options, has := strings.Cut(addr, ";")
	s := socket{key: scheme + ":" + name}
	if has {
		if err := s.set(options); err != nil {
			return nil, err
		}
	}
	if !hasEvent(name) {
		return nil, missing(name)
	}
	return s, nil
}

func missing(name string) error { return fmt.Errorf("the script has no event_route[%s]", name) }

// Lane implements [evid.Transport].
func (t *Transport) Lane(s evid.Socket) string { return s.Key() }

// Open implements [evid.Transport].
func (t *Transport) Open(evid.Socket) evid.Lane {
	l := &lane{runner: t.runner}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// A socket is one event route.
type socket struct {
	key  string // scheme ':' name
	sync bool
}

// set assigns the options: name '=' value {';' name '=' value}.
func (s *socket) set(options string) error {
	params := []modparam.Param{{Name: "sync_mode", Value: modparam.Bool(&s.sync)}}
	for option := range strings.SplitSeq(options, ";") {
		name, value, ok := strings.Cut(option, "=")
		if !ok {
			return fmt.Errorf("option %q: expected name=value", option)
		}
		err := modparam.Assign(params, name, value, modparam.Either)
		if errors.Is(err, modparam.ErrUnknown) {
			return fmt.Errorf("option %q: expected sync_mode", option)
		}
		if err != nil {
			return fmt.Errorf("option %q: %w", option, err)
		}
	}
	return nil
}

func (s socket) name() string { return s.key[len(scheme)+1:] }

// Key implements [evid.Socket].
func (s socket) Key() string { return s.key }

// String implements [evid.Socket].
func (s socket) String() string {
	if s.sync {
		return s.key + syncOption
	}
	return s.key
}

// Policy implements [evid.PolicySocket]. A route that is subscribed to several events has
// a lane for each: a run can raise one of the others and wait for it, any number deep,
// which calls that share a lane cannot.
func (s socket) Policy() evid.Policy {
	p := evid.DefaultPolicy()
	p.Sync, p.OwnLane = s.sync, true
	return p
}

// A lane runs the route of one subscriber.
type lane struct {
	runner Runner
	ctx    context.Context // of all runs: ends with Close, as Deliver is handed none
	cancel context.CancelFunc
}

// Deliver implements [evid.Lane]. It runs the route for the first item only: a run can
// take long, and what came of it is to be known before the next begins.
func (l *lane) Deliver(batch []evid.Item) {
	item := &batch[0]
	name := item.Socket.(socket).name()
	switch err := l.run(name, item.Event); {
	case err == nil:
		item.Result = evid.Result{Verdict: evid.Delivered, Sent: true, Answered: true}
	case l.ctx.Err() != nil: // it was cut short, or did not begin
	case errors.Is(err, evid.ErrClosed):
		item.Result = evid.Result{Verdict: evid.Retry, Blame: evid.TheSubscriber, Detail: oneLine(err)}
	default:
		item.Result = evid.Result{Verdict: evid.Rejected, Sent: true, Answered: true, Detail: oneLine(err)}
	}
}

func (l *lane) run(name string, e *evid.Event) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if !l.runner.HasEvent(name) { // any more: the script was loaded anew
		return missing(name)
	}
	return l.runner.RunEvent(evid.CausedBy(l.ctx, e), name, e)
}

// oneLine is the text of an error. Raising at several subscribers can have an error of
// several lines.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// Idle implements [evid.Lane]: a lane knows nothing.
func (l *lane) Idle() (keep bool) { return false }

// Close implements [evid.Lane].
func (l *lane) Close() error {
	l.cancel()
	return nil
}
