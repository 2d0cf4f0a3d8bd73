package cachedb_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid/script"
	"github.com/evid/evid/script/cachedb"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
)

// compile compiles a script that can use the functions of module cachedb_local.
func compile(t *testing.T, text string) (*program.Program, script.Errors) {
	t.Helper()
	params := cachedb.DefaultParams()
	params.Collections = []string{"limits"}
	file, err := script.Parse("evid.cfg", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, _, errs := program.Compile(file, program.Options{
		Library:       program.Library{Functions: open(t, params).Functions()},
		Loaded:        []string{"cachedb_local"},
		Log:           slog.New(slog.DiscardHandler),
		MaxWhileLoops: 100,
	})
	return p, errs
}

// A script lets two calls a minute through for each address.
func TestScriptOfRateLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, errs := compile(t, `
route[call] {
	if (!cache_add("local:limits", "calls_$param(1)", 1, 60, $var(calls)))
		return(-3);
	if ($var(calls) > 2) {
		cache_sub("local:limits", "calls_$param(1)", 1, 60);
		return(-1);
	}
	return(1);
}`)
		if errs != nil {
			t.Fatal(errs)
		}
		call := func(address string, want int64) {
			t.Helper()
			got, err := p.RunRoute(t.Context(), "call", []value.Value{value.String(address)})
			if got != want || err != nil {
				t.Errorf("call of %s: %d, %v, want %d", address, got, err, want)
			}
		}
		for range 3 {
			call("198.51.100.1", 1)
			call("198.51.100.1", 1)
			call("198.51.100.1", -1)
			call("198.51.100.1", -1)
			call("198.51.100.2", 1)
			time.Sleep(time.Minute)
		}
	})
}

// Each route returns 1 if all is as in OpenSIPS.
func TestScripts(t *testing.T) {
	for name, body := range map[string]string{
		"store and fetch": `
			cache_store("local", "k", "five");
			if (cache_fetch("local", "k", $var(v)) && $var(v) == "five")
				return(1);
			return(-9);`,
		"collections are apart": `
			cache_store("local", "k", "five");
			if (cache_fetch("local:limits", "k", $var(v)))
				return(-1);
			return(1);`,
		"a counter is fetched as a string or an integer": `
			cache_store("local", "k", "5");
			cache_sub("local", "k", 7, 0);
			cache_fetch("local", "k", $var(text));
			cache_counter_fetch("local", "k", $var(n));
			if ($var(text) == "-2" && $var(n) == -2)
				return(1);
			return(-9);`,
		"without the key": `
			$var(v) = "before";
			cache_fetch("local", "k", $var(v));
			if ($rc != -2)
				return(-1);
			cache_counter_fetch("local", "k", $var(v));
			if ($rc == -2 && $var(v) == "before")
				return(1);
			return(-9);`,
		"remove": `
			cache_store("local", "k", "five", 60);
			if (!cache_remove("local", "k") || !cache_remove("local", "k"))
				return(-1);
			if (cache_fetch("local", "k", $var(v)))
				return(-2);
			return(1);`,
		"what goes wrong is false": `
			cache_store("local", "k", "five");
			if (cache_add("local", "k", 1, 0) || cache_store("local", "", "x") || cache_store("local", "k", "x", -1))
				return(-1);
			return(1);`,
		"arguments can be variables": `
			$avp(key) = "k"; $var(n) = 3; $var(expire) = "60";
			cache_add("local", $avp(key), $var(n), $var(expire), $avp(sum));
			if ($avp(sum) == 3)
				return(1);
			return(-9);`,
	} {
		t.Run(name, func(t *testing.T) {
			p, errs := compile(t, "route[test] {"+body+"\n}")
			if errs != nil {
				t.Fatal(errs)
			}
			if got, err := p.RunRoute(t.Context(), "test", nil); got != 1 || err != nil {
				t.Errorf("%d, %v, want 1", got, err)
			}
		})
	}
}

// A storage that there is not is an error of the script.
func TestScriptWithUnknownStorage(t *testing.T) {
	_, errs := compile(t, `route[test] { cache_store("redis:a", "k", "x"); }`)
	const want = `there is no storage "redis:a": known are local, local:default, local:limits`
	if len(errs) != 1 || !strings.Contains(errs[0].Msg, want) {
		t.Errorf("errors %v, want %s", errs, want)
	}
}
