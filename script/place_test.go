package script_test

import (
	"fmt"
	"testing"

	"github.com/evid/evid/script"
)

// What a file sets is found again: a parameter where it was set last.
func TestPlaces(t *testing.T) {
	const text = `socket=udp:127.0.0.1:5060 socket = tcp:127.0.0.1:5060
loadmodule "/usr/lib/a.so"
modparam("a|b", "x", 1) modparam("a", "y", 2)
modparam("b", "y", 3)
modparam("a", "x", 4)
`
	file, err := script.Parse("x.cfg", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		what string
		at   any
		want string
	}{
		{"globals", file.GlobalPos("socket"), "[x.cfg:1:8 x.cfg:1:36]"},
		{"no global", file.GlobalPos("port"), "[]"},
		{"module", file.ModulePos("a"), "x.cfg:2:12"},
		{"no module", file.ModulePos("b"), ""},
		{"x of a", file.ParamPos("a", "x"), "x.cfg:5:20"},
		{"x of b", file.ParamPos("b", "x"), "x.cfg:3:22"},
		{"y of a", file.ParamPos("a", "y"), "x.cfg:3:44"},
		{"z of a", file.ParamPos("a", "z"), ""},
	} {
		if got := fmt.Sprint(test.at); got != test.want {
			t.Errorf("%s: %s, want %s", test.what, got, test.want)
		}
	}
}
