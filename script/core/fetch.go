package core

import (
	"errors"
	"slices"
	"strings"

	"github.com/evid/evid"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
)

// bindFetch binds fetch_event_params("name=$avp(x); $var(y)"), by which OpenSIPS up to 2.4
// gave the parameters of an event to variables: the first one of the name, or for the
// variables without one the first, the second, …, whatever their names. It returns how many
// were assigned, from the last one in the text on; those that are missing are logged.
func bindFetch(b *program.Binding) (program.Call, error) {
	type fetch struct {
		name   string // empty: the parameter at place
		place  int
		assign func(r *program.Run, v value.Value)
	}
	text, _ := b.Constant(0)
	var fetches []fetch
	unnamed := 0
	for piece := range strings.SplitSeq(text, ";") {
		if piece = strings.TrimSpace(piece); piece == "" {
			continue
		}
		name, variable, named := strings.Cut(piece, "=")
		if !named {
			name, variable = "", piece
		}
		assign, err := b.Assign(strings.TrimSpace(variable))
		if err != nil {
			return nil, &program.BindError{Arg: 0, Err: err}
		}
		fetches = append(fetches, fetch{strings.TrimSpace(name), unnamed, assign})
		if !named {
			unnamed++
		}
	}
	if len(fetches) == 0 {
		return nil, &program.BindError{Arg: 0, Err: errors.New(`expected variables, such as "ip=$avp(ip);$var(second)"`)}
	}
	return func(r *program.Run) (int64, error) {
		if r.Event() == nil {
			return program.False, errors.New("no event is at hand: expected it in an event_route")
		}
		params := r.Event().Params
		assigned := program.False
		for _, f := range slices.Backward(fetches) {
			at := f.place
			if f.name != "" {
				at = slices.IndexFunc(params, func(p evid.Param) bool { return p.Name == f.name })
			}
			if at < 0 || at >= len(params) {
				if f.name != "" {
					r.Warn("event %s has no parameter %q", r.Event().Name, f.name)
				} else {
					r.Warn("event %s has no parameter %d: it has %d", r.Event().Name, f.place+1, len(params))
				}
				continue
			}
			f.assign(r, program.ParamValue(&params[at]))
			assigned = max(assigned, 0) + 1
		}
		return assigned, nil
	}, nil
}
