package xmlrpc_test

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/xmlrpc"
)

func TestAppendCall(t *testing.T) {
	at := time.Date(2026, 7, 1, 14, 8, 55, 999, time.FixedZone("", 2*3600))
	got, err := xmlrpc.AppendCall([]byte("before "), "a.b<", "x&y", -5, int64(1<<40), true, false, 1e21, at,
		[]byte("hello"), []any{"a", nil, []any{}}, xmlrpc.Struct{{"z\r", 1}, {"a", xmlrpc.Struct{}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = `before <?xml version="1.0"?>
<methodCall>
<methodName>a.b&lt;</methodName>
<params>
<param>
<value><string>x&amp;y</string></value>
</param>
<param>
<value><int>-5</int></value>
</param>
<param>
<value><i8>1099511627776</i8></value>
</param>
<param>
<value><boolean>1</boolean></value>
</param>
<param>
<value><boolean>0</boolean></value>
</param>
<param>
<value><double>1000000000000000000000</double></value>
</param>
<param>
<value><dateTime.iso8601>20260701T12:08:55</dateTime.iso8601></value>
</param>
<param>
<value><base64>aGVsbG8=</base64></value>
</param>
<param>
<value><array><data><value><string>a</string></value><value><nil/></value><value><array><data></data></array></value></data></array></value>
</param>
<param>
<value><struct><member><name>z&#13;</name><value><int>1</int></value></member><member><name>a</name><value><struct></struct></value></member></struct></value>
</param>
<param>
<value><nil/></value>
</param>
</params>
</methodCall>`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAppendErrors(t *testing.T) {
	endless := []any{nil}
	endless[0] = endless
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{"type", struct{}{}, "expected a type that XML-RPC has, got struct {}"},
		{"type of an item", []any{1, uint(2)}, "item 2: expected a type that XML-RPC has, got uint"},
		{"type of a member", xmlrpc.Struct{{"a", []any{int8(1)}}}, `member "a": item 1: expected a type that XML-RPC has, got int8`},
		{"NaN", math.NaN(), "expected a finite double, got NaN"},
		{"infinity", math.Inf(-1), "expected a finite double, got -Inf"},
		{"year", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "expected a time in the years 0 to 9999"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := xmlrpc.AppendResponse([]byte("before"), test.value)
			checkError(t, err, "encode methodResponse: "+test.want)
			if string(got) != "before" {
				t.Errorf("got %q, want the buffer as it was", got)
			}
			_, err = xmlrpc.AppendCall(nil, "m", 1, test.value)
			checkError(t, err, "encode methodCall: param 2: "+test.want)
			_, err = xmlrpc.AppendMulticallResponse(nil, []xmlrpc.MulticallResult{{Value: test.value}})
			checkError(t, err, "encode methodResponse: result 1: "+test.want)
		})
	}
	if _, err := xmlrpc.AppendResponse(nil, endless); err == nil {
		t.Error("a slice that holds itself: got no error")
	}
}

// What can be encoded can be decoded with the default limits.
func TestAppendDepth(t *testing.T) {
	var v any = "innermost"
	for range xmlrpc.DefaultDepth - 1 {
		v = []any{v}
	}
	response, err := xmlrpc.AppendResponse(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := xmlrpc.DecodeResponse(response, xmlrpc.Limits{})
	if err != nil || !reflect.DeepEqual(got, v) { // cmp takes exponential time here
		t.Errorf("got %v, error %v, want %v", got, err, v)
	}
	if _, err := xmlrpc.AppendResponse(nil, []any{v}); err == nil {
		t.Error("one deeper: got no error")
	}
}

func TestAppendFault(t *testing.T) {
	want := xmlrpc.Fault{Code: -32601, String: "no method <nope>"}
	response := xmlrpc.AppendFault(nil, want)
	_, err := xmlrpc.DecodeResponse(response, xmlrpc.Limits{})
	fault, isFault := errors.AsType[*xmlrpc.Fault](err)
	if !isFault || *fault != want {
		t.Errorf("got error %v, want %v", err, &want)
	}
}

func TestAppendMulticallResponse(t *testing.T) {
	want := []xmlrpc.MulticallResult{
		{Value: "OK"}, {Fault: &xmlrpc.Fault{Code: 4, String: "no"}}, {Value: nil}, {Value: []any{int64(1), "2"}},
	}
	response, err := xmlrpc.AppendMulticallResponse(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := xmlrpc.DecodeMulticallResponse(response, len(want), xmlrpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || err.Error() != want {
		t.Errorf("got error %v\nwant %s", err, want)
	}
}
