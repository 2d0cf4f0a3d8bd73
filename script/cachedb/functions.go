package cachedb

import (
	"fmt"
	"time"

	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
)

// notFound is what functions of OpenSIPS return that found no key. It counts as false.
const notFound int64 = -2

// maxSeconds is MaxExpire as a script writes it.
const maxSeconds = int64(MaxExpire / time.Second)

// The parameters that the functions have in common.
const (
	argStorage = iota
	argKey
	argThird
	argExpire
	argSum
)

// Functions returns what scripts can call:
//
//	cache_store(storage, attribute, value [, timeout])
//	cache_fetch(storage, attribute, result)
//	cache_counter_fetch(storage, attribute, result)
//	cache_remove(storage, attribute)
//	cache_add(storage, attribute, increment, expire [, new_value])
//	cache_sub(storage, attribute, decrement, expire [, new_value])
//
// The storage is a constant: see [Store.Collection]. Times are in seconds, and 0 is for
// ever. cache_fetch gives a string, as in OpenSIPS, also of a counter; the others give an
// integer. Without the key, the result is not assigned and they return -2. cache_remove is
// true with and without one.
func (s *Store) Functions() []program.Function {
	storage := program.Param{Name: "storage", Type: program.Constant}
	attribute := program.Param{Name: "attribute", Type: program.Format}
	result := program.Param{Name: "result", Type: program.Output}
	expire := program.Param{Name: "expire", Type: program.Integer}
	sum := program.Param{Name: "new_value", Type: program.Output, Optional: true}

	function := func(name string, bind func(*Collection, *program.Binding) program.Call, params ...program.Param) program.Function {
		return program.Function{
			Name: name, Module: "cachedb_local",
			Params: append([]program.Param{storage, attribute}, params...),
			Bind: func(b *program.Binding) (program.Call, error) {
				c, err := s.bound(b)
				if err != nil {
					return nil, err
				}
				return bind(c, b), nil
			},
		}
	}
	return []program.Function{
		function("cache_store", bindStore,
			program.Param{Name: "value", Type: program.Format},
			program.Param{Name: "timeout", Type: program.Integer, Optional: true}),
		function("cache_fetch", bindFetch, result),
		function("cache_counter_fetch", bindFetchCounter, result),
		function("cache_remove", bindRemove),
		function("cache_add", bindAdd,
			program.Param{Name: "increment", Type: program.Integer}, expire, sum),
		function("cache_sub", bindSub,
			program.Param{Name: "decrement", Type: program.Integer}, expire, sum),
	}
}

// bound returns the collection that a call names.
func (s *Store) bound(b *program.Binding) (*Collection, error) {
	name, _ := b.Constant(argStorage)
	c, err := s.Collection(name)
	if err != nil {
		return nil, &program.BindError{Arg: argStorage, Err: err}
	}
	return c, nil
}

func bindStore(c *Collection, b *program.Binding) program.Call {
	return storeCall(c, b.Text(argKey), b.Text(argThird), b.Int(argExpire, 0))
}

func bindFetch(c *Collection, b *program.Binding) program.Call {
	return fetchCall(c, b.Text(argKey), b.Output(argThird))
}

func bindFetchCounter(c *Collection, b *program.Binding) program.Call {
	return fetchCounterCall(c, b.Text(argKey), b.Output(argThird))
}

func bindRemove(c *Collection, b *program.Binding) program.Call {
	return removeCall(c, b.Text(argKey))
}

func bindAdd(c *Collection, b *program.Binding) program.Call {
	return addCall(c.Add, b.Text(argKey), b.Int(argThird, 0), b.Int(argExpire, 0), b.Output(argSum))
}

func bindSub(c *Collection, b *program.Binding) program.Call {
	return addCall(c.Sub, b.Text(argKey), b.Int(argThird, 0), b.Int(argExpire, 0), b.Output(argSum))
}

// What gives and takes arguments, as [program.Binding] has it.
type (
	textFunc   = func(*program.Run) (string, error)
	intFunc    = func(*program.Run) (int64, error)
	outputFunc = func(*program.Run, value.Value)
)

func storeCall(c *Collection, key, text textFunc, timeout intFunc) program.Call {
	return func(r *program.Run) (int64, error) {
		k, err := key(r)
		if err != nil {
			return program.False, err
		}
		v, err := text(r)
		if err != nil {
			return program.False, err
		}
		expire, err := seconds(r, timeout)
		if err != nil {
			return program.False, err
		}
		err = c.Store(k, v, expire)
		return program.Bool(err == nil), err
	}
}

func fetchCall(c *Collection, key textFunc, output outputFunc) program.Call {
	return func(r *program.Run) (int64, error) {
		k, err := key(r)
		if err != nil {
			return program.False, err
		}
		text, found := c.Fetch(k)
		if !found {
			return notFound, nil
		}
		output(r, value.String(text))
		return program.True, nil
	}
}

func fetchCounterCall(c *Collection, key textFunc, output outputFunc) program.Call {
	return func(r *program.Run) (int64, error) {
		k, err := key(r)
		if err != nil {
			return program.False, err
		}
		n, found, err := c.FetchCounter(k)
		if err != nil {
			return program.False, err
		}
		if !found {
			return notFound, nil
		}
		output(r, value.Int(n))
		return program.True, nil
	}
}

func removeCall(c *Collection, key textFunc) program.Call {
	return func(r *program.Run) (int64, error) {
		k, err := key(r)
		if err != nil {
			return program.False, err
		}
		c.Remove(k)
		return program.True, nil
	}
}

// addCall calls Add or Sub of a collection.
func addCall(add func(string, int64, time.Duration) (int64, error), key textFunc, by, expire intFunc, output outputFunc) program.Call {
	return func(r *program.Run) (int64, error) {
		k, err := key(r)
		if err != nil {
			return program.False, err
		}
		n, err := by(r)
		if err != nil {
			return program.False, err
		}
		lives, err := seconds(r, expire)
		if err != nil {
			return program.False, err
		}
		sum, err := add(k, n, lives)
		if err != nil {
			return program.False, err
		}
		output(r, value.Int(sum))
		return program.True, nil
	}
}

func seconds(r *program.Run, n intFunc) (time.Duration, error) {
	s, err := n(r)
	if err == nil && (s < 0 || s > maxSeconds) {
		err = fmt.Errorf("expected 0 to %d seconds, got %d", maxSeconds, s)
	}
	return time.Duration(s) * time.Second, err
}
