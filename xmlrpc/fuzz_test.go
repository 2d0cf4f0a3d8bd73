package xmlrpc_test

import (
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/xmlrpc"
)

// Documents of all kinds, besides those under testdata/fuzz.
var fuzzSeeds = []string{
	`<?xml version="1.0"?><methodCall><methodName>m</methodName><params><param><name>a</name><value>b</value></param></params></methodCall>`,
	`<?xml version="1.0" encoding="iso-8859-1"?><methodResponse><params><param><value>` + "\xe9" + `</value></param></params></methodResponse>`,
	`<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>4</int></value></member></struct></value></fault></methodResponse>`,
	`<methodResponse><params><param><value><array><data><value><array><data><value/></data></array></value></data></array></value></param></params></methodResponse>`,
}

const (
	resultsStart = `<methodResponse><params><param><value><array><data>`
	resultsEnd   = `</data></array></value></param></params></methodResponse>`
)

// Responses to a system.multicall of four calls, right and wrong.
var multicallSeeds = []string{
	resultsStart + strings.Repeat(`<value><array><data><value><int>1</int></value></data></array></value>`, 4) + resultsEnd,
	resultsStart + strings.Repeat("\n <value><array><data><value>a &amp; <!-- b --><![CDATA[</value>]]></value></data></array></value>", 4) + resultsEnd,
	resultsStart + strings.Repeat(`<value><array><data><value><int>1</int></value></data></array></value>`, 5) + resultsEnd,
	resultsStart + strings.Repeat(`<value><array><data><value><int>1</int></value></data></array></value>`, 3) +
		`<value><struct><member><name>faultCode</name><value><int>4</int></value></member></struct></value>` + resultsEnd,
	resultsStart + strings.Repeat(`<value><array><data><value><base64>YWI= </base64></value></data></array></value>`, 4) + resultsEnd,
	resultsStart + strings.Repeat(`<value><int>1</int></value>`, 4) + resultsEnd,
	resultsStart + strings.Repeat(`<value/>`, 3) + `<value><nil/></value>` + resultsEnd,
	resultsStart + strings.Repeat(`<value>1</value>`, 3) + `<value><array><data><value>1</value></data></array></value>` + resultsEnd,
	resultsStart + strings.Repeat(`<value><array><data><value/><value/></data></array></value>`, 2) + resultsEnd,
	resultsStart + strings.Repeat(`<value><array><data><value><double>1.5</double></value></data></array></value>`, 4) + resultsEnd + `x`,
}

func addSeeds(f *testing.F) {
	for _, seed := range fuzzSeeds {
		f.Add([]byte(seed))
	}
}

// What can be decoded can be encoded, and is then decoded to the same value.
func FuzzDecodeResponse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := xmlrpc.DecodeResponse(data, xmlrpc.Limits{})
		var encoded []byte
		if fault, isFault := errors.AsType[*xmlrpc.Fault](err); isFault {
			encoded = xmlrpc.AppendFault(nil, *fault)
		} else if err != nil {
			return
		} else if encoded, err = xmlrpc.AppendResponse(nil, v); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		again, errAgain := xmlrpc.DecodeResponse(encoded, xmlrpc.Limits{Bytes: math.MaxInt, Elements: math.MaxInt})
		if !reflect.DeepEqual(again, wholeSeconds(v)) || !reflect.DeepEqual(errAgain, err) {
			t.Errorf("got %#v, error %v, then %#v, error %v", v, err, again, errAgain)
		}
	})
}

// wholeSeconds cuts the fractions that dateTime.iso8601 does not have.
func wholeSeconds(v any) any {
	switch v := v.(type) {
	case time.Time:
		return v.Truncate(time.Second)
	case []any:
		for i := range v {
			v[i] = wholeSeconds(v[i])
		}
	case xmlrpc.Struct:
		for i := range v {
			v[i].Value = wholeSeconds(v[i].Value)
		}
	}
	return v
}

// Decoding a call, and the calls in it, does not panic, and values are the same again.
func FuzzDecodeCall(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		call, err := xmlrpc.DecodeCall(data, xmlrpc.Limits{})
		if err != nil {
			return
		}
		inner, err := call.Multicall()
		if err == nil && call.Method != "system.multicall" {
			t.Errorf("got calls %v inside %q", inner, call.Method)
		}
		var values []any
		for i := range call.Params {
			call.Params[i] = xmlrpc.Param{Value: wholeSeconds(call.Params[i].Value)} // AppendCall knows no names
			values = append(values, call.Params[i].Value)
		}
		encoded, err := xmlrpc.AppendCall(nil, call.Method, values...)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		again, err := xmlrpc.DecodeCall(encoded, xmlrpc.Limits{Bytes: math.MaxInt, Elements: math.MaxInt})
		if !reflect.DeepEqual(again, call) {
			t.Errorf("got %#v, then %#v, error %v", call, again, err)
		}
	})
}

