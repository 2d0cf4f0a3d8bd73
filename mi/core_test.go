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
		return []mi.Statistic{{"raised", raised, true}, {"waiting", 4, false}}
	})
	statistics.Add("evi", func() []mi.Statistic { return []mi.Statistic{{"subscribers", 2, false}} })
	statistics.Add("core", func() []mi.Statistic { return []mi.Statistic{{"fwd", 1 << 63, true}} })
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
