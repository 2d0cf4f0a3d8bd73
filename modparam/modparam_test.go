package modparam_test

import (
	"errors"
	"testing"
	"time"

	"github.com/evid/evid/modparam"
)

func TestAssign(t *testing.T) {
	var (
		flag  bool
		count int
		limit time.Duration
		name  string
		word  string
	)
	params := []modparam.Param{
		{Name: "flag", Value: modparam.Bool(&flag)},
		{Name: "count", Value: modparam.Int(&count, -2, 9)},
		{Name: "limit", Value: modparam.Duration(&limit, time.Millisecond, time.Hour)},
		{Name: "name", Value: modparam.String(&name)},
		{Name: "word", Value: modparam.OneOf(&word, "one", "two")},
	}
	for _, test := range []struct {
		name, text string
		as         modparam.Type
		want       string // the value as it prints, or the error
	}{
		{"flag", "1", modparam.Integer, "1"},
		{"flag", "0", modparam.Either, "0"},
		{"flag", "-7", modparam.Integer, "1"},
		{"flag", "yes", modparam.Text, `flag: expected an integer, got "yes"`},
		{"flag", "1", modparam.Text, `flag: expected an integer, got "1" in quotes`},
		{"flag", "yes", modparam.Either, `flag: expected 0 or 1, got "yes"`},
		{"count", "9", modparam.Integer, "9"},
		{"count", "10", modparam.Integer, `count: expected an integer from -2 to 9, got "10"`},
		{"count", "-3", modparam.Integer, `count: expected an integer from -2 to 9, got "-3"`},
		{"count", "99999999999999999999", modparam.Either, `count: expected an integer from -2 to 9, got "99999999999999999999"`},
		{"limit", "250", modparam.Integer, "250"},
		{"limit", "5s", modparam.Text, "5000"},
		{"limit", "1500us", modparam.Text, "1.5ms"},
		{"limit", "0", modparam.Integer, `limit: expected milliseconds or a time with its unit, from 1ms to 1h0m0s, got "0"`},
		{"limit", "61m", modparam.Text, `limit: expected milliseconds or a time with its unit, from 1ms to 1h0m0s, got "61m"`},
		{"limit", "9999999999999999999", modparam.Either, `limit: expected milliseconds or a time with its unit, from 1ms to 1h0m0s, got "9999999999999999999"`},
		{"limit", "soon", modparam.Text, `limit: expected milliseconds or a time with its unit, from 1ms to 1h0m0s, got "soon"`},
		{"name", "any thing", modparam.Text, "any thing"},
		{"name", "5", modparam.Integer, "name: expected a string, got 5"},
		{"word", "two", modparam.Text, "two"},
		{"word", "three", modparam.Text, `word: expected one or two, got "three"`},
	} {
		before, err := modparam.Find(params, test.name)
		if err != nil {
			t.Fatal(err)
		}
		old := before.Value.String()
		err = modparam.Assign(params, test.name, test.text, test.as)
		got := before.Value.String()
		if err != nil {
			if got != old {
				t.Errorf("%s=%s is an error and changed the value to %s", test.name, test.text, got)
			}
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s=%s: %s, want %s", test.name, test.text, got, test.want)
		}
	}
	if err := modparam.Assign(params, "nope", "1", modparam.Integer); !errors.Is(err, modparam.ErrUnknown) {
		t.Errorf("unknown parameter: %v", err)
	}
}
