// Package core is the functions and variables that a script can use without loading a
// module for them, and those of module cfgutils.
package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ncruces/go-strftime"

	"github.com/evid/evid"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
)

// Events is the Event Interface as scripts use it: see [evid.Interface].
type Events interface {
	Raise(ctx context.Context, event string, params ...evid.Param) (evid.ID, error)
	SubscribeFromScript(event, socket string, expire time.Duration) error
	Unsubscribe(event, socket string) error
	// CheckSocket says what is wrong with a socket that stands in a script, which has event
	// routes for these events.
	CheckSocket(socket string, hasEvent func(event string) bool) error
}

// Statistics gives the value of a statistic by its name, "raised" or "evi:raised". Scripts
// read one that is not known as NULL.
type Statistics interface {
	Statistic(name string) (n uint64, known bool)
}

// Cfgutils is the name of the module that usleep needs.
const Cfgutils = "cfgutils"

// Library returns the functions and variables.
func Library(events Events, statistics Statistics) program.Library {
	return program.Library{
		Functions: append(eventFunctions(events), otherFunctions()...),
		Variables: variables(statistics),
	}
}

func variables(statistics Statistics) []program.Variable {
	now := func(read func(t time.Time) value.Value) func(string) (func(*program.Run) value.Value, error) {
		return func(string) (func(*program.Run) value.Value, error) {
			return func(*program.Run) value.Value { return read(time.Now()) }, nil
		}
	}
	return []program.Variable{
		{Name: "Ts", Bind: now(func(t time.Time) value.Value { return value.Int(t.Unix()) })},
		{Name: "Tsm", Bind: now(func(t time.Time) value.Value { return value.Int(int64(t.Nanosecond() / 1000)) })},
		{Name: "time", Subname: "format of date(1)", Bind: func(format string) (func(*program.Run) value.Value, error) {
			return func(*program.Run) value.Value { return value.String(strftime.Format(format, time.Now())) }, nil
		}},
		{Name: "pp", Bind: func(string) (func(*program.Run) value.Value, error) {
			pid := value.Int(int64(os.Getpid()))
			return func(*program.Run) value.Value { return pid }, nil
		}},
		{Name: "env", Subname: "name of an environment variable", Bind: func(name string) (func(*program.Run) value.Value, error) {
			text, set := os.LookupEnv(name)
			if !set {
				return func(*program.Run) value.Value { return value.Value{} }, nil
			}
			v := value.String(text)
			return func(*program.Run) value.Value { return v }, nil
		}},
		{Name: "event", Subname: "name, id or params", Bind: bindEvent},
		{Name: "stat", Subname: "name of a statistic", Bind: func(name string) (func(*program.Run) value.Value, error) {
			return func(*program.Run) value.Value {
				n, known := statistics.Statistic(name)
				if !known {
					return value.Value{}
				}
				return value.Int(int64(n))
			}, nil
		}},
	}
}

// bindEvent binds $event(name), $event(id) and $event(params), the number of parameters, of
// the event that an event route runs for.
func bindEvent(what string) (func(r *program.Run) value.Value, error) {
	var of func(e *evid.Event) value.Value
	switch what {
	case "name":
		of = func(e *evid.Event) value.Value { return value.String(e.Name) }
	case "id":
		of = func(e *evid.Event) value.Value { return value.String(e.ID.String()) }
	case "params":
		of = func(e *evid.Event) value.Value { return value.Int(int64(len(e.Params))) }
	default:
		return nil, errors.New("expected $event(name), $event(id) or $event(params)")
	}
	return func(r *program.Run) value.Value {
		if r.Event() == nil {
			return value.Value{}
		}
		return of(r.Event())
	}, nil
}

func otherFunctions() []program.Function {
	return []program.Function{
		{
			Name: "xlog", Usage: "xlog([level,] text)", Bind: bindXlog,
			Params: []program.Param{{Name: "level or text"}, {Name: "text", Optional: true}},
		},
		{
			Name: "log", Usage: "log([level,] text)", Bind: bindLog,
			Params: []program.Param{
				{Name: "level or text", Type: program.Constant},
				{Name: "text", Type: program.Constant, Optional: true},
			},
		},
		{Name: "xdbg", Bind: bindXdbg, Params: []program.Param{{Name: "text"}}},
		{
			Name: "sleep", Module: Cfgutils, Bind: bindSleep(time.Second),
			Params: []program.Param{{Name: "seconds", Type: program.Integer}},
		},
		{
			Name: "usleep", Module: Cfgutils, Bind: bindSleep(time.Microsecond),
			Params: []program.Param{{Name: "microseconds", Type: program.Integer}},
		},
	}
}

// maxSleep bounds sleep and usleep.
const maxSleep = time.Hour

// bindSleep binds sleep and usleep, whose argument counts units.
func bindSleep(unit time.Duration) func(b *program.Binding) (program.Call, error) {
	most := int64(maxSleep / unit)
	return func(b *program.Binding) (program.Call, error) {
		units := b.Int(0, 0)
		return func(r *program.Run) (int64, error) {
			n, err := units(r)
			if err == nil && (n < 0 || n > most) {
				err = fmt.Errorf("expected 0 to %d, got %d", most, n)
			}
			if err != nil {
				return program.False, err
			}
			select {
			case <-time.After(time.Duration(n) * unit):
				return program.True, nil
			case <-r.Context().Done():
				err := fmt.Errorf("the sleep was cut short: %w", r.Context().Err())
				r.Fail(err) // the route is to run again after the next start
				return program.False, err
			}
		}, nil
	}
}