// A response that is accepted has one result for each call, and is the same again.
func FuzzDecodeMulticallResponse(f *testing.F) {
	for _, seed := range fuzzSeeds {
		f.Add([]byte(seed), 1)
	}
	for _, seed := range multicallSeeds {
		f.Add([]byte(seed), 4)
	}
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		results, err := xmlrpc.DecodeMulticallResponse(data, n, xmlrpc.Limits{})
		checkMulticallResponse(t, data, n, results, err)
		if err != nil {
			return
		}
		if len(results) != n {
			t.Fatalf("got %d results of %d calls", len(results), n)
		}
		for i := range results {
			results[i].Value = wholeSeconds(results[i].Value)
		}
		encoded, err := xmlrpc.AppendMulticallResponse(nil, results)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		again, err := xmlrpc.DecodeMulticallResponse(encoded, n, xmlrpc.Limits{Bytes: math.MaxInt, Elements: math.MaxInt})
		if !reflect.DeepEqual(again, results) {
			t.Errorf("got %#v, then %#v, error %v", results, again, err)
		}
	})
}

// checkMulticallResponse holds that the check finds what the decoder has found.
func checkMulticallResponse(t *testing.T, data []byte, n int, results []xmlrpc.MulticallResult, err error) {
	t.Helper()
	if n < 0 || n > 1000 {
		return
	}
	faults := make([]*xmlrpc.Fault, n)
	for i := range faults {
		faults[i] = new(xmlrpc.Fault) // of the response before
	}
	errCheck := xmlrpc.CheckMulticallResponse(data, faults, xmlrpc.Limits{})
	fault, isFault := errors.AsType[*xmlrpc.Fault](err)
	faultCheck, isFaultCheck := errors.AsType[*xmlrpc.Fault](errCheck)
	if (errCheck == nil) != (err == nil) || isFault != isFaultCheck || isFault && *fault != *faultCheck {
		t.Fatalf("decoded: %v, checked: %v", err, errCheck)
	}
	if err != nil {
		return
	}
	for i := range results {
		if diff := cmp.Diff(results[i].Fault, faults[i]); diff != "" {
			t.Errorf("result %d: -decoded +checked:\n%s", i+1, diff)
		}
	}
}

// What is encoded in any shape is decoded to what went in.
func FuzzEncoder(f *testing.F) {
	f.Add("block_ip", "ip", "192.168.2.11", int64(-5), byte(0), byte(0))
	f.Add("a&b", "n<", " <sip:bob@10.0.0.1>;tag=a&b\r\n\r ", int64(1<<40), byte(1), byte(1))
	f.Add("m", "", "x\xff\xfe\xc3(y\x00\uFFFE\uFFFD☃😀", int64(math.MinInt64), byte(2), byte(0))
	f.Fuzz(func(t *testing.T, method, name, text string, n int64, shape, bigInt byte) {
		enc := xmlrpc.Encoder{Shape: xmlrpc.Shape(shape % 3), BigInt: xmlrpc.BigInt(bigInt % 2)}
		if method == "" {
			return // is no call
		}
		lim := xmlrpc.Limits{Bytes: math.MaxInt}
		params := []param{{name, text}, {"", text}, {name, n}, {"", n}}

		data := encodeCall(&enc, nil, method, params)
		got, err := xmlrpc.DecodeCall(data, lim)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		want := &xmlrpc.Call{Method: sent(method)}
		for _, p := range params {
			want.Params = append(want.Params, sentParam(enc, p))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		replaced := bad(method) + 2*bad(text)
		if enc.Shape != xmlrpc.NameNone {
			replaced += 2 * bad(name)
		}
		if enc.Replaced != replaced {
			t.Errorf("got %d replaced, want %d", enc.Replaced, replaced)
		}

		items := enc.IntItem(enc.StringItem(nil, name, text), name, n)
		data = enc.MulticallEnd(appendItem(&enc, enc.MulticallStart(nil), method, items))
		call, err := xmlrpc.DecodeCall(data, lim)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		calls, err := call.Multicall()
		wantCalls := []xmlrpc.Call{{Method: sent(method), Params: []xmlrpc.Param{
			{Value: sentParam(enc, params[0]).Value}, {Value: sentParam(enc, params[2]).Value},
		}}}
		if diff := cmp.Diff(wantCalls, calls); diff != "" || err != nil {
			t.Errorf("multicall: error %v, -want +got:\n%s", err, diff)
		}
	})
}

// sentParam is how a receiver sees a parameter.
func sentParam(enc xmlrpc.Encoder, p param) (seen xmlrpc.Param) {
	switch v := p.value.(type) {
	case string:
		seen.Value = sent(v)
	case int64:
		seen.Value = v
		if v != int64(int32(v)) && enc.BigInt == xmlrpc.BigIntString {
			seen.Value = strconv.FormatInt(v, 10)
		}
	}
	switch {
	case p.name != "" && enc.Shape == xmlrpc.NameBeside:
		seen.Name = sent(p.name)
	case p.name != "" && enc.Shape == xmlrpc.NameInStruct:
		seen.Value = xmlrpc.Struct{{Name: sent(p.name), Value: seen.Value}}
	}
	return seen
}

// sent is the text that arrives: what XML cannot hold is U+FFFD.
func sent(text string) string {
	var arrives strings.Builder
	for _, r := range text { // a byte that is no UTF-8 is utf8.RuneError
		if forbidden(r) {
			r = utf8.RuneError
		}
		arrives.WriteRune(r)
	}
	return arrives.String()
}

// bad counts the characters of text that are replaced.
func bad(text string) int {
	n := strings.Count(sent(text), "\uFFFD")
	return n - strings.Count(text, "\uFFFD")
}

func forbidden(r rune) bool {
	return r < ' ' && !strings.ContainsRune("\t\n\r", r) || r == 0xFFFE || r == 0xFFFF
}
