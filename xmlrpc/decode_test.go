package xmlrpc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/xmlrpc"
)

func response(value string) []byte {
	return []byte("<methodResponse><params><param>" + value + "</param></params></methodResponse>")
}

func TestDecodeValues(t *testing.T) {
	at := time.Date(1998, 7, 17, 14, 8, 55, 0, time.UTC)
	tests := []struct {
		xml  string
		want any
	}{
		{"<value><int>-42</int></value>", int64(-42)},
		{"<value><i4> +42\n</i4></value>", int64(42)},
		{"<value><int>1099511627776</int></value>", int64(1 << 40)},
		{"<value><i1>1</i1></value>", int64(1)},
		{"<value><ex:i1>1</ex:i1></value>", int64(1)},
		{"<value><i2>2</i2></value>", int64(2)},
		{"<value><ex:i2>2</ex:i2></value>", int64(2)},
		{"<value><i8>-9223372036854775808</i8></value>", int64(-1 << 63)},
		{"<value><ex:i8 xmlns:ex='http://ws.apache.org/xmlrpc/namespaces/extensions'>8</ex:i8></value>", int64(8)},
		{"<value><boolean>1</boolean></value>", true},
		{"<value><boolean>0</boolean></value>", false},
		{"<value><double>-12.5</double></value>", -12.5},
		{"<value><double>1.5E+3</double></value>", 1500.0},
		{"<value><dateTime.iso8601>19980717T14:08:55</dateTime.iso8601></value>", at},
		{"<value><dateTime.iso8601>19980717T16:08:55+02:00</dateTime.iso8601></value>", at},
		{"<value><dateTime.iso8601>1998-07-17T14:08:55</dateTime.iso8601></value>", at},
		{"<value><dateTime.iso8601>1998-07-17T14:08:55Z</dateTime.iso8601></value>", at},
		{"<value><base64>aGVs\r\n bG8=</base64></value>", []byte("hello")},
		{"<value><base64/></value>", []byte{}},
		{"<value><nil/></value>", nil},
		{"<value><ex:nil></ex:nil></value>", nil},

		{"<value/>", ""},
		{"<value></value>", ""},
		{"<value>  a b\n</value>", "  a b\n"},
		{"<value><string/></value>", ""},
		{"<value>\n<string> a </string>\n</value>", " a "},
		{"<value><string>&lt;&amp;&gt;&quot;&apos;&#65;&#x263a;&#13;</string></value>", "<&>\"'A☺\r"},
		{"<value><string>a\r\nb\rc\r</string></value>", "a\nb\nc\n"},
		{"<value><string>a<![CDATA[<b>&amp;\r\n]]]]>c</string></value>", "a<b>&amp;\n]]c"},
		{"<value>a<!-- <b> --->b<?php d ?>c</value>", "abc"},
		{"<value>\x01\xff\xed\xa0\x80&#0;&#xFFFE;\x7f</value>", "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\x7f"},

		{"<value><array><data/></array></value>", []any{}},
		{"<value> <array> <data> <value>a</value> <value><int>1</int></value> </data> </array> </value>", []any{"a", int64(1)}},
		{"<value><struct/></value>", xmlrpc.Struct{}},
		{
			"<value><struct>\n<member>\n<name> b</name>\n<value>x</value>\n</member>\n<member><name/><value><nil/></value></member></struct></value>",
			xmlrpc.Struct{{" b", "x"}, {"", nil}},
		},
	}
	for _, test := range tests {
		got, err := xmlrpc.DecodeResponse(response(test.xml), xmlrpc.Limits{})
		if err != nil {
			t.Errorf("%s: %v", test.xml, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", test.xml, diff)
		}
	}
}

func TestDecodeValueErrors(t *testing.T) {
	tests := []struct{ xml, want string }{
		{"<value><int>abc</int></value>", `value: expected int, got "abc"`},
		{"<value><int/></value>", `value: expected int, got ""`},
		{"<value><int>18446744073709551611</int></value>", `value: expected int, got "18446744073709551611"`},
		{"<value><boolean>true</boolean></value>", `value: expected boolean, got "true"`},
		{"<value><double>NaN</double></value>", `value: expected double, got "NaN"`},
		{"<value><double>0x1p4</double></value>", `value: expected double, got "0x1p4"`},
		{"<value><dateTime.iso8601>now</dateTime.iso8601></value>", `value: expected dateTime.iso8601, got "now"`},
		{"<value><dateTime.iso8601>0000-01-01T00:00:00+01:00</dateTime.iso8601></value>", `value: expected dateTime.iso8601, got "0000-01-01T00:00:00+01:00"`},
		{"<value><base64>a</base64></value>", `value: expected base64, got "a"`},
		{"<value><nil>0</nil></value>", `value: expected nil, got "0"`},
		{"<value><date>1</date></value>", `value: expected the type of a value, got <date>`},
		{"<value><\x1b[7mx\xff>1</\x1b[7mx></value>", `value: expected the type of a value, got <\x1b[7mx\xff>`},
		{"<value>a</\x1b[7mx>", `value: expected </value>, got </\x1b[7mx>`},
		{"<value>a<int>1</int></value>", `value: expected either text or an element, got "a" before <int>`},
		{"<value><int>1</int>a</value>", `value: expected no text before </value>, got "a"`},
		{"<value><int>1</int><int>2</int></value>", `value: expected </value>, got <int>`},
		{"<value><int>1<b/></int></value>", `value: int: expected text and </int>, got <b>`},
		{"<value><int>1</i4></value>", `value: int: expected text and </int>, got </i4>`},
		{"<value>a</param>", `value: expected </value>, got </param>`},
		{"<value><array><value/></array></value>", `value: array: expected <data>, got <value>`},
		{"<value><array><data><int>1</int></data></array></value>", `value: array: expected <value> or </data>, got <int>`},
		{"<value><array><data><value/><value><int>x</int></value></data></array></value>", `value: item 2: expected int, got "x"`},
		{"<value><struct><name/></struct></value>", `value: struct: expected <member> or </struct>, got <name>`},
		{"<value><struct><member><value/></member></struct></value>", `value: member 1: expected <name>, got <value>`},
		{"<value><struct><member><name>a</name></member></struct></value>", `value: member "a": expected <value>, got </member>`},
		{
			"<value><struct><member><name>a</name><value><array><data><value><int>x</int></value></data></array></value></member></struct></value>",
			`value: member "a": item 1: expected int, got "x"`,
		},

		{"<value>&nbsp;</value>", `value: unknown entity "nbsp"`},
		{"<value>a & b</value>", `value: expected ; after "& b"`},
		{"<value>&#xZ;</value>", `value: expected the number of a character, got "#xZ"`},
		{"<value>&#1114112;</value>", `value: expected the number of a character, got "#1114112"`},
		{"<value><!-- a", "value: expected --> at the end of a comment, got the end of the document"},
		{"<value><![CDATA[a", "value: expected ]]> at the end of a CDATA section, got the end of the document"},
		{"<value><?a", "value: expected ?> at the end of a processing instruction, got the end of the document"},
		{"<value><!ENTITY a>", "value: document type declarations are not accepted"},
		{"<value>< int>1</int></value>", "value: expected the name of an element after <"},
		{"<value><int a>1</int></value>", "value: expected attributes and > in <int>"},
		{"<value><int a='>1</int></value>", "value: expected attributes and > in <int>"},
		{"<value><int>1</int x></value>", "value: expected > at the end of </int>"},
	}
	for _, test := range tests {
		_, err := xmlrpc.DecodeResponse(response(test.xml), xmlrpc.Limits{})
		t.Run("", func(t *testing.T) { checkError(t, err, "decode methodResponse: "+test.want) })
	}
}

func TestDecodeCall(t *testing.T) {
	tests := []struct {
		name, xml string
		want      xmlrpc.Call
	}{
		{
			"the default form of event_xmlrpc",
			"<?xml version=\"1.0\"?>\n<methodCall>\n<methodName>block_ip</methodName>\n<params>\n<param>\n<value><string>E</string></value>\n</param>\n" +
				"<param>\n<name>ip</name>\n<value><int>1</int></value>\n</param>\n</params>\n</methodCall>",
			xmlrpc.Call{Method: "block_ip", Params: []xmlrpc.Param{{"", "E"}, {"ip", int64(1)}}},
		},
		{"no params", "<methodCall><methodName>m</methodName></methodCall>", xmlrpc.Call{Method: "m"}},
		{"empty params", "<methodCall><methodName>m</methodName><params/></methodCall>\n<!-- end -->\n", xmlrpc.Call{Method: "m"}},
		{"byte order mark", "\xEF\xBB\xBF<?xml version='1.0' encoding = 'utf-8' ?><methodCall><methodName>é</methodName></methodCall>", xmlrpc.Call{Method: "é"}},
		{"blanks before the declaration", "\r\n<?xml version='1.0'?><methodCall><methodName>m</methodName></methodCall>", xmlrpc.Call{Method: "m"}},
		{"ISO-8859-1", `<?xml version="1.0" encoding="ISO-8859-1"?><methodCall><methodName>` + "\xe9\xff" + `</methodName></methodCall>`, xmlrpc.Call{Method: "éÿ"}},
		{"US-ASCII", `<?xml version="1.0" encoding="us-ascii"?><methodCall><methodName>m</methodName></methodCall>`, xmlrpc.Call{Method: "m"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := xmlrpc.DecodeCall([]byte(test.xml), xmlrpc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDecodeCallErrors(t *testing.T) {
	const start = "<methodCall><methodName>m</methodName>"
	tests := []struct{ xml, want string }{
		{"", "expected <methodCall>, got the end of the document"},
		{"hello", `expected no text before the end of the document, got "hello"`},
		{"<html><body>", "expected <methodCall>, got <html>"},
		{"<methodResponse/>", "expected <methodCall>, got <methodResponse>"},
		{"<!DOCTYPE methodCall [<!ENTITY a 'b'>]>" + start + "</methodCall>", "document type declarations are not accepted"},
		{"<?xml version='1.0' encoding='UTF-16'?>" + start + "</methodCall>", `expected encoding UTF-8, US-ASCII or ISO-8859-1, got "UTF-16"`},
		{"<methodCall><params/></methodCall>", "expected <methodName>, got <params>"},
		{"<methodCall><methodName/></methodCall>", "methodName: expected a name, got nothing"},
		{"<methodCall><methodName>m<b/></methodName></methodCall>", "methodName: expected text and </methodName>, got <b>"},
		{start + "<fault/></methodCall>", "expected <params> or </methodCall>, got <fault>"},
		{start + "<params><value/></params></methodCall>", "params: expected <param> or </params>, got <value>"},
		{start + "<params><param/></params></methodCall>", "param 1: expected <value>, got </param>"},
		{start + "<params><param><value/></param><param><value><int>x</int></value></param></params></methodCall>", `param 2: value: expected int, got "x"`},
		{start + "<params><param><value/><value/></param></params></methodCall>", "param 1: expected </param>, got <value>"},
		{start + "<params/></methodCall>" + start, "expected the end of the document, got <methodCall>"},
		{start + "</methodCall>garbage", `expected no text before the end of the document, got "garbage"`},
		{start + "<params>", "params: expected <param> or </params>, got the end of the document"},
	}
	for _, test := range tests {
		_, err := xmlrpc.DecodeCall([]byte(test.xml), xmlrpc.Limits{})
		t.Run("", func(t *testing.T) { checkError(t, err, "decode methodCall: "+test.want) })
	}
}

func TestDecodeFault(t *testing.T) {
	fault := func(members string) string {
		return "<methodResponse><fault><value><struct>" + members + "</struct></value></fault></methodResponse>"
	}
	code := func(value string) string {
		return "<member><name>faultCode</name><value>" + value + "</value></member>"
	}
	text := "<member><name>faultString</name><value>no</value></member>"
	tests := []struct{ name, xml, want string }{
		{"fault", fault(code("<int>4</int>") + text), "fault 4: no"},
		{"text first", fault(text + code("<i4>-1</i4>")), "fault -1: no"},
		{"code as text", fault(code("<string>12</string>") + text), "fault 12: no"},
		{"code that is no number", fault(code("Client") + text), "fault 0: Client: no"},
		{"no text", fault(code("<int>4</int>")), "fault 4: "},
		{"no code", fault(text), "decode methodResponse: fault: expected a struct that has a faultCode"},
		{"no struct", "<methodResponse><fault><value>no</value></fault></methodResponse>", "decode methodResponse: fault: expected a struct that has a faultCode"},
		{"bad code", fault(code("<int>x</int>")), `decode methodResponse: fault: member "faultCode": expected int, got "x"`},
		{"two roots", fault(code("<int>4</int>")) + "<a/>", "decode methodResponse: expected the end of the document, got <a>"},
		{"neither", "<methodResponse/>", "decode methodResponse: expected <params> or <fault>, got </methodResponse>"},
		{"no param", "<methodResponse><params/></methodResponse>", "decode methodResponse: expected <param>, got </params>"},
		{"two params", string(response("<value/></param><param><value/>")), "decode methodResponse: expected </params>, got <param>"},
	}
	for _, test := range tests {
		_, err := xmlrpc.DecodeResponse([]byte(test.xml), xmlrpc.Limits{})
		t.Run(test.name, func(t *testing.T) { checkError(t, err, test.want) })
	}
}

func TestDecodeLimits(t *testing.T) {
	nested := func(depth int) []byte {
		return response(strings.Repeat("<value><array><data>", depth-1) + "<value/>" + strings.Repeat("</data></array></value>", depth-1))
	}
	doc := response("<value>12345</value>") // 4 elements
	tests := []struct {
		name string
		data []byte
		lim  xmlrpc.Limits
		want string
	}{
		{"bytes", doc, xmlrpc.Limits{Bytes: len(doc)}, ""},
		{"more bytes", doc, xmlrpc.Limits{Bytes: 20}, "decode methodResponse: expected at most 20 bytes, got 85"},
		{"elements", doc, xmlrpc.Limits{Elements: 4}, ""},
		{"more elements", doc, xmlrpc.Limits{Elements: 3}, "decode methodResponse: expected at most 3 elements"},
		{"depth", nested(3), xmlrpc.Limits{Depth: 3}, ""},
		{"deeper", nested(4), xmlrpc.Limits{Depth: 3}, "decode methodResponse: value: item 1: item 1: item 1: expected values nested at most 3 deep"},
		{"default depth", nested(64), xmlrpc.Limits{}, ""},
		{"negative limits are the defaults", nested(64), xmlrpc.Limits{-1, -1, -1}, ""},
		{"default elements", response("<value><array><data>" + strings.Repeat("<value/>", 100_000) + "</data></array></value>"), xmlrpc.Limits{}, "decode methodResponse: value: expected at most 100000 elements"},
		{"default bytes", response("<value>" + strings.Repeat("a", 1<<20) + "</value>"), xmlrpc.Limits{}, "decode methodResponse: expected at most 1048576 bytes, got 1048656"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := xmlrpc.DecodeResponse(test.data, test.lim)
			if test.want != "" {
				checkError(t, err, test.want)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// What the XML-RPC management interface of OpenSIPS answers and is sent.
func TestDecodeCaptures(t *testing.T) {
	got, err := xmlrpc.DecodeResponse(httpBody(t, "testdata/mi_xmlrpc/04-subscribers.resp"), xmlrpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := xmlrpc.Struct{{"Event", xmlrpc.Struct{
		{"name", "E_TEST"},
		{"id", int64(10)},
		{"Subscribers", []any{xmlrpc.Struct{{"socket", "udp:127.0.0.1:9"}, {"expire", int64(3600)}, {"ttl", int64(3600)}}}},
	}}}
	if diff := cmp.Diff(any(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}

	_, err = xmlrpc.DecodeResponse(httpBody(t, "testdata/mi_xmlrpc/07-notfound.resp"), xmlrpc.Limits{})
	checkError(t, err, "fault -32601: server error. requested method not found")

	call, err := xmlrpc.DecodeCall(httpBody(t, "testdata/mi_xmlrpc/03-subscribe.req"), xmlrpc.Limits{})
	wantCall := &xmlrpc.Call{Method: "event_subscribe", Params: []xmlrpc.Param{{"", "E_TEST"}, {"", "udp:127.0.0.1:9"}}}
	if diff := cmp.Diff(wantCall, call); diff != "" || err != nil {
		t.Errorf("error %v, -want +got:\n%s", err, diff)
	}
}

func TestStructGet(t *testing.T) {
	s := xmlrpc.Struct{{"a", 1}, {"b", nil}, {"a", 2}}
	if v, found := s.Get("a"); v != 1 || !found {
		t.Errorf("got %v, %v, want the first a", v, found)
	}
	if v, found := s.Get("b"); v != nil || !found {
		t.Errorf("got %v, %v, want nil, found", v, found)
	}
	if v, found := s.Get("c"); v != nil || found {
		t.Errorf("got %v, %v, want nothing", v, found)
	}
}
