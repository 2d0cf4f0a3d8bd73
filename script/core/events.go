package core

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
)

func eventFunctions(events Events) []program.Function {
	return []program.Function{
		{
			Name: "raise_event", Bind: bindRaise(events),
			Params: []program.Param{
				{Name: "event"},
				{Name: "names", Type: program.AVP, Optional: true},
				{Name: "values", Type: program.AVP, Optional: true},
			},
		},
		{
			Name: "subscribe_event", Bind: bindSubscribe(events),
			Params: []program.Param{{Name: "event"}, {Name: "socket"}, {Name: "expire", Type: program.Integer, Optional: true}},
		},
		{
			Name: "unsubscribe_event", Bind: bindUnsubscribe(events),
			Params: []program.Param{{Name: "event"}, {Name: "socket"}},
		},
		{
			Name: "fetch_event_params", Bind: bindFetch,
			Params: []program.Param{{Name: "variables", Type: program.Constant}},
		},
	}
}

// register registers an event whose name is the same each time.
func register(b *program.Binding) error {
	name, constant := b.Constant(0)
	if !constant {
		return nil
	}
	if err := b.Registers(name); err != nil {
		return &program.BindError{Arg: 0, Err: err}
	}
	return nil
}

// bindRaise binds raise_event(event [, names [, values]]). It is true when the event is
// kept, and when nobody is subscribed.
func bindRaise(events Events) func(b *program.Binding) (program.Call, error) {
	return func(b *program.Binding) (program.Call, error) {
		if err := register(b); err != nil {
			return nil, err
		}
		event, names, values, named := b.Text(0), b.Values(1), b.Values(2), b.Given(1)
		return func(r *program.Run) (int64, error) {
			name, err := event(r)
			if err != nil {
				return program.False, err
			}
			r.Params = r.Params[:0]
			if !named {
				appendParams(r, nil, values(r))
			} else if err := appendNamed(r, names(r), values(r)); err != nil {
				return program.False, err
			}
			_, err = events.Raise(r.Context(), name, r.Params...)
			switch {
			case err == nil, errors.Is(err, evid.ErrNoSubscribers):
				return program.True, nil
			case errors.Is(err, evid.ErrClosed):
				r.Fail(err) // evid ends: the route is to run again after the next start
			}
			return program.False, err
		}, nil
	}
}

// appendNamed makes the parameters of values with their names.
func appendNamed(r *program.Run, names, values []value.Value) error {
	if len(names) < len(values) {
		return fmt.Errorf("expected a name for each value: there are %d names and %d values", len(names), len(values))
	}
	if len(names) > len(values) { // it is raised all the same, as OpenSIPS does
		r.Error("there are %d names and %d values: the names assigned first are not used", len(names), len(values))
	}
	names = names[len(names)-len(values):]
	for _, name := range names {
		if !name.IsString() {
			return fmt.Errorf("expected strings as the names of parameters, got %#v", name)
		}
	}
	appendParams(r, names, values)
	return nil
}

// appendParams makes parameters of the values: the one assigned last comes first. Names
// are nil, or as many.
func appendParams(r *program.Run, names, values []value.Value) {
	for i, v := range slices.Backward(values) {
		p := evid.Param{Str: v.Text()}
		if v.IsInt() {
			p = evid.Param{Int: v.Int(), Kind: evid.KindInt}
		}
		if names != nil {
			p.Name = names[i].Text()
		}
		r.Params = append(r.Params, p)
	}
}

// checkSocket checks a socket that is the same each time. These are the event routes that
// it may name.
func checkSocket(events Events, b *program.Binding, hasEvent func(event string) bool) error {
	socket, constant := b.Constant(1)
	if !constant {
		return nil
	}
	if err := events.CheckSocket(socket, hasEvent); err != nil {
		if wrong, ok := errors.AsType[*evid.SocketError](err); ok {
			err = wrong.Err // the socket stands in the line that is shown
		}
		return &program.BindError{Arg: 1, Err: err}
	}
	return nil
}

// bindSubscribe binds subscribe_event(event, socket [, expire]): never to expire without
// it, 0 unsubscribes.
func bindSubscribe(events Events) func(b *program.Binding) (program.Call, error) {
	const never = math.MinInt64
	return func(b *program.Binding) (program.Call, error) {
		if err := cmp.Or(register(b), checkSocket(events, b, b.HasEvent)); err != nil {
			return nil, err
		}
		event, socket, expire := b.Text(0), b.Text(1), b.Int(2, never)
		return func(r *program.Run) (int64, error) {
			name, errName := event(r)
			to, errTo := socket(r)
			seconds, errExpire := expire(r)
			err := cmp.Or(errName, errTo, errExpire)
			switch {
			case err != nil:
			case seconds == never:
				err = events.SubscribeFromScript(name, to, evid.Never)
			case seconds == 0:
				err = events.Unsubscribe(name, to)
			case seconds < 0:
				err = fmt.Errorf("expected an expire of 0 or more seconds, got %d", seconds)
			default:
				expire := evid.Never
				if seconds < int64(evid.Never/time.Second) {
					expire = time.Duration(seconds) * time.Second
				}
				err = events.SubscribeFromScript(name, to, expire)
			}
			return program.Bool(err == nil), err
		}, nil
	}
}

func bindUnsubscribe(events Events) func(b *program.Binding) (program.Call, error) {
	return func(b *program.Binding) (program.Call, error) {
		anyEvent := func(string) bool { return true } // also one that the script has no route for any more
		if err := checkSocket(events, b, anyEvent); err != nil {
			return nil, err
		}
		event, socket := b.Text(0), b.Text(1)
		return func(r *program.Run) (int64, error) {
			name, errName := event(r)
			to, errTo := socket(r)
			err := cmp.Or(errName, errTo)
			if err == nil {
				err = events.Unsubscribe(name, to)
			}
			return program.Bool(err == nil), err
		}, nil
	}
}
