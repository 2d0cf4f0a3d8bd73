package mi_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/mi"
	"github.com/evid/evid/mi/internal/mitest"
)

// newTable returns a table with two commands that show what arrived.
func newTable(t testing.TB) *mi.Table {
	t.Helper()
	table, err := mi.NewTable(
		mi.Command{
			Name: "echo", Alias: "test:echo", Help: "returns its parameters",
			Params: [][]string{{}, {"a"}, {"a", "b"}},
			Run: func(_ context.Context, a mi.Args) (any, error) {
				var got []string
				for _, name := range []string{"a", "b"} {
					if v, has := a.Value(name); has {
						got = append(got, name+"="+v.Text)
					}
				}
				return got, nil
			},
		},
		mi.Command{
			Name: "fail", Params: [][]string{{}, {"with"}},
			Run: func(_ context.Context, a mi.Args) (any, error) {
				if a.Has("with") {
					return func() {}, nil // cannot be encoded
				}
				return nil, errors.New("the <reason>")
			},
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestServeJSON(t *testing.T) {
	table := newTable(t)
	for _, test := range []struct{ name, request, reply string }{
		{"no params", `{"jsonrpc":"2.0","id":0,"method":"echo"}`, `{"jsonrpc":"2.0","result":null,"id":0}`},
		{"empty object", `{"jsonrpc":"2.0","id":"12345","method":"echo","params":{}}`, `{"jsonrpc":"2.0","result":null,"id":"12345"}`},
		{"empty array", `{"jsonrpc":"2.0","id":"","method":"echo","params":[]}`, `{"jsonrpc":"2.0","result":null,"id":""}`},
		{"by position", `{"jsonrpc":"2.0","id":1,"method":"echo","params":["x",2]}`, `{"jsonrpc":"2.0","result":["a=x","b=2"],"id":1}`},
		{"by name", `{"jsonrpc":"2.0","id":1,"method":"echo","params":{"b":2.50,"a":"x"}}`, `{"jsonrpc":"2.0","result":["a=x","b=2.50"],"id":1}`},
		{"other name of the command", `{"jsonrpc":"2.0","id":1,"method":"test:echo","params":[1]}`, `{"jsonrpc":"2.0","result":["a=1"],"id":1}`},
		{"wrong name", `{"jsonrpc":"2.0","id":1,"method":"echo","params":{"A":1}}`, `{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params","data":"Named parameters do not match"},"id":1}`},
		{"a name twice", `{"jsonrpc":"2.0","id":1,"method":"echo","params":{"a":1,"a":2}}`, `{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params","data":"Named parameters do not match"},"id":1}`},
		{"too many", `{"jsonrpc":"2.0","id":1,"method":"echo","params":[1,2,3]}`, `{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params","data":"Too few or too many parameters"},"id":1}`},
		{"mistyped command", `{"jsonrpc":"2.0","id":1,"method":"ehco"}`, `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found","data":"unknown command \"ehco\": did you mean \"echo\"?"},"id":1}`},
		{"failure", `{"jsonrpc":"2.0","id":1,"method":"fail"}`, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"Server error","data":"the <reason>"},"id":1}`},
		{"result without JSON", `{"jsonrpc":"2.0","id":1,"method":"fail","params":[1]}`, `{"jsonrpc":"2.0","error":{"code":-32000,"message":"Server error","data":"encode the result of fail: json: unsupported type: func()"},"id":1}`},
		{"id with fraction", `{"jsonrpc":"2.0","id":1.50,"method":"echo"}`, `{"jsonrpc":"2.0","result":null,"id":1.50}`},
		{"big id", `{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"echo"}`, `{"jsonrpc":"2.0","result":null,"id":123456789012345678901234567890}`},
		{"id with markup", `{"jsonrpc":"2.0","id":"<\u00fc\n>","method":"echo"}`, `{"jsonrpc":"2.0","result":null,"id":"<ü\n>"}`},
		{"null id", `{"jsonrpc":"2.0","id":null,"method":"echo"}`, `{"jsonrpc":"2.0","result":null,"id":null}`},
		{"letter case of members", `{"JSONRPC":"2.0","Id":7,"METHOD":"echo","Params":["x"]}`, `{"jsonrpc":"2.0","result":["a=x"],"id":7}`},
		{"trailing text", `{"jsonrpc":"2.0","id":7,"method":"echo"}{"jsonrpc":`, `{"jsonrpc":"2.0","result":null,"id":7}`},
		{"notification", `{"jsonrpc":"2.0","method":"echo"}`, ""},
		{"notification that fails", `{"jsonrpc":"2.0","method":"nope"}`, ""},
		{"invalid without id", `{"method":"echo"}`, `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected the member \"jsonrpc\":\"2.0\""},"id":null}`},
		{"nothing", ``, `{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error","data":"at byte 1: expected a JSON value, got the end"},"id":null}`},
		{
			"batch", `[{"jsonrpc":"2.0","id":1,"method":"echo"},{"jsonrpc":"2.0","method":"echo"},5,{"jsonrpc":"2.0","id":"b","method":"echo","params":["x"]}]`,
			`[{"jsonrpc":"2.0","result":null,"id":1},{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected a request, which is an object, got a number"},"id":null},{"jsonrpc":"2.0","result":["a=x"],"id":"b"}]`,
		},
		{"batch of one", `[{"jsonrpc":"2.0","id":1,"method":"echo"}]`, `[{"jsonrpc":"2.0","result":null,"id":1}]`},
		{"batch of notifications", `[{"jsonrpc":"2.0","method":"echo"},{"jsonrpc":"2.0","method":"nope"}]`, ""},
		{"batch in a batch", `[[]]`, `[{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected a request, which is an object, got an array"},"id":null}]`},
		{"batch too long", "[0" + strings.Repeat(",0", 1000) + "]", `{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request","data":"expected at most 1000 requests in the batch, got 1001"},"id":null}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			reply := table.ServeJSON(t.Context(), []byte(test.request))
			if diff := cmp.Diff(test.reply, string(reply)); diff != "" {
				t.Error(diff)
			}
			if reply != nil && !json.Valid(reply) {
				t.Error("the reply is no JSON")
			}
		})
	}
}

// TestBatchReplyLimit asks for more than the replies of a batch may be.
func TestBatchReplyLimit(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	calls := 0
	table, err := mi.NewTable(mi.Command{Name: "large", Params: [][]string{{}}, Run: func(context.Context, mi.Args) (any, error) {
		calls++
		return large, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	batch := "[" + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"large"},`, 29) + `{"jsonrpc":"2.0","id":2,"method":"large"}]`
	var replies []struct {
		Result string
		Error  *mi.Error
		ID     int
	}
	if err := json.Unmarshal(table.ServeJSON(t.Context(), []byte(batch)), &replies); err != nil {
		t.Fatal(err)
	}
	if len(replies) != 30 || calls != 4 {
		t.Fatalf("got %d replies to %d calls", len(replies), calls)
	}
	if replies[0].Result != large || replies[3].Result != large || replies[4].Error == nil {
		t.Error("a reply within the limit is missing, or there is one behind it")
	}
	if last := replies[29]; last.ID != 2 || last.Error == nil || last.Error.Code != mi.CodeServerError {
		t.Errorf("beyond the limit: got %+v", last)
	}
}

// A batch ends where its client has gone.
func TestBatchClientIsGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	table, err := mi.NewTable(mi.Command{Name: "leave", Params: [][]string{{}}, Run: func(context.Context, mi.Args) (any, error) {
		if calls++; calls == 2 {
			cancel()
		}
		return "OK", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	one := `{"jsonrpc":"2.0","id":1,"method":"leave"}`
	table.ServeJSON(ctx, []byte("["+one+","+one+","+one+"]"))
	if calls != 2 {
		t.Errorf("%d calls, want 2", calls)
	}
}

func TestNamesAreUnique(t *testing.T) {
	for _, taken := range []mi.Command{{Name: "which"}, {Name: "x", Alias: "core:help"}} {
		if _, err := mi.NewTable(taken); err == nil || !strings.Contains(err.Error(), "taken") {
			t.Errorf("%+v: got %v", taken, err)
		}
	}
}

// Lists of parameters that are equally long are told apart by name; by position a
// call has those of the first.
func TestEquallyLongParams(t *testing.T) {
	table, err := mi.NewTable(mi.Command{
		Name: "choose", Params: [][]string{{"a"}, {"b"}, {"a", "b"}, {"c", "b"}},
		Run: func(_ context.Context, a mi.Args) (any, error) {
			got := ""
			for _, name := range []string{"a", "b", "c"} {
				if v, has := a.Value(name); has {
					got += name + "=" + v.Text + " "
				}
			}
			return got, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ params, want string }{
		{`[1]`, `"a=1 "`},
		{`{"a":1}`, `"a=1 "`},
		{`{"b":1}`, `"b=1 "`},
		{`[1,2]`, `"a=1 b=2 "`},
		{`{"b":1,"c":2}`, `"b=1 c=2 "`},
		{`{"b":1,"a":2}`, `"a=2 b=1 "`},
	} {
		if got := call(t, table, "choose", test.params); got != test.want {
			t.Errorf("%s: got %s, want %s", test.params, got, test.want)
		}
	}
	for params, want := range map[string]string{
		`{"d":1}`:       "Named parameters do not match",
		`{"a":1,"c":2}`: "Named parameters do not match",
		`{"a":1,"a":2}`: "Named parameters do not match",
		`[]`:            "Too few or too many parameters",
		`[1,2,3]`:       "Too few or too many parameters",
	} {
		if got := serve(t, table, "choose", params).Error; got == nil || got.Code != mi.CodeInvalidParams || got.Data != want {
			t.Errorf("%s: got %v, want %s", params, got, want)
		}
	}
}

func TestWhichAndHelp(t *testing.T) {
	table := newTable(t)
	for _, test := range []struct{ method, params, result string }{
		{"which", `[]`, `["which","core:which","help","core:help","echo","test:echo","fail"]`},
		{"core:which", `["test:"]`, `["test:echo"]`},
		{"which", `["echo"]`, `[[],["a"],["a","b"]]`},
		{"which", `["test:echo"]`, `[[],["a"],["a","b"]]`},
		{"which", `["nope:"]`, `404`},
		{"which", `[null]`, `-32602`},
		{"help", `["test:echo"]`, `{"Help":"returns its parameters","Exported by":"test"}`},
		{"help", `["fail"]`, `{"Help":""}`},
		{"help", `["nope"]`, `404`},
		{"help", `[{}]`, `-32602`},
	} {
		if got := call(t, table, test.method, test.params); got != test.result {
			t.Errorf("%s %s: got %s, want %s", test.method, test.params, got, test.result)
		}
	}
}

// call returns the result as JSON, or the code of the error.
func call(t testing.TB, table *mi.Table, method, params string) string {
	t.Helper()
	reply := serve(t, table, method, params)
	if reply.Error != nil {
		return strconv.Itoa(reply.Error.Code)
	}
	return string(reply.Result)
}

type reply struct {
	Result json.RawMessage
	Error  *mi.Error
}

func serve(t testing.TB, table *mi.Table, method, params string) reply {
	t.Helper()
	var r reply
	raw := table.ServeJSON(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`))
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return r
}

func FuzzServeJSON(f *testing.F) {
	iface, keeper := mitest.New(true)
	table := newTable(f)
	if err := table.Add(mi.EventCommands(iface, keeper)...); err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"echo","params":["\ud83d\ude00\ud83d\u0041\\"]}`,
		`[{"jsonrpc":"2.0","id":-1.5e+7,"method":"echo"},{}]`,
		`{"jsonrpc":"2.0","id":1,"method":"raise_event","params":{"event":"E","params":{"a":1,"b":1.5,"c":"<"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"event_subscribe","params":["E","udp:h:1","60"]}`,
		"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\x01\n\",\"method\":\"echo\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		reply := table.ServeJSON(t.Context(), request)
		if reply != nil && (!json.Valid(reply) || strings.Contains(string(reply), "\n")) {
			t.Errorf("%q: the reply is no JSON in one line: %q", request, reply)
		}
	})
}

func BenchmarkServeRaise(b *testing.B) {
	iface, keeper := mitest.New(false)
	if err := iface.Register("E_TEST"); err != nil {
		b.Fatal(err)
	}
	table, err := mi.NewTable(mi.EventCommands(iface, keeper)...)
	if err != nil {
		b.Fatal(err)
	}
	if got := call(b, table, "event_subscribe", `["E_TEST","udp:h:1"]`); got != `"OK"` {
		b.Fatal(got)
	}
	request := []byte(`{"jsonrpc":"2.0","id":1,"method":"raise_event","params":{"event":"E_TEST","params":{"ip":"192.168.2.11","hits":5}}}`)
	b.ReportAllocs()
	for b.Loop() {
		if reply := table.ServeJSON(b.Context(), request); len(reply) != len(`{"jsonrpc":"2.0","result":"OK","id":1}`) {
			b.Fatalf("%s", reply)
		}
	}
}
