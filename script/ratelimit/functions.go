package ratelimit

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/evid/evid/script/posix"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
)

const module = "ratelimit"

// Functions returns what scripts can call:
//
//	rl_check(name, limit [, algorithm])
//	rl_dec_count(name)
//	rl_reset_count(name)
//	rl_values(result [, regexp])
//
// rl_check is true if the call passes; it is false, too, after an error. rl_dec_count and
// rl_reset_count are false without the pipe. rl_values assigns the names of all pipes, or
// of those that match, to an $avp: read one after the other they are sorted.
//
// A name can end in /r or /b, or both, by which OpenSIPS replicates a pipe; that has no
// effect and is no part of the name.
func (l *Limiter) Functions() []program.Function {
	name := program.Param{Name: "name", Type: program.Format}
	return []program.Function{
		{
			Name: "rl_check", Module: module, Bind: l.bindCheck,
			Params: []program.Param{name, {Name: "limit", Type: program.Integer}, {Name: "algorithm", Optional: true}},
		},
		{Name: "rl_dec_count", Module: module, Params: []program.Param{name}, Bind: bindCount(l.Decrement)},
		{Name: "rl_reset_count", Module: module, Params: []program.Param{name}, Bind: bindCount(l.Reset)},
		{
			Name: "rl_values", Module: module, Bind: l.bindValues,
			Params: []program.Param{{Name: "result", Type: program.Output}, {Name: "regexp", Type: program.Constant, Optional: true}},
		},
	}
}

// Variables returns what scripts can read: $rl_count(name), see [Limiter.Count]. It is NULL
// without the pipe.
func (l *Limiter) Variables() []program.Variable {
	return []program.Variable{{
		Name: "rl_count", Module: module, Subname: "name of a pipe",
		Bind: func(name string) (func(*program.Run) value.Value, error) {
			name = pipeName(name)
			return func(*program.Run) value.Value {
				n, known := l.Count(name)
				if !known {
					return value.Value{}
				}
				return value.Int(n)
			}, nil
		},
	}}
}

// pipeName cuts off what says how a pipe is replicated.
func pipeName(name string) string {
	if flags := name[strings.LastIndexByte(name, '/')+1:]; len(flags) < len(name)-1 && flags != "" && strings.Trim(flags, "rb") == "" {
		return name[:len(name)-len(flags)-1]
	}
	return name
}

func (l *Limiter) bindCheck(b *program.Binding) (program.Call, error) {
	if err := checkConstants(b); err != nil {
		return nil, err
	}
	name, limit := b.Text(0), b.Int(1, 0)
	algorithm, err := boundAlgorithm(b)
	if err != nil {
		return nil, err
	}
	return func(r *program.Run) (int64, error) {
		n, err := name(r)
		if err != nil {
			return program.False, err
		}
		most, err := limit(r)
		if err != nil {
			return program.False, err
		}
		a, err := algorithm(r)
		if err != nil {
			return program.False, err
		}
		pass, err := l.Check(pipeName(n), most, a)
		return program.Bool(pass), err
	}, nil
}

// checkConstants checks the name and the limit as far as they are known.
func checkConstants(b *program.Binding) error {
	if name, constant := b.Constant(0); constant {
		if err := checkName(pipeName(name)); err != nil {
			return &program.BindError{Arg: 0, Err: err}
		}
	}
	text, _ := b.Constant(1)
	if limit, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil { // else Int reports it
		if err := checkLimit(limit); err != nil {
			return &program.BindError{Arg: 1, Err: err}
		}
	}
	return nil
}

func boundAlgorithm(b *program.Binding) (func(r *program.Run) (Algorithm, error), error) {
	if !b.Given(2) {
		return func(*program.Run) (Algorithm, error) { return Default, nil }, nil
	}
	if name, constant := b.Constant(2); constant {
		a, err := ParseAlgorithm(name)
		if err != nil {
			return nil, &program.BindError{Arg: 2, Err: err}
		}
		return func(*program.Run) (Algorithm, error) { return a, nil }, nil
	}
	text := b.Text(2)
	return func(r *program.Run) (Algorithm, error) {
		name, err := text(r)
		if err != nil {
			return 0, err
		}
		return ParseAlgorithm(name)
	}, nil
}

// bindCount binds a function that changes the counter of a pipe.
func bindCount(change func(name string) (known bool)) func(b *program.Binding) (program.Call, error) {
	return func(b *program.Binding) (program.Call, error) {
		name := b.Text(0)
		return func(r *program.Run) (int64, error) {
			n, err := name(r)
			if err == nil && !change(pipeName(n)) {
				err = fmt.Errorf("there is no pipe %.64q", pipeName(n))
			}
			return program.Bool(err == nil), err
		}, nil
	}
}

func (l *Limiter) bindValues(b *program.Binding) (program.Call, error) {
	var matches *regexp.Regexp
	if expression, _ := b.Constant(1); b.Given(1) {
		var err error
		if matches, err = posix.Compile(expression, true); err != nil {
			return nil, &program.BindError{Arg: 1, Err: err}
		}
	}
	output := b.Output(0)
	return func(r *program.Run) (int64, error) {
		for _, p := range slices.Backward(l.Pipes()) { // an $avp gives what was assigned last first
			if matches == nil || matches.MatchString(p.Name) {
				output(r, value.String(p.Name))
			}
		}
		return program.True, nil
	}, nil
}
