package cachedb

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
)

// The arguments of a call, as the compiler gives them.

func text(s string) textFunc { return func(*program.Run) (string, error) { return s, nil } }

func integer(n int64) intFunc { return func(*program.Run) (int64, error) { return n, nil } }

var errArgument = errors.New("attribute: the variable holds nothing")

func badText(*program.Run) (string, error) { return "", errArgument }

func badInteger(*program.Run) (int64, error) { return 0, errArgument }

func TestFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(DefaultParams())
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Collection("local")
		if err != nil {
			t.Fatal(err)
		}
		unset := value.String("unset")
		var out value.Value
		output := func(_ *program.Run, v value.Value) { out = v }
		for _, step := range []struct {
			about  string
			wait   time.Duration
			call   program.Call
			result int64
			out    value.Value
			err    string
		}{
			{about: "fetch without the key", call: fetchCall(c, text("k"), output), result: -2, out: unset},
			{about: "fetch a counter without the key", call: fetchCounterCall(c, text("k"), output), result: -2, out: unset},
			{about: "remove without the key", call: removeCall(c, text("k")), result: 1, out: unset},

			{about: "store for ever", call: storeCall(c, text("k"), text("five"), integer(0)), result: 1, out: unset},
			{about: "fetch", wait: 1e6 * time.Hour, call: fetchCall(c, text("k"), output), result: 1, out: value.String("five")},
			{
				about: "fetch what is no counter", call: fetchCounterCall(c, text("k"), output), result: -1, out: unset,
				err: `fetch "k": the value is no integer of 64 bits`,
			},
			{
				about: "add to what is no counter", call: addCall(c.Add, text("k"), integer(1), integer(0), output), result: -1, out: unset,
				err: `add 1 to "k": the value is no integer of 64 bits`,
			},
			{about: "store for 60 seconds", call: storeCall(c, text("k"), text("5"), integer(60)), result: 1, out: unset},
			{about: "add", wait: 59 * time.Second, call: addCall(c.Add, text("k"), integer(3), integer(60), output), result: 1, out: value.Int(8)},
			{about: "subtract", call: addCall(c.Sub, text("k"), integer(10), integer(60), output), result: 1, out: value.Int(-2)},
			{about: "fetch a counter as a text", call: fetchCall(c, text("k"), output), result: 1, out: value.String("-2")},
			{about: "fetch a counter", call: fetchCounterCall(c, text("k"), output), result: 1, out: value.Int(-2)},
			{about: "fetch what has expired", wait: time.Second, call: fetchCall(c, text("k"), output), result: -2, out: unset},
			{about: "add anew", call: addCall(c.Add, text("k"), integer(3), integer(60), output), result: 1, out: value.Int(3)},
			{about: "remove", call: removeCall(c, text("k")), result: 1, out: unset},
			{about: "fetch what is removed", call: fetchCall(c, text("k"), output), result: -2, out: unset},

			{
				about: "overflow", call: addCall(c.Sub, text("k"), integer(math.MinInt64), integer(0), output), result: -1, out: unset,
				err: `subtract -9223372036854775808 from "k": the sum has more than 64 bits`,
			},
			{
				about: "a timeout below 0", call: storeCall(c, text("k"), text("x"), integer(-1)), result: -1, out: unset,
				err: "expected 0 to 2147483647 seconds, got -1",
			},
			{
				about: "a timeout that is too long", call: addCall(c.Add, text("k"), integer(1), integer(1<<31), output), result: -1, out: unset,
				err: "expected 0 to 2147483647 seconds, got 2147483648",
			},
			{about: "store with an empty key", call: storeCall(c, text(""), text("x"), integer(0)), result: -1, out: unset, err: `store "": the key is empty`},
			{about: "fetch with an empty key", call: fetchCall(c, text(""), output), result: -2, out: unset},
		} {
			time.Sleep(step.wait)
			out = unset
			result, err := step.call(nil)
			if message := messageOf(err); result != step.result || out != step.out || message != step.err {
				t.Errorf("%s: %d, %#v, error %q, want %d, %#v, error %q", step.about, result, out, message, step.result, step.out, step.err)
			}
		}
	})
}

func messageOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// An argument that has no value is an error, and nothing is done.
func TestFunctionsWithoutArgument(t *testing.T) {
	s, err := New(DefaultParams())
	if err != nil {
		t.Fatal(err)
	}
	c := s.names["local"]
	output := func(*program.Run, value.Value) { t.Error("a result is assigned") }
	for name, call := range map[string]program.Call{
		"store, key":             storeCall(c, badText, text("x"), integer(0)),
		"store, value":           storeCall(c, text("k"), badText, integer(0)),
		"store, timeout":         storeCall(c, text("k"), text("x"), badInteger),
		"fetch, key":             fetchCall(c, badText, output),
		"fetch a counter, key":   fetchCounterCall(c, badText, output),
		"remove, key":            removeCall(c, badText),
		"add, key":               addCall(c.Add, badText, integer(1), integer(0), output),
		"add, increment":         addCall(c.Add, text("k"), badInteger, integer(0), output),
		"add, expire":            addCall(c.Add, text("k"), integer(1), badInteger, output),
		"subtract, without room": addCall(func(string, int64, time.Duration) (int64, error) { return 0, errArgument }, text("k"), integer(1), integer(0), output),
	} {
		if result, err := call(nil); result != program.False || !errors.Is(err, errArgument) {
			t.Errorf("%s: %d, %v, want %d, %v", name, result, err, program.False, errArgument)
		}
	}
	if got := s.Stats(); got != (Stats{}) {
		t.Errorf("%+v, want nothing", got)
	}
}

// The signatures are those of OpenSIPS.
func TestSignatures(t *testing.T) {
	s, err := New(DefaultParams())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range s.Functions() {
		var params []string
		for _, p := range f.Params {
			name := p.Name
			if p.Optional {
				name = "[" + name + "]"
			}
			params = append(params, name)
		}
		got = append(got, f.Module+" "+f.Name+"("+strings.Join(params, ", ")+")")
	}
	want := []string{
		"cachedb_local cache_store(storage, attribute, value, [timeout])",
		"cachedb_local cache_fetch(storage, attribute, result)",
		"cachedb_local cache_counter_fetch(storage, attribute, result)",
		"cachedb_local cache_remove(storage, attribute)",
		"cachedb_local cache_add(storage, attribute, increment, expire, [new_value])",
		"cachedb_local cache_sub(storage, attribute, decrement, expire, [new_value])",
	}
	if !slices.Equal(got, want) {
		t.Errorf("functions\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
