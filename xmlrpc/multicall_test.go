package xmlrpc_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/xmlrpc"
)

func TestMulticall(t *testing.T) {
	enc := xmlrpc.Encoder{Shape: xmlrpc.NameInStruct}
	items := enc.StringItem(nil, "", "E_TEST")
	items = enc.IntItem(items, "num", 42)
	data := enc.MulticallStart(nil)
	data = enc.MulticallItem(data, "block_ip", items)
	data = enc.MulticallItem(data, "a&b", nil)
	data = enc.MulticallEnd(data)

	call, err := xmlrpc.DecodeCall(data, xmlrpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := call.Multicall()
	want := []xmlrpc.Call{
		{Method: "block_ip", Params: []xmlrpc.Param{{"", "E_TEST"}, {"", xmlrpc.Struct{{"num", int64(42)}}}}},
		{Method: "a&b", Params: []xmlrpc.Param{}},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, -want +got:\n%s", err, diff)
	}
}

func TestMulticallErrors(t *testing.T) {
	inner := func(method, params any) []any {
		return []any{xmlrpc.Struct{{"methodName", "ok"}, {"params", []any{}}}, xmlrpc.Struct{{"methodName", method}, {"params", params}}}
	}
	const badCall = "read system.multicall: call 2: expected a struct of a methodName and an array of params"
	const badParams = "read system.multicall: expected one parameter, an array of calls"
	tests := []struct {
		name, method string
		params       []any
		want         string
	}{
		{"other method", "block_ip", nil, `read system.multicall: expected a call of it, got one of "block_ip"`},
		{"no parameter", "system.multicall", nil, badParams},
		{"two parameters", "system.multicall", []any{[]any{}, []any{}}, badParams},
		{"no array", "system.multicall", []any{"a"}, badParams},
		{"no struct", "system.multicall", []any{[]any{inner("m", []any{})[0], "a"}}, badCall},
		{"method is no string", "system.multicall", []any{inner(1, []any{})}, badCall},
		{"method is empty", "system.multicall", []any{inner("", []any{})}, badCall},
		{"params are no array", "system.multicall", []any{inner("m", "a")}, badCall},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			call := xmlrpc.Call{Method: test.method}
			for _, p := range test.params {
				call.Params = append(call.Params, xmlrpc.Param{Value: p})
			}
			_, err := call.Multicall()
			checkError(t, err, test.want)
		})
	}
}

func TestDecodeMulticallResponseErrors(t *testing.T) {
	const prefix = "decode methodResponse of system.multicall: "
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{"no array", "OK", prefix + `expected an array of 2 results, got "OK"`},
		{"nil", nil, prefix + `expected an array of 2 results, got "<nil>"`},
		{"too few", []any{[]any{1}}, prefix + "expected 2 results, got 1"},
		{"too many", []any{[]any{1}, []any{1}, []any{1}}, prefix + "expected 2 results, got 3"},
		{"no value", []any{[]any{1}, []any{}}, prefix + "result 2: expected an array of one value or a fault, got an array of 0"},
		{"two values", []any{[]any{1, 2}, []any{1}}, prefix + "result 1: expected an array of one value or a fault, got an array of 2"},
		{"value without array", []any{[]any{1}, 1}, prefix + `result 2: expected an array of one value or a fault, got "1"`},
		{"other struct", []any{xmlrpc.Struct{{"a", 1}}, []any{1}}, prefix + "result 1: expected an array of one value or a fault, got a struct"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data, err := xmlrpc.AppendResponse(nil, test.value)
			if err != nil {
				t.Fatal(err)
			}
			_, err = xmlrpc.DecodeMulticallResponse(data, 2, xmlrpc.Limits{})
			checkError(t, err, test.want)
		})
	}
	t.Run("fault as a whole", func(t *testing.T) {
		data := xmlrpc.AppendFault(nil, xmlrpc.Fault{Code: -32601, String: "no such method"})
		_, err := xmlrpc.DecodeMulticallResponse(data, 2, xmlrpc.Limits{})
		checkError(t, err, "fault -32601: no such method")
	})
}
