package statistics_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/evid/evid/mi"
	"github.com/evid/evid/modparam"
	"github.com/evid/evid/script/statistics"
)

func open(tb testing.TB, p statistics.Params) *statistics.Store {
	tb.Helper()
	s, err := statistics.New(p, "evi")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// params are parameters as a configuration sets them.
func params(tb testing.TB, pairs ...string) statistics.Params {
	tb.Helper()
	var p statistics.Params
	for i := 0; i < len(pairs); i += 2 {
		if err := modparam.Assign(p.Modparams(), pairs[i], pairs[i+1], modparam.Text); err != nil {
			tb.Fatal(err)
		}
	}
	return p
}

func TestStore(t *testing.T) {
	s := open(t, params(t, "variable", "calls", "variable", "total/no_reset", "stat_groups", "method, reply",
		"variable", "method:known"))
	for _, update := range []struct {
		name string
		n    int64
	}{
		{"calls", 2}, {"script:calls", 3}, {"total", 7}, {"method:invite", 1}, {"invite", -5}, {"dynamic:invite", 1}, {"zero", 0},
	} {
		if err := s.Update(update.name, update.n); err != nil {
			t.Errorf("update %s: %v", update.name, err)
		}
	}
	if err := s.Reset("new"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int64{
		"calls": 5, "script:calls": 5, "total": 7, "method:invite": 1, "invite": -4, "dynamic:invite": -4,
		"method:known": 0, "new": 0,
	} {
		if n, known := s.Value(name); !known || n != want {
			t.Errorf("%s: %d, %t, want %d", name, n, known, want)
		}
	}
	for _, name := range []string{"zero", "known", "reply:invite", "core:x", "Calls", "", "script:"} {
		if n, known := s.Value(name); known {
			t.Errorf("there is a statistic %q: %d", name, n)
		}
	}
	if err := errors.Join(s.Reset("calls"), s.Reset("total")); err != nil {
		t.Error(err)
	}
	if n, _ := s.Value("calls"); n != 0 {
		t.Errorf("calls after a reset: %d", n)
	}
	if n, _ := s.Value("total"); n != 7 {
		t.Errorf("total, which cannot be reset: %d", n)
	}
}

func TestStoreErrors(t *testing.T) {
	s := open(t, params(t, "stat_groups", "method"))
	for name, want := range map[string]string{
		"other:x":               `there is no group "other" for statistics of the script: add it to stat_groups; there are script, dynamic, method`,
		":x":                    `there is no group "" for`,
		"":                      "the name of the statistic is empty",
		"method:":               "the name of the statistic is empty",
		strings.Repeat("x", 65): "the name of the statistic has 65 bytes, at most 64 are possible",
	} {
		for _, err := range []error{s.Update(name, 1), s.Update(name, 0), s.Reset(name)} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, want %s", name, err, want)
			}
		}
	}
	for i := range statistics.MaxVariables {
		if err := s.Update(fmt.Sprintf("n%d", i), 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Update("one more", 1); !errors.Is(err, statistics.ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if err := s.Update("n0", 1); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}

func TestNewErrors(t *testing.T) {
	for want, p := range map[string]statistics.Params{
		`add group "evi": evid has statistics of its own there`: params(t, "stat_groups", "evi"),
		`add statistic "a": it is there already`:                params(t, "variable", "a", "variable", "a/no_reset"),
		`add statistic "g:a": there is no group "g"`:            params(t, "variable", "g:a"),
	} {
		if _, err := statistics.New(p, "evi"); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestParamErrors(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"variable", "", "variable: the name of the statistic is empty"},
		{"variable", "a/other", `variable: expected no_reset after /, got "other"`},
		{"variable", "a/", `variable: expected no_reset after /, got ""`},
		{"stat_groups", "a:b", `stat_groups: expected groups of 1 to 64 bytes, without a colon, got "a:b"`},
	} {
		var p statistics.Params
		if err := modparam.Assign(p.Modparams(), test.name, test.text, modparam.Text); err == nil || err.Error() != test.want {
			t.Errorf("%s %q: %v, want %s", test.name, test.text, err, test.want)
		}
	}
	var p statistics.Params
	for _, text := range []string{"a , ,b,", "a", "script,dynamic"} {
		if err := modparam.Assign(p.Modparams(), "stat_groups", text, modparam.Text); err != nil {
			t.Error(err)
		}
	}
	if got := fmt.Sprint(p.Groups); got != "[a b]" {
		t.Errorf("groups: %s", got)
	}
}

// What MI shows, and resets.
func TestMI(t *testing.T) {
	s := open(t, params(t, "variable", "total/no_reset", "stat_groups", "method"))
	var all mi.Statistics
	s.AddTo(&all)
	table, err := mi.NewTable(all.Commands()...)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(method, names, want string) {
		t.Helper()
		list := mi.Value{Kind: mi.Array, Items: []mi.Value{{Kind: mi.Array, Items: []mi.Value{{Kind: mi.String, Text: names}}}}}
		result, err := table.Call(t.Context(), method, list)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(result); err != nil || string(got) != want {
			t.Errorf("%s %s: %s, %v, want %s", method, names, got, err, want)
		}
	}
	for name, n := range map[string]int64{"total": 2, "calls": -1, "method:invite": 3} {
		if err := s.Update(name, n); err != nil {
			t.Fatal(err)
		}
	}
	expect("get_statistics", "all", `{"script:total":2,"dynamic:calls":-1,"method:invite":3}`)
	expect("list_statistics", "all", `{"script:total":"non-incremental","dynamic:calls":"incremental","method:invite":"incremental"}`)
	expect("reset_statistics", "all", `"OK"`)
	expect("get_statistics", "all", `{"script:total":2,"dynamic:calls":0,"method:invite":0}`)
	if n, known := all.Statistic("total"); n != 2 || !known {
		t.Errorf("total: %d, %t", n, known)
	}
}

// All updates count, whoever makes them and whoever makes the variable.
func TestStoreConcurrently(t *testing.T) {
	s := open(t, statistics.Params{})
	var all mi.Statistics
	s.AddTo(&all)
	const callers, updates = 8, 1000
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			for i := range updates {
				if err := s.Update(fmt.Sprintf("n%d", i%10), 1); err != nil {
					t.Error(err)
				}
				all.Statistic("n0")
			}
		})
	}
	running.Wait()
	for i := range 10 {
		if n, _ := s.Value(fmt.Sprintf("n%d", i)); n != callers*updates/10 {
			t.Errorf("n%d: %d", i, n)
		}
	}
}
