package receiver

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/evid/evid/xmlrpc"
)

func TestCall(t *testing.T) {
	tests := []struct {
		name string
		call xmlrpc.Call
		id   string
		text string
		json string
	}{
		{
			name: "names beside values",
			call: xmlrpc.Call{Method: "block_ip", Params: []xmlrpc.Param{
				{Value: "E_PIKE_BLOCKED"}, {Name: "ip", Value: "192.168.2.11"}, {Name: "hits", Value: int64(-5)},
			}},
			id:   "01",
			text: `block_ip E_PIKE_BLOCKED ip="192.168.2.11" hits=-5`,
			json: `{"method":"block_ip","event":"E_PIKE_BLOCKED","params":[{"name":"ip","value":"192.168.2.11"},{"name":"hits","value":-5}],"id":"01"}`,
		},
		{
			name: "names in structs",
			call: xmlrpc.Call{Method: "m", Params: []xmlrpc.Param{
				{Value: "E_X"}, {Value: xmlrpc.Struct{{Name: "from", Value: "<a&b>\r\n日本\x00"}}},
			}},
			text: `m E_X from="<a&b>\r\n日本\x00"`,
			json: `{"method":"m","event":"E_X","params":[{"name":"from","value":"\u003ca\u0026b\u003e\r\n日本\u0000"}]}`,
		},
		{
			name: "no names",
			call: xmlrpc.Call{Method: "m", Params: []xmlrpc.Param{{Value: "E_X"}, {Value: ""}, {Value: int64(1 << 40)}}},
			text: `m E_X "" 1099511627776`,
			json: `{"method":"m","event":"E_X","params":[{"value":""},{"value":1099511627776}]}`,
		},
		{
			name: "no parameters",
			call: xmlrpc.Call{Method: "m"},
			text: `m`,
			json: `{"method":"m","event":"","params":[]}`,
		},
		{
			name: "first parameter is no event",
			call: xmlrpc.Call{Method: "m", Params: []xmlrpc.Param{{Value: int64(1)}, {Value: "E_X"}}},
			text: `m 1 "E_X"`,
			json: `{"method":"m","event":"","params":[{"value":1},{"value":"E_X"}]}`,
		},
		{
			name: "names that need quotes",
			call: xmlrpc.Call{Method: "a b", Params: []xmlrpc.Param{{Value: "E\n"}, {Name: "x=y", Value: "z"}, {Name: `"`, Value: "z"}}},
			text: `"a b" "E\n" "x=y"="z" "\""="z"`,
			json: `{"method":"a b","event":"E\n","params":[{"name":"x=y","value":"z"},{"name":"\"","value":"z"}]}`,
		},
		{
			name: "every type",
			call: xmlrpc.Call{Method: "m", Params: []xmlrpc.Param{
				{Value: "E_X"},
				{Value: true},
				{Value: 1.5},
				{Value: []byte("hi")},
				{Value: nil},
				{Value: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)},
				{Value: []any{int64(1), xmlrpc.Struct{{Name: "b", Value: "x"}, {Name: "", Value: int64(2)}}}},
			}},
			text: `m E_X true 1.5 base64:aGk= nil 2026-11-23T01:02:03Z [1 {b="x" ""=2}]`,
			json: `{"method":"m","event":"E_X","params":[{"value":true},{"value":1.5},{"value":"aGk="},{"value":null},` +
				`{"value":"2026-11-23T01:02:03Z"},{"value":[1,{"":2,"b":"x"}]}]}`,
		},
		{
			name: "structs of more than one member have no name",
			call: xmlrpc.Call{Method: "m", Params: []xmlrpc.Param{
				{Value: "E_X"}, {Value: xmlrpc.Struct{}}, {Value: xmlrpc.Struct{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}},
			}},
			text: `m E_X {} {a="1" b="2"}`,
			json: `{"method":"m","event":"E_X","params":[{"value":{}},{"value":{"a":"1","b":"2"}}]}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			call := newCall(test.call, test.id)
			if got := call.String(); got != test.text {
				t.Errorf("String:\n got %s\nwant %s", got, test.text)
			}
			got, err := json.Marshal(call)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.json {
				t.Errorf("JSON:\n got %s\nwant %s", got, test.json)
			}
		})
	}
}
