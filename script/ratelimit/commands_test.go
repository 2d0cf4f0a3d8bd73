package ratelimit_test

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/evid/evid/mi"
	"github.com/evid/evid/script/ratelimit"
)

func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, nil)
		table, err := mi.NewTable(l.Commands()...)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(method, param, text, want string) {
			t.Helper()
			var params mi.Value
			if param != "" {
				params = mi.Value{Kind: mi.Object, Items: []mi.Value{{Kind: mi.String, Name: param, Text: text}}}
			}
			result, err := table.Call(t.Context(), method, params)
			if e, failed := errors.AsType[*mi.Error](err); failed {
				result = e
			}
			if got, err := json.Marshal(result); err != nil || string(got) != want {
				t.Errorf("%s %s %s: %s, %v\nwant %s", method, param, text, got, err, want)
			}
		}
		expect("rl_list", "", "", `{"Pipes":[],"drop_rate":0}`)
		passes(t, l, 7, "gw_a", 5, ratelimit.TailDrop)
		passes(t, l, 3, "gw/b", 9, ratelimit.SBT)
		time.Sleep(10 * time.Second)
		passes(t, l, 2, "gw/b", 9, ratelimit.SBT)
		const a = `{"id":"gw_a","algorithm":"TAILDROP","limit":5,"counter":7}`
		const b = `{"id":"gw/b","algorithm":"SBT","limit":9,"counter":2}`
		expect("ratelimit:list", "", "", `{"Pipes":[`+b+`,`+a+`],"drop_rate":0}`)
		expect("rl_list", "pipe", "gw_a", `{"Pipe":`+a+`,"drop_rate":0}`)
		expect("rl_list", "pipe", "gw_b", `{"code":404,"message":"Pipe Not Found","data":"there is no pipe \"gw_b\": rl_list lists them"}`)
		expect("rl_list", "filter", "gw*", `{"Pipes":[`+b+`,`+a+`],"drop_rate":0}`)
		expect("rl_list", "filter", "gw[!_]?", `{"Pipes":[`+b+`],"drop_rate":0}`)
		expect("rl_list", "filter_out", "*/*", `{"Pipes":[`+a+`],"drop_rate":0}`)
		expect("rl_list", "filter", "x", `{"Pipes":[],"drop_rate":0}`)
		expect("rl_list", "filter", "[", `{"code":400,"message":"Bad parameter value","data":"filter \"[\": syntax error in pattern"}`)
		expect("rl_reset_pipe", "pipe", "gw/b", `"OK"`)
		expect("rl_list", "pipe", "gw/b", `{"Pipe":{"id":"gw/b","algorithm":"SBT","limit":9,"counter":0},"drop_rate":0}`)
		expect("ratelimit:reset_pipe", "pipe", "x", `{"code":500,"message":"Internal error","data":"there is no pipe \"x\": rl_list lists them"}`)
	})
}
