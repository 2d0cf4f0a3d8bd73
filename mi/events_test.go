package mi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
	"github.com/evid/evid/mi"
	"github.com/evid/evid/mi/internal/mitest"
)

func newEvents(t *testing.T, autoRegister bool) (*mi.Table, *evid.Interface, *mitest.Keeper) {
	t.Helper()
	iface, keeper := mitest.New(autoRegister)
	if err := iface.Register("E_TEST"); err != nil {
		t.Fatal(err)
	}
	table, err := mi.NewTable(mi.EventCommands(iface, keeper)...)
	if err != nil {
		t.Fatal(err)
	}
	return table, iface, keeper
}

func TestRaiseParams(t *testing.T) {
	table, _, keeper := newEvents(t, false)
	if got := call(t, table, "event_subscribe", `["E_TEST","udp:h:1"]`); got != `"OK"` {
		t.Fatal(got)
	}
	for _, test := range []struct {
		params string
		want   []evid.Param
	}{
		{`[]`, nil},
		{`{}`, nil},
		{`"{}"`, nil},
		{`["a",2,-1.50,""]`, []evid.Param{evid.String("", "a"), evid.String("", "2"), evid.String("", "-1.50"), evid.String("", "")}},
		{`{"b":"x","a":"y","b":3}`, []evid.Param{evid.String("b", "x"), evid.String("a", "y"), evid.Int("b", 3)}},
		{`{"i":-5,"max":9223372036854775807,"min":-9223372036854775808}`, []evid.Param{evid.Int("i", -5), evid.Int("max", 9223372036854775807), evid.Int("min", -9223372036854775808)}},
		{`{"big":9223372036854775808,"f":1.5,"e":1e3,"z":1.0}`, []evid.Param{evid.String("big", "9223372036854775808"), evid.String("f", "1.5"), evid.String("e", "1e3"), evid.String("z", "1.0")}},
		{`"{\"s\":\"v\",\"n\":7} trailing"`, []evid.Param{evid.String("s", "v"), evid.Int("n", 7)}},
		{`{"":"unnamed"}`, []evid.Param{evid.String("", "unnamed")}},
		{"[\"two\nlines\", \"\xff\", \"\\u0000\"]", []evid.Param{evid.String("", "two\nlines"), evid.String("", "\xff"), evid.String("", "\x00")}},
	} {
		if got := call(t, table, "raise_event", `{"event":"E_TEST","params":`+test.params+`}`); got != `"OK"` {
			t.Errorf("%s: got %s", test.params, got)
			continue
		}
		if diff := cmp.Diff(test.want, keeper.Last(), cmp.Transformer("empty", emptyToNil)); diff != "" {
			t.Errorf("%s:\n%s", test.params, diff)
		}
	}
}

func emptyToNil(params []evid.Param) map[string]string {
	got := make(map[string]string)
	for i, p := range params {
		got[fmt.Sprint(i)] = fmt.Sprintf("%q=%q,%d,%d", p.Name, p.Str, p.Int, p.Kind)
	}
	return got
}

