package statistics_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/evid/evid/script"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/statistics"
	"github.com/evid/evid/script/value"
)

func compile(tb testing.TB, s *statistics.Store, text string, log *slog.Logger) (*program.Program, script.Errors) {
	tb.Helper()
	file, err := script.Parse("evid.cfg", []byte(text), nil)
	if err != nil {
		tb.Fatal(err)
	}
	p, _, errs := program.Compile(file, program.Options{
		Library: program.Library{Functions: s.Functions()}, Loaded: []string{"statistics"}, Log: log, MaxWhileLoops: 100,
	})
	return p, errs
}

// A constant name is looked for when it is first used, and one out of a variable each time.
func TestFunctions(t *testing.T) {
	s := open(t, params(t, "stat_groups", "method"))
	p, errs := compile(t, s, `
route[count] {
	update_stat("calls", +1);
	update_stat("method:$param(1)", "-2");
	update_stat("zero", 0);
	if ($param(1) == "reset") {
		reset_stat("calls");
		reset_stat("method:$param(1)");
	}
}`, slog.New(slog.DiscardHandler))
	if errs != nil {
		t.Fatal(errs)
	}
	count := func(method string, wantCalls, wantMethod int64) {
		t.Helper()
		if result, err := p.RunRoute(t.Context(), "count", []value.Value{value.String(method)}); err != nil || result < 0 {
			t.Errorf("count %s: %d, %v", method, result, err)
		}
		calls, _ := s.Value("calls")
		of, _ := s.Value("method:" + method)
		if calls != wantCalls || of != wantMethod {
			t.Errorf("count %s: %d calls, %d, want %d, %d", method, calls, of, wantCalls, wantMethod)
		}
	}
	if n, known := s.Value("calls"); known {
		t.Errorf("calls is there before it is used: %d", n)
	}
	count("INVITE", 1, -2)
	count("INVITE", 2, -4)
	count("reset", 0, 0)
	count("INVITE", 1, -6)
	if _, known := s.Value("zero"); known {
		t.Error("an update by 0 has made a statistic")
	}
}

func TestScriptErrors(t *testing.T) {
	s := open(t, statistics.Params{})
	for text, want := range map[string]string{
		`update_stat("x:y", 1);`:   `there is no group "x" for statistics of the script`,
		`update_stat("", 1);`:      "the name of the statistic is empty",
		`reset_stat("core:y");`:    `there is no group "core" for statistics of the script: add it to stat_groups; there are script, dynamic`,
		`update_stat("y", "one");`: "expected an integer",
		`update_stat("y");`:        "update_stat needs its argument value",
	} {
		_, errs := compile(t, s, "route[r] { "+text+" }", slog.New(slog.DiscardHandler))
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%s: %v, want %s", text, errs, want)
		}
	}
	var log bytes.Buffer
	p, errs := compile(t, s, `route[r] {
	if (update_stat("$param(1)", 1)) return(1);
	if (reset_stat("$param(1)")) return(2);
	return(-7);
}`, slog.New(slog.NewTextHandler(&log, nil)))
	if errs != nil {
		t.Fatal(errs)
	}
	if result, err := p.RunRoute(t.Context(), "r", []value.Value{value.String("evi:raised")}); result != -7 || err != nil {
		t.Errorf("%d, %v", result, err)
	}
	if !strings.Contains(log.String(), `update_stat: there is no group \"evi\"`) {
		t.Errorf("log: %s", &log)
	}
}

// What one update costs within a script that does nothing else, by the kind of its name.
func BenchmarkUpdateStat(b *testing.B) {
	s := open(b, statistics.Params{})
	p, errs := compile(b, s, `
route[empty] { return(1); }
route[constant] { update_stat("calls", 1); return(1); }
route[variable] { update_stat("$param(1)", 1); return(1); }`, slog.New(slog.DiscardHandler))
	if errs != nil {
		b.Fatal(errs)
	}
	args := []value.Value{value.String("calls")}
	for _, name := range []string{"empty", "constant", "variable"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.RunRoute(b.Context(), name, args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("Update", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.Update("calls", 1); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Update/all", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := s.Update("calls", 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
