package ratelimit_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid/modparam"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/ratelimit"
	"github.com/evid/evid/script/value"
)

func compile(tb testing.TB, l *ratelimit.Limiter, text string, log *slog.Logger) (*program.Program, script.Errors) {
	tb.Helper()
	file, err := script.Parse("evid.cfg", []byte(text), nil)
	if err != nil {
		tb.Fatal(err)
	}
	p, _, errs := program.Compile(file, program.Options{
		Library: program.Library{Functions: l.Functions(), Variables: l.Variables()},
		Loaded:  []string{"ratelimit"}, Log: log, MaxWhileLoops: 100,
	})
	return p, errs
}

func run(tb testing.TB, p *program.Program, route string, args ...string) int64 {
	tb.Helper()
	values := make([]value.Value, len(args))
	for i, arg := range args {
		values[i] = value.String(arg)
	}
	result, err := p.RunRoute(tb.Context(), route, values)
	if err != nil {
		tb.Fatal(err)
	}
	return result
}

func TestFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, func(p *ratelimit.Params) { p.LimitPerInterval = true })
		p, errs := compile(t, l, `
route[constant] { if (rl_check("all/b", 2)) return(1); return(-1); }
route[variable] {
	$var(limit) = 1;
	if (rl_check("gw_$param(1)/rb", $var(limit), "$param(2)")) return(1);
	return(-1);
}
route[good] {
	if (!rl_check("good", "1", "sbt")) { rl_dec_count("good/r"); return(-1); }
	return(1);
}
route[reset] { if (rl_reset_count("$param(1)")) return(1); return(-1); }
route[count] { if ($rl_count(all) == NULL) return(-5); return($rl_count(all)); }
route[names] {
	rl_values($avp(all));
	rl_values($avp(gateways), "^GW_");
	if ($(avp(all)[*]) == "all, good, gw_a" && $avp(gateways) == "gw_a") return(1);
	return(-1);
}`, slog.New(slog.DiscardHandler))
		if errs != nil {
			t.Fatal(errs)
		}
		for i, step := range []struct {
			call string
			want int64
		}{
			{"count", -5},
			{"constant", 1},
			{"constant", 1},
			{"constant", -1},
			{"count", 3},
			{"variable a SBT", 1},
			{"variable a SBT", -1},
			{"variable a taildrop", -1},
			{"reset gw_a", 1},
			{"variable a SBT", 1},
			{"reset gw_b", -1},
			{"good", 1},
			{"good", -1},
			{"good", -1},
			{"names", 1},
		} {
			words := strings.Fields(step.call)
			if got := run(t, p, words[0], words[1:]...); got != step.want {
				t.Errorf("step %d, %s: %d, want %d", i, step.call, got, step.want)
			}
		}
		time.Sleep(10 * time.Second)
		for _, route := range []string{"constant", "good"} { // those of good that did not pass were taken back
			if got := run(t, p, route); got != 1 {
				t.Errorf("%s in the next interval: %d", route, got)
			}
		}
		if p, _ := l.Pipe("good"); p.Algorithm != ratelimit.SBT || p.Limit != 1 || p.Counter != 1 {
			t.Errorf("pipe good: %+v", p)
		}
	})
}

func TestScriptErrors(t *testing.T) {
	l := open(t, nil)
	for text, want := range map[string]string{
		`rl_check("p", 5, "RED");`:      "algorithm RED is not supported: expected TAILDROP or SBT",
		`rl_check("p", 5, "feedback");`: "algorithm feedback is not supported: expected TAILDROP or SBT",
		`rl_check("p", 5, "BEST");`:     `unknown algorithm "BEST": expected TAILDROP or SBT`,
		`rl_check("p", -5);`:            "expected a limit of 0 to 2147483647, got -5",
		`rl_check("p", "-5");`:          "expected a limit of 0 to 2147483647, got -5",
		`rl_check("p", "five");`:        "expected an integer",
		`rl_check("", 5);`:              "the name of the pipe is empty",
		`rl_check("p");`:                "rl_check needs its argument limit",
		`rl_values($avp(x), "(");`:      "rl_values",
		`rl_values("x");`:               "a variable that can be assigned to",
	} {
		_, errs := compile(t, l, "route[r] { "+text+" }", slog.New(slog.DiscardHandler))
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%s: %v, want %s", text, errs, want)
		}
	}
	var log bytes.Buffer
	p, errs := compile(t, l, `
route[check] { if (rl_check("p", $param(1), "$param(2)")) return(1); return(-1); }
route[dec] { if (rl_dec_count("nobody")) return(1); return(-1); }`, slog.New(slog.NewTextHandler(&log, nil)))
	if errs != nil {
		t.Fatal(errs)
	}
	for _, args := range [][]string{{"5", "RED"}, {"-5", "SBT"}, {"x", "SBT"}} {
		if got := run(t, p, "check", args...); got != -1 {
			t.Errorf("%v: %d", args, got)
		}
	}
	if got := run(t, p, "dec"); got != -1 {
		t.Errorf("dec: %d", got)
	}
	for _, want := range []string{
		"rl_check: algorithm RED is not supported", "rl_check: expected a limit of 0 to 2147483647, got -5",
		"rl_check: limit: expected an integer", `rl_dec_count: there is no pipe \"nobody\"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log has no %s:\n%s", want, &log)
		}
	}
}

func TestParams(t *testing.T) {
	p := ratelimit.DefaultParams()
	params := p.Modparams()
	for _, test := range []struct{ name, text, want string }{
		{"default_algorithm", "RED", "default_algorithm: algorithm RED is not supported: expected TAILDROP or SBT"},
		{"default_algorithm", "", `default_algorithm: unknown algorithm "": expected TAILDROP or SBT`},
		{"timer_interval", "0", `timer_interval: expected an integer from 1 to 86400, got "0"`},
	} {
		if err := modparam.Assign(params, test.name, test.text, modparam.Either); err == nil || err.Error() != test.want {
			t.Errorf("%s %q: %v, want %s", test.name, test.text, err, test.want)
		}
	}
	if err := modparam.Assign(params, "default_algorithm", "sbt", modparam.Text); err != nil || p.DefaultAlgorithm != ratelimit.SBT {
		t.Errorf("%v, %v", p.DefaultAlgorithm, err)
	}
}
