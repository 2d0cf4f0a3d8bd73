package test_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/internal/daemon/daemontest"
)

// What a script counts and limits, as the script and MI see it.
func TestScriptCounts(t *testing.T) {
	d := daemontest.Start(t, `
loadmodule "statistics.so"
loadmodule "ratelimit.so"
modparam("statistics", "stat_groups", "limited, passed")
modparam("statistics", "variable", "runs/no_reset")
modparam("ratelimit", "timer_interval", 86400)
modparam("ratelimit", "limit_per_interval", 1)
modparam("ratelimit", "hash_size", 512)

route[call] {
	update_stat("runs", 1);
	if (rl_check("from_$param(1)", 2)) {
		update_stat("passed:$param(1)", 1);
	} else {
		update_stat("limited:$param(1)", 1);
	}
	update_stat("balance", -2);
	xlog("L_ERR", "runs $stat(runs) balance $stat(dynamic:balance) raised $stat(evi:raised) none $stat(none)\n");
}`)
	for range 3 {
		d.RunRoute("call", "alice")
	}
	d.RunRoute("call", "bob")
	d.Logged(`msg="runs 4 balance -8 raised 0 none <null>"`)
	expect := func(command string, params any, want string) {
		t.Helper()
		if got := string(d.Call(command, params)); got != want {
			t.Errorf("%s %v: %s, want %s", command, params, got, want)
		}
	}
	names := []any{[]string{"script:", "dynamic:", "limited:", "passed:"}}
	expect("get_statistics", names,
		`{"script:runs":4,"dynamic:balance":-8,"limited:alice":1,"passed:alice":2,"passed:bob":1}`)
	expect("reset_statistics", names, `"OK"`)
	expect("get_statistics", names,
		`{"script:runs":4,"dynamic:balance":0,"limited:alice":0,"passed:alice":0,"passed:bob":0}`)
	expect("rl_list", map[string]string{"pipe": "from_alice"},
		`{"Pipe":{"id":"from_alice","algorithm":"TAILDROP","limit":2,"counter":0},"drop_rate":0}`)
	expect("rl_reset_pipe", []string{"from_alice"}, `"OK"`)
	d.RunRoute("call", "alice")
	expect("get_statistics", []any{[]string{"alice"}}, `{"limited:alice":0,"passed:alice":1}`)
	if !strings.Contains(d.Log.String(), "hash_size") {
		t.Errorf("log without a warning of hash_size:\n%s", d.Log)
	}
}

// What the modules do not have, or cannot do, is said when the configuration is read.
func TestCountingErrors(t *testing.T) {
	for config, want := range map[string]string{
		`modparam("ratelimit", "default_algorithm", "RED")`:  "algorithm RED is not supported: expected TAILDROP or SBT",
		`modparam("ratelimit", "slot_period", 300)`:          "module ratelimit: window_size of 10s is no multiple of the slot_period of 300ms",
		`modparam("statistics", "stat_series_profile", "x")`: `module statistics has no parameter "stat_series_profile"`,
		`modparam("statistics", "stat_groups", "queue")`:     `module statistics: add group "queue": evid has statistics of its own there`,
		`route[r] { stat_iter_init("a", "i"); }`:             "function stat_iter_init is not supported: of module statistics evid has",
		`route[r] { update_stat("evi:raised", 1); }`:         `there is no group "evi" for statistics of the script`,
		`route[r] { rl_check("p", 5, "NETWORK"); }`:          "algorithm NETWORK is not supported",
	} {
		report := daemon.Check(daemon.Options{
			Config: daemontest.Config + "loadmodule \"statistics.so\"\nloadmodule \"ratelimit.so\"\n" + config, Stderr: io.Discard,
		})
		if got := fmt.Sprint(report.Err); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", config, got, want)
		}
	}
}