func TestErrors(t *testing.T) {
	table, _, _ := newEvents(t, false)
	if got := call(t, table, "event_subscribe", `["E_TEST","udp:h:1"]`); got != `"OK"` {
		t.Fatal(got)
	}
	for _, test := range []struct {
		method, params string
		code           int
		message, data  string
	}{
		{"raise_event", `["E_TSET"]`, 404, "Event not registered", `did you mean "E_TEST"?`},
		{"raise_event", `[null]`, -32602, "Invalid params", "Bad type for parameter 'event'"},
		{"raise_event", `["E_TEST",true]`, 400, "No Params", "params is a boolean"},
		{"raise_event", `["E_TEST",{"t":true}]`, 400, "Bad Params", `parameter "t" is a boolean`},
		{"raise_event", `["E_TEST",{"a":1,"n":null}]`, 400, "Bad Params", `parameter "n" is null`},
		{"raise_event", `["E_TEST",{"o":{}}]`, 400, "Bad Params", `parameter "o" is an object`},
		{"raise_event", `["E_TEST",{"l":[]}]`, 400, "Bad Params", `parameter "l" is an array`},
		{"raise_event", `["E_TEST",["a",[]]]`, 400, "Bad Params", "parameter 2 is an array"},
		{"raise_event", `["E_TEST",""]`, 400, "Bad Params", "no JSON object"},
		{"raise_event", `["E_TEST",["` + strings.Repeat("x", 513<<10) + `"]]`, 400, "Bad Params", "512 KiB"},
		{"event_subscribe", `["E_TSET","udp:h:1"]`, 400, "Bad parameter value", `did you mean "E_TEST"?`},
		{"event_subscribe", `["E_TEST","udp:h:1","1x"]`, -32602, "Invalid params", "Bad type for parameter 'expire'"},
		{"event_subscribe", `["E_TEST","udp:h:1",0.5]`, -32602, "Invalid params", "Expire value below a second: expected 0 or more than that"},
		{"event_subscribe", `["E_TEST","udp:h:1",-0.5e9]`, -32602, "Invalid params", "Negative expire value"},
		{"event_subscribe", `["","udp:h:1"]`, -32602, "Invalid params", "Bad type for parameter 'event'"},
		{"event_subscribe", `["E_TEST",{}]`, -32602, "Invalid params", "Bad type for parameter 'socket'"},
		{"event_subscribe", `["E_TEST","udp:h:x",0]`, 400, "Bad parameter value", "expected a port"},
		{"event_unsubscribe", `["E_TEST","nope:h:1"]`, 400, "Bad parameter value", "expected a socket that starts with udp:"},
		{"event_unsubscribe", `["E_X","udp:h:1"]`, 400, "Bad parameter value", "events_list"},
		{"event_register", `["E X"]`, 400, "Bad parameter value", "expected a name"},
		{"event_register", `[""]`, -32602, "Invalid params", "'event'"},
		{"subscribers_list", `["E_TSET"]`, 404, "Event not published", `did you mean "E_TEST"?`},
		{"subscribers_list", `[false]`, -32602, "Invalid params", "'event'"},
		{"subscribers_list", `[true]`, -32602, "Invalid params", "'event'"},
		{"subscribers_list", `{"verbose":2}`, -32602, "Invalid params", "'verbose': expected 0 or 1"},
		{"subscribers_list", `["E_TEST","udp:h:1","yes"]`, -32602, "Invalid params", "Bad type for parameter 'verbose'"},
		{"subscribers_list", `{"event":"E_TEST","verbos":1}`, -32602, "Invalid params", "Named parameters do not match"},
		{"subscribers_list", `{"event":"E_TSET","verbose":1}`, 404, "Event not published", `did you mean "E_TEST"?`},
		{"subscribers_list", `["E_TEST",[]]`, -32602, "Invalid params", "'socket'"},
		{"subscribers_list", `["E_TEST","junk"]`, 404, "Subscriber does not exist", "unknown transport"},
		{"subscribers_list", `["E_TEST","udp:h:2"]`, 404, "Subscriber does not exist", "udp:h:2 is not subscribed to E_TEST"},
	} {
		got := serve(t, table, test.method, test.params).Error
		if got == nil || got.Code != test.code || got.Message != test.message || !strings.Contains(fmt.Sprint(got.Data), test.data) {
			t.Errorf("%s %.80s: got %v", test.method, test.params, got)
		}
	}
}

