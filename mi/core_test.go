package mi_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid/mi"
)

type level int

func (l *level) Level() int      { return int(*l) }
func (l *level) SetLevel(to int) { *l = level(to) }

func TestCore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which begins at midnight UTC 2000-01-01
		log := level(3)
		table, err := mi.NewTable(mi.CoreCommands(mi.Info{
			Version: "1.2.3", Revision: "abc123", Started: time.Now().UTC(), Args: []string{"evid", "run"}, LogLevel: &log,
		})...)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(13500 * time.Millisecond) // of the test's own clock
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		pid := strconv.Itoa(os.Getpid())
		for _, test := range []struct{ method, params, want string }{
			{"version", `[]`, `\{"Server":"OpenSIPS \(4\.1\.0 evid 1\.2\.3 \(\w+/\w+\)\)"\}`},
			{"core:version", `["x"]`, `\{"Server":"OpenSIPS \(4\.1\.0 .*\)","git":"abc123"\}`},
			{"uptime", `{}`, `\{"Now":"\w{3} \w{3} .\d \d\d:\d\d:13 \d{4}","Up since":"Sat Jan  1 00:00:00 2000","Up time":"13 \[sec\]"\}`},
			{"ps", `[]`, `\{"Processes":\[\{"ID":0,"PID":` + pid + `,"Type":"evid"\}\]\}`},
			{"pwd", `[]`, `\{"WD":"` + regexp.QuoteMeta(dir) + `"\}`},
			{"arg", `[]`, `\["evid","run"\]`},
			{"log_level", `[]`, `\{"Processes":\[\{"PID":` + pid + `,"Log level":3,"Type":"evid"\}\]\}`},
			{"log_level", `[4]`, `\{"New global log level":4\}`},
			{"log_level", `["-1",` + pid + `]`, `\{"Log level":-1\}`},
			{"log_level", `[5]`, `-32602`},
			{"log_level", `[2,-1]`, `-32602`},
			{"log_level", `["x"]`, `-32602`},
			{"log_level", `[2,"x"]`, `-32602`},
			{"log_level", `[]`, `.*"Log level":-1,.*`},
		} {
			if got := call(t, table, test.method, test.params); !regexp.MustCompile("^" + test.want + "$").MatchString(got) {
				t.Errorf("%s %s: got %s, want %s", test.method, test.params, got, test.want)
			}
		}
	})
}

func TestStatistics(t *testing.T) {
	var statistics mi.Statistics
	raised := uint64(10)
	statistics.Add("evi", func() []mi.Statistic {
		return []mi.Statistic{{Name: "raised", Value: raised, Incremental: true}, {Name: "waiting", Value: 4}}
	})
	statistics.Add("evi", func() []mi.Statistic { return []mi.Statistic{{Name: "subscribers", Value: 2}} })
	statistics.Add("core", func() []mi.Statistic { return []mi.Statistic{{Name: "fwd", Value: 1 << 63, Incremental: true}} })
	table, err := mi.NewTable(statistics.Commands()...)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(method, params, want string) {
		t.Helper()
		if got := call(t, table, method, params); got != want {
			t.Errorf("%s %s: got %s, want %s", method, params, got, want)
		}
	}
	all := `{"evi:raised":10,"evi:waiting":4,"evi:subscribers":2,"core:fwd":9223372036854775808}`
	expect("get_statistics", `[["all"]]`, all)
	expect("get_statistics", `[["evi:","core:","all","raised"]]`, all)
	expect("get_statistics", `[["core:","nope","tm:","raised","core:fwd"]]`, `{"core:fwd":9223372036854775808,"evi:raised":10}`)
	expect("statistics:get", `{"statistics":["nope"]}`, `{}`)
	expect("get_statistics", `[[5]]`, `{}`)
	expect("get_statistics", `["core:","evi:"]`, `-32602`)
	expect("get_statistics", `["all"]`, `-32602`)
	expect("get_statistics", `[[]]`, `-32602`)
	expect("get_statistics", `[[null]]`, `-32602`)
	expect("list_statistics", `[]`,
		`{"evi:raised":"incremental","evi:waiting":"non-incremental","evi:subscribers":"non-incremental","core:fwd":"incremental"}`)
	expect("list_statistics", `[["waiting"]]`, `{"evi:waiting":"non-incremental"}`)
	expect("list_statistics", `[3]`, `-32602`)

	expect("reset_statistics", `[["nope"]]`, `404`)
	expect("reset_statistics", `[[{}]]`, `-32602`)
	expect("reset_statistics", `[["raised","waiting","nope"]]`, `"OK"`)
	raised += 3
	expect("get_statistics", `[["evi:"]]`, `{"evi:raised":3,"evi:waiting":4,"evi:subscribers":2}`)
	expect("reset_statistics", `[["evi:"]]`, `"OK"`)
	expect("get_statistics", `[["raised"]]`, `{"evi:raised":0}`)
}

// A statistic that can be below 0, that resets itself, and that can be found without reading
// all.
func TestStatisticsOfScripts(t *testing.T) {
	var statistics mi.Statistics
	calls := int64(-3)
	statistics.Add("dynamic", func() []mi.Statistic {
		return []mi.Statistic{
			{Name: "calls", Value: uint64(calls), Signed: true, Incremental: true, Reset: func() { calls = 0 }},
			{Name: "kept", Value: 7, Signed: true, Reset: func() { t.Error("kept was reset") }},
		}
	})
	statistics.AddFinder(func(name string) (uint64, bool) { return 42, name == "found" })
	table, err := mi.NewTable(statistics.Commands()...)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := call(t, table, "get_statistics", `[["all"]]`), `{"dynamic:calls":-3,"dynamic:kept":7}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	call(t, table, "reset_statistics", `[["all"]]`)
	calls--
	if got, want := call(t, table, "get_statistics", `[["calls", "calls"]]`), `{"dynamic:calls":-1}`; got != want {
		t.Errorf("after the reset: got %s, want %s", got, want)
	}
	for name, want := range map[string]int64{"found": 42, "calls": -1, "dynamic:calls": -1} {
		if n, known := statistics.Statistic(name); !known || int64(n) != want {
			t.Errorf("%s: %d, %t, want %d", name, int64(n), known, want)
		}
	}
	if n, known := statistics.Statistic("nope"); known {
		t.Errorf("nope: %d", n)
	}
}

func TestProcessStatistics(t *testing.T) {
	var statistics mi.Statistics
	statistics.AddProcess(time.Now().Add(-time.Minute))
	table, err := mi.NewTable(statistics.Commands()...)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]uint64
	if err := json.Unmarshal([]byte(call(t, table, "get_statistics", `[["core:","shmem:"]]`)), &got); err != nil {
		t.Fatal(err)
	}
	if up := got["core:timestamp"]; up < 60 || up > 600 {
		t.Errorf("core:timestamp is %d", up)
	}
	used, total := got["shmem:real_used_size"], got["shmem:total_size"]
	if got["shmem:used_size"] == 0 || used < got["shmem:used_size"] || used+got["shmem:free_size"] != total {
		t.Errorf("the sizes do not add up: %v", got)
	}
	if most := got["shmem:max_used_size"]; most < used || most > total {
		t.Errorf("shmem:max_used_size is %d of %d", most, total)
	}
}
