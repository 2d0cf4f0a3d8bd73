package ratelimit

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/evid/evid/mi"
)

// Commands returns the MI commands about pipes.
func (l *Limiter) Commands() []mi.Command {
	return []mi.Command{
		{
			Name: "rl_list", Alias: module + ":list",
			Help:   "lists the pipes of module ratelimit: all, one, or those whose names match a shell pattern or do not",
			Params: [][]string{{}, {"pipe"}, {"filter"}, {"filter_out"}},
			Run:    l.list,
		},
		{
			Name: "rl_reset_pipe", Alias: module + ":reset_pipe",
			Help:   "lets a pipe of module ratelimit count from 0 again",
			Params: [][]string{{"pipe"}},
			Run:    l.resetPipe,
		},
	}
}

type pipeItem struct {
	ID        string `json:"id"`
	Algorithm string `json:"algorithm"`
	Limit     int64  `json:"limit"`
	Counter   int64  `json:"counter"`
}

func newPipeItem(p Pipe) pipeItem {
	return pipeItem{p.Name, p.Algorithm.String(), p.Limit, p.Counter}
}

// The replies of rl_list. The drop rate is that of an algorithm that is not here.
type (
	oneReply struct {
		Pipe     pipeItem `json:"Pipe"`
		DropRate int      `json:"drop_rate"`
	}
	allReply struct {
		Pipes    []pipeItem `json:"Pipes"`
		DropRate int        `json:"drop_rate"`
	}
)

func (l *Limiter) list(_ context.Context, a mi.Args) (any, error) {
	if a.Has("pipe") {
		name, err := a.Text("pipe")
		if err != nil {
			return nil, err
		}
		p, known := l.Pipe(name)
		if !known {
			return nil, &mi.Error{Code: 404, Message: "Pipe Not Found", Data: unknownPipe(name)}
		}
		return oneReply{Pipe: newPipeItem(p)}, nil
	}
	wanted := func(string) bool { return true }
	for _, param := range []string{"filter", "filter_out"} {
		if !a.Has(param) {
			continue
		}
		pattern, err := a.Text(param)
		if err != nil {
			return nil, err
		}
		if wanted, err = matcher(pattern, param == "filter"); err != nil {
			return nil, &mi.Error{Code: 400, Message: "Bad parameter value", Data: fmt.Sprintf("%s %.64q: %v", param, pattern, err)}
		}
	}
	reply := allReply{Pipes: []pipeItem{}}
	for _, p := range l.Pipes() {
		if wanted(p.Name) {
			reply.Pipes = append(reply.Pipes, newPipeItem(p))
		}
	}
	return reply, nil
}

// matcher returns what reports whether a name matches a shell pattern, or with in = false
// that it does not. In [path.Match] a * does not match a /, and a set is turned round by ^.
func matcher(pattern string, in bool) (func(name string) bool, error) {
	const slash = "\x00"
	pattern = strings.NewReplacer("/", slash, "[!", "[^").Replace(pattern)
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, err
	}
	return func(name string) bool {
		matched, _ := path.Match(pattern, strings.ReplaceAll(name, "/", slash)) // the pattern is checked
		return matched == in
	}, nil
}

func (l *Limiter) resetPipe(_ context.Context, a mi.Args) (any, error) {
	name, err := a.Text("pipe")
	if err != nil {
		return nil, err
	}
	if !l.Reset(name) {
		return nil, &mi.Error{Code: 500, Message: "Internal error", Data: unknownPipe(name)}
	}
	return "OK", nil
}

func unknownPipe(name string) string {
	return fmt.Sprintf("there is no pipe %.64q: rl_list lists them", name)
}