func TestRaiseThatTheKeeperRefuses(t *testing.T) {
	table, _, keeper := newEvents(t, false)
	if got := call(t, table, "event_subscribe", `["E_TEST","udp:h:1"]`); got != `"OK"` {
		t.Fatal(got)
	}
	keeper.Err = errors.New("the queue is full")
	got := serve(t, table, "raise_event", `["E_TEST"]`).Error
	want := &mi.Error{Code: 500, Message: "Cannot Raise Event", Data: "the queue is full"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if want.Error() != "500 Cannot Raise Event: the queue is full" {
		t.Errorf("got %v", want)
	}
}

func TestAutoRegister(t *testing.T) {
	table, _, _ := newEvents(t, true)
	if got := call(t, table, "raise_event", `["E_NEW"]`); got != "480" {
		t.Errorf("raise: got %s", got)
	}
	if got := call(t, table, "raise_event", `["E NEW"]`); got != "404" {
		t.Errorf("raise of what can be no name: got %s", got)
	}
	if got := call(t, table, "events_list", `[]`); got != `{"Events":[{"name":"E_TEST","id":0},{"name":"E_NEW","id":1}]}` {
		t.Errorf("list: got %s", got)
	}
}

func TestSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, iface, _ := newEvents(t, false)
		defer iface.Close()
		expect := func(method, params, want string) {
			t.Helper()
			if got := call(t, table, method, params); got != want {
				t.Errorf("%s %s:\n got %s\nwant %s", method, params, got, want)
			}
		}
		expect("subscribers_list", `[]`, `{"Events":[]}`)
		expect("subscribers_list", `["E_TEST"]`, `{"Event":{}}`)
		expect("event_register", `{"event":"E_OTHER"}`, `"OK"`)
		expect("evi:subscribe", `{"socket":"udp:h:1","event":"E_TEST"}`, `"OK"`)
		expect("event_subscribe", `["E_TEST","udp:h:2",1.9]`, `"OK"`)
		expect("event_subscribe", `["E_TEST","udp:h:3","60"]`, `"OK"`)
		expect("event_subscribe", `["E_TEST","udp:h:4",4294967296]`, `"OK"`)
		if err := iface.Subscribe("E_OTHER", "udp:h:5", evid.Never); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond) // of the test's own clock
		list := `"Subscribers":[{"socket":"udp:h:4","expire":2147483647,"ttl":2147483646},` +
			`{"socket":"udp:h:3","expire":60,"ttl":59},{"socket":"udp:h:1","expire":3600,"ttl":3599}]`
		other := `{"name":"E_OTHER","id":1,"Subscribers":[{"socket":"udp:h:5","expire":"never"}]}`
		expect("subscribers_list", `{}`, `{"Events":[{"name":"E_TEST","id":0,`+list+`},`+other+`]}`)
		expect("evi:subscribers", `["E_TEST"]`, `{"Event":{"name":"E_TEST","id":0,`+list+`}}`)
		expect("subscribers_list", `["E_TEST","udp:h:3"]`,
			`{"Event":{"name":"E_TEST","id":0,"Subscriber":{"socket":"udp:h:3","expire":60,"ttl":59}}}`)

		expect("event_subscribe", `["E_TEST","udp:h:1",0]`, `"OK"`)
		expect("event_subscribe", `["E_TEST","udp:h:9",0]`, `"OK"`)
		expect("event_unsubscribe", `["E_TEST","udp:h:3"]`, `"OK"`)
		expect("evi:unsubscribe", `["E_TEST","udp:h:3"]`, `"OK"`)
		expect("event_unsubscribe", `["E_TEST","udp:h:4"]`, `"OK"`)
		expect("subscribers_list", `["E_TEST"]`, `{"Event":{}}`)
		expect("subscribers_list", `[]`, `{"Events":[`+other+`]}`)
		expect("event_subscribe", `["E_TEST","udp:h:1",1]`, `"OK"`)
		iface.Close()
		expect("event_subscribe", `["E_TEST","udp:h:1"]`, `-32000`)
	})
}

