package statistics

import (
	"sync/atomic"

	"github.com/evid/evid/script/program"
)

// Functions returns what scripts can call:
//
//	update_stat(variable, value)
//	reset_stat(variable)
//
// They are true but after an error: see [Store.Update] and [Store.Reset].
func (s *Store) Functions() []program.Function {
	variable := program.Param{Name: "variable", Type: program.Format}
	return []program.Function{
		{
			Name: "update_stat", Module: "statistics", Bind: s.bindUpdate,
			Params: []program.Param{variable, {Name: "value", Type: program.Integer}},
		},
		{
			Name: "reset_stat", Module: "statistics", Bind: s.bindReset,
			Params: []program.Param{variable},
		},
	}
}

func (s *Store) bindUpdate(b *program.Binding) (program.Call, error) {
	open, err := s.bound(b)
	if err != nil {
		return nil, err
	}
	value := b.Int(1, 0)
	return func(r *program.Run) (int64, error) {
		n, err := value(r)
		if err != nil {
			return program.False, err
		}
		if n == 0 {
			return program.True, nil // it would make the variable
		}
		v, err := open(r)
		if err != nil {
			return program.False, err
		}
		v.value.Add(n)
		return program.True, nil
	}, nil
}

func (s *Store) bindReset(b *program.Binding) (program.Call, error) {
	open, err := s.bound(b)
	if err != nil {
		return nil, err
	}
	return func(r *program.Run) (int64, error) {
		v, err := open(r)
		if err != nil {
			return program.False, err
		}
		v.reset()
		return program.True, nil
	}, nil
}

// bound returns what gives the variable that a call names, which is made when it is first
// needed. One whose name is constant is looked for only then.
func (s *Store) bound(b *program.Binding) (func(r *program.Run) (*variable, error), error) {
	name, constant := b.Constant(0)
	if !constant {
		text := b.Text(0)
		return func(r *program.Run) (*variable, error) {
			name, err := text(r)
			if err != nil {
				return nil, err
			}
			return s.open(name)
		}, nil
	}
	if _, _, err := s.parse(name); err != nil {
		return nil, &program.BindError{Arg: 0, Err: err}
	}
	var found atomic.Pointer[variable]
	return func(*program.Run) (*variable, error) {
		if v := found.Load(); v != nil {
			return v, nil
		}
		v, err := s.open(name)
		if err == nil {
			found.Store(v)
		}
		return v, err
	}, nil
}
