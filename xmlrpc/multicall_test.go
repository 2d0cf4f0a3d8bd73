package xmlrpc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/xmlrpc"
)

func TestMulticall(t *testing.T) {
	enc := xmlrpc.Encoder{Shape: xmlrpc.NameInStruct}
	items := enc.StringItem(nil, "", "E_TEST")
	items = enc.IntItem(items, "num", 42)
	data := enc.MulticallStart(nil)
	data = appendItem(&enc, data, "block_ip", items)
	data = appendItem(&enc, data, "a&b", nil)
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
		{"array after a bare value", []any{1, []any{1}}, prefix + `result 1: expected an array of one value or a fault, got "1"`},
		{"fault after a bare value", []any{1, xmlrpc.Struct{{"faultCode", 4}}}, prefix + `result 1: expected an array of one value or a fault, got "1"`},
		{"struct after a bare value", []any{1, xmlrpc.Struct{{"a", 1}}}, prefix + `result 1: expected an array of one value or a fault, got "1"`},
		{"fault whose code is no number", []any{[]any{1}, xmlrpc.Struct{{"faultCode", "4"}}}, prefix + "result 2: expected an array of one value or a fault, got a struct"},
		{"too many bare values", []any{1, 1, 1}, prefix + "expected 2 results, got 3"},
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
			if err := xmlrpc.CheckMulticallResponse(data, make([]*xmlrpc.Fault, 2), xmlrpc.Limits{}); err == nil {
				t.Error("the check accepts it")
			}
		})
	}
	t.Run("fault as a whole", func(t *testing.T) {
		data := xmlrpc.AppendFault(nil, xmlrpc.Fault{Code: -32601, String: "no such method"})
		_, err := xmlrpc.DecodeMulticallResponse(data, 2, xmlrpc.Limits{})
		checkError(t, err, "fault -32601: no such method")
		checkError(t, xmlrpc.CheckMulticallResponse(data, make([]*xmlrpc.Fault, 2), xmlrpc.Limits{}), "fault -32601: no such method")
	})
}

// Perl's RPC::XML answers with values that have no array around them.
func TestBareResults(t *testing.T) {
	for _, values := range [][]any{
		{int64(1), int64(1), int64(1)},
		{int64(1), "", nil, "a", true, 1.5, time.Unix(0, 0).UTC(), []byte("x")},
		{"<fault>"},
		{},
	} {
		data, err := xmlrpc.AppendResponse(nil, values)
		if err != nil {
			t.Fatal(err)
		}
		want := make([]xmlrpc.MulticallResult, len(values))
		for i := range values {
			want[i].Value = values[i]
		}
		got, err := xmlrpc.DecodeMulticallResponse(data, len(values), xmlrpc.Limits{})
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("error %v, -want +got:\n%s", err, diff)
		}
		faults := make([]*xmlrpc.Fault, len(values))
		for i := range faults {
			faults[i] = new(xmlrpc.Fault) // of the response before
		}
		err = xmlrpc.CheckMulticallResponse(data, faults, xmlrpc.Limits{})
		if diff := cmp.Diff(make([]*xmlrpc.Fault, len(values)), faults); diff != "" || err != nil {
			t.Errorf("check: error %v, -want +got:\n%s", err, diff)
		}
	}
}

// What is skipped because it repeats what was read counts all the same: as a
// result, and for the limit of elements.
func TestCheckMulticallResponse(t *testing.T) {
	const value = "<value><array><data><value><i4>1</i4></value></data></array></value>\n"
	const fault = "<value><struct><member><name>faultCode</name><value><int>4</int></value></member></struct></value>"
	document := func(results ...string) []byte {
		return []byte("<methodResponse><params><param><value><array><data>" + strings.Join(results, "") +
			"</data></array></value></param></params></methodResponse>")
	}
	four := &xmlrpc.Fault{Code: 4}
	for _, test := range []struct {
		name    string
		data    []byte
		lim     xmlrpc.Limits
		want    []*xmlrpc.Fault
		wantErr string
	}{
		{"none", document(), xmlrpc.Limits{}, []*xmlrpc.Fault{}, ""},
		{"same", document(value, value, value), xmlrpc.Limits{}, make([]*xmlrpc.Fault, 3), ""},
		{"a fault among the same", document(value, value, fault, value), xmlrpc.Limits{}, []*xmlrpc.Fault{nil, nil, four, nil}, ""},
		{"faults", document(fault, fault), xmlrpc.Limits{}, []*xmlrpc.Fault{four, four}, ""},
		{
			"too many of the same", document(value, value, value, value),
			xmlrpc.Limits{},
			make([]*xmlrpc.Fault, 3),
			"check methodResponse of system.multicall: expected 3 results, got more",
		},
		{
			"too few of the same", document(value, value, value),
			xmlrpc.Limits{},
			make([]*xmlrpc.Fault, 4),
			"check methodResponse of system.multicall: expected 4 results, got 3",
		},
		{"as many elements as may be", document(value, value, value), xmlrpc.Limits{Elements: 21}, make([]*xmlrpc.Fault, 3), ""},
		{
			"too many elements", document(value, value, value),
			xmlrpc.Limits{Elements: 20},
			make([]*xmlrpc.Fault, 3),
			"check methodResponse of system.multicall: result 3: expected at most 20 elements",
		},
		{
			"too many elements in what repeats", document(value, value, value, value),
			xmlrpc.Limits{Elements: 25},
			make([]*xmlrpc.Fault, 4),
			"check methodResponse of system.multicall: result 4: expected at most 25 elements",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			faults := make([]*xmlrpc.Fault, len(test.want))
			for i := range faults {
				faults[i] = &xmlrpc.Fault{Code: 99} // of the response before
			}
			err := xmlrpc.CheckMulticallResponse(test.data, faults, test.lim)
			if test.wantErr != "" {
				checkError(t, err, test.wantErr)
				return
			}
			if diff := cmp.Diff(test.want, faults); diff != "" || err != nil {
				t.Errorf("error %v, -want +got:\n%s", err, diff)
			}
		})
	}
}

// Without a fault a check allocates nothing, whatever the values are.
func TestCheckAllocates(t *testing.T) {
	values := []any{"text", 1, true, 1.5, time.Unix(0, 0), []byte("base64"), []any{"a"}, xmlrpc.Struct{{Name: "a", Value: 1}}, nil}
	results := make([]xmlrpc.MulticallResult, len(values))
	for i := range values {
		results[i].Value = values[i]
	}
	multicall, err := xmlrpc.AppendMulticallResponse(nil, results)
	if err != nil {
		t.Fatal(err)
	}
	faults := make([]*xmlrpc.Fault, len(values))
	n := testing.AllocsPerRun(100, func() {
		if err := xmlrpc.CheckMulticallResponse(multicall, faults, xmlrpc.Limits{}); err != nil {
			t.Error(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}