// With verbose each subscriber also tells how it is doing; without, none does.
func TestSubscribersVerbose(t *testing.T) {
	table, iface, keeper := newEvents(t, false)
	at := time.Date(2026, 11, 23, 23, 4, 5, 67_890_000, time.FixedZone("", 3600))
	keeper.Statuses = map[string]evid.Status{
		"udp:h:2": {
			State:       evid.Retrying,
			Counts:      evid.Counts{Accepted: 20, Delivered: 7, Dead: 2, Dropped: 1, Waiting: 10, Retried: 3},
			LastError:   `fault 42: "<no>"`,
			LastSuccess: at,
			NextAttempt: at.Add(1500 * time.Millisecond),
		},
		"udp:h:3": {State: evid.Down, LastError: "connection refused"},
	}
	for _, socket := range []string{"udp:h:1", "udp:h:2", "udp:h:3"} {
		if err := iface.Subscribe("E_TEST", socket, evid.Never); err != nil {
			t.Fatal(err)
		}
	}
	const (
		up   = `{"socket":"udp:h:1","expire":"never","state":"up","waiting":0,"delivered":0,"failed":0,"last_error":null,"last_success":null}`
		busy = `{"socket":"udp:h:2","expire":"never","state":"retrying","waiting":10,"delivered":7,"failed":5,` +
			`"last_error":"fault 42: \"<no>\"","last_success":"2026-11-23T22:04:05.067Z","next_attempt":"2026-11-23T22:04:06.567Z"}`
		down = `{"socket":"udp:h:3","expire":"never","state":"down","waiting":0,"delivered":0,"failed":0,` +
			`"last_error":"connection refused","last_success":null}`
		bare = `{"socket":"udp:h:3","expire":"never"}`
	)
	event := func(members string) string { return `{"name":"E_TEST","id":0,` + members + `}` }
	list := event(`"Subscribers":[` + down + "," + busy + "," + up + "]")
	for _, test := range []struct{ params, want string }{
		{`{"verbose":1}`, `{"Events":[` + list + "]}"},
		{`{"event":"E_TEST","verbose":"1"}`, `{"Event":` + list + "}"},
		{`{"verbose":1,"socket":"udp:h:2","event":"E_TEST"}`, `{"Event":` + event(`"Subscriber":`+busy) + "}"},
		{`["E_TEST","udp:h:3",1]`, `{"Event":` + event(`"Subscriber":`+down) + "}"},
		{`["E_TEST","udp:h:3",0]`, `{"Event":` + event(`"Subscriber":`+bare) + "}"},
		{`["E_TEST","udp:h:3"]`, `{"Event":` + event(`"Subscriber":`+bare) + "}"},
	} {
		if diff := cmp.Diff(test.want, call(t, table, "subscribers_list", test.params)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.params, diff)
		}
	}
	if err := keeper.CloseSub("E_TEST", "udp:h:3", evid.Unsubscribed); err != nil { // while it is listed
		t.Fatal(err)
	}
	if got := call(t, table, "subscribers_list", `["E_TEST","udp:h:3",1]`); got != `{"Event":`+event(`"Subscriber":`+bare)+"}" {
		t.Errorf("a subscriber that has just gone: got %s", got)
	}
}

func TestEventCommandsAreListed(t *testing.T) {
	table, _, _ := newEvents(t, false)
	var names []string
	if err := json.Unmarshal([]byte(call(t, table, "which", `{}`)), &names); err != nil {
		t.Fatal(err)
	}
	listed := strings.Join(names, " ")
	for _, name := range []string{
		"event_subscribe", "evi:subscribe", "events_list", "evi:list", "subscribers_list", "evi:subscribers",
		"raise_event", "evi:raise", "event_unsubscribe", "event_register", "which", "core:which",
	} {
		if !strings.Contains(listed, name) {
			t.Errorf("which does not list %s", name)
		}
	}
	for _, name := range names {
		if got := call(t, table, "help", `["`+name+`"]`); !strings.Contains(got, `"Exported by"`) {
			t.Errorf("help %s: got %s", name, got)
		}
	}
}
