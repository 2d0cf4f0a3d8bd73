package xmlrpc_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/xmlrpc"
)

// param is a parameter of an event: value is a string or an int64.
type param struct {
	name  string
	value any
}

// encodeCall encodes a call of the method as a transport does.
func encodeCall(enc *xmlrpc.Encoder, dst []byte, method string, params []param) []byte {
	dst = enc.CallStart(dst, method)
	dst = enc.ParamsStart(dst)
	for _, p := range params {
		switch v := p.value.(type) {
		case string:
			dst = enc.StringParam(dst, p.name, v)
		case int64:
			dst = enc.IntParam(dst, p.name, v)
		}
	}
	return enc.CallEnd(dst)
}

// What was raised for each capture in testdata/event_xmlrpc, after the event's
// name, which is the first parameter. The name of a capture is its shape and one
// of these.
var capturedInputs = map[string][]param{
	"noparams":        nil,
	"named_str":       {{"key", "one string"}},
	"named_int":       {{"num", int64(42)}},
	"named_int0":      {{"num", int64(0)}},
	"named_intmax":    {{"num", int64(2147483647)}},
	"named_negint":    {{"num", int64(-5)}},
	"named_several":   {{"c", "third assigned"}, {"b", int64(2)}, {"a", "first assigned"}},
	"unnamed_several": {{"", "third assigned"}, {"", int64(2)}, {"", "first assigned"}},
	"too_many_attrs":  {{"y", "v"}},
	"big-8124":        {{"data", strings.Repeat("A", 8124)}},
	"big-8073":        {{"data", strings.Repeat("A", 8073)}},
	"body_xmlchars":   {{"data", "a<b&c>d\"e'f]]>&amp;"}},
	"body_utf8":       {{"data", "Ünïcødé \u2603 \U0001F600"}},
	"body_badutf8":    {{"data", "x\xff\xfe\xc3(y"}},
	"body_nul":        {{"data", "ab\x00cd"}},
	"body_crlfxml":    {{"data", "</string></value></param><param><value><string>injected"}},
	"mi-noparams":     nil,
	"mi-arr-empty":    nil,
	"mi-array":        {{"", "one"}, {"", "two <&>"}, {"", ""}},
	"mi-array-int":    {{"", "one"}, {"", "2"}},
	"mi-pos":          {{"", "x"}, {"", "y"}},
	// true, null and the object of this raise have no form as a parameter.
	"mi-objstr":      {{"s", "v"}, {"i", int64(7)}, {"neg", int64(-3)}, {"f", "1.5"}, {"e", ""}},
	"mi-objstr-utf8": {{"u", "ü☃"}, {"c", "a\tb\nc\u0001"}},
}

// An exception is a part of a capture that is wrong, and what is right.
type exception struct{ captured, right string }

// Where the reference is wrong. All other bytes are as captured.
var exceptions = map[string][]exception{
	// nothing is escaped
	"body_xmlchars": {{`a<b&c>d"e'f]]>&amp;`, `a&lt;b&amp;c&gt;d"e'f]]&gt;&amp;amp;`}},
	"body_crlfxml": {{
		`</string></value></param><param><value><string>injected`,
		`&lt;/string&gt;&lt;/value&gt;&lt;/param&gt;&lt;param&gt;&lt;value&gt;&lt;string&gt;injected`,
	}},
	"mi-array": {{`two <&>`, `two &lt;&amp;&gt;`}},
	// characters that XML forbids and bytes that are no UTF-8 go out as they are
	"body_badutf8":   {{"x\xff\xfe\xc3(y", "x\uFFFD\uFFFD\uFFFD(y"}},
	"body_nul":       {{"ab\x00cd", "ab\uFFFDcd"}},
	"mi-objstr-utf8": {{"a\tb\nc\x01", "a\tb\nc\uFFFD"}},
	// negative integers are printed without their sign
	"named_negint": {{"<int>18446744073709551611</int>", "<int>-5</int>"}},
	// so here, 1.5 is cut to 1, and true, null and an object are freed memory
	"struct0-mi-objstr": {
		{"<int>18446744073709551613</int>", "<int>-3</int>"},
		{"<int>1</int>", "<string>1.5</string>"},
		{"<param>\n<name>t</name>\n<value><string>\x18\x98\xcc\xd4</string></value>\n</param>\n", ""},
		{"<param>\n<name>n</name>\n<value><string>\x18\x98\xcc\xd4</string></value>\n</param>\n", ""},
		{"<param>\n<name>o</name>\n<value><string>\x02\x00\x00\x00\x00\x00\x00\x00\xd0\x1a\xba</string></value>\n</param>\n", ""},
	},
	"struct1-mi-objstr": {
		{"<int>18446744073709551613</int>", "<int>-3</int>"},
		{"<int>1</int>", "<string>1.5</string>"},
		{"<param>\n<value><struct><member>\n<name>t</name>\n<value><string>\x98\xaf\xb62</string></value>\n</member></struct></value>\n</param>\n", ""},
		{"<param>\n<value><struct><member>\n<name>n</name>\n<value><string>\x98\xaf\xb62</string></value>\n</member></struct></value>\n</param>\n", ""},
		{"<param>\n<value><struct><member>\n<name>o</name>\n<value><string>\x02\x00\x00\x00\x00\x00\x00\x00\xd0:\xa4</string></value>\n</member></struct></value>\n</param>\n", ""},
	},
}

// TestCaptures holds that the encoder appends what event_xmlrpc sends.
func TestCaptures(t *testing.T) {
	captures, err := filepath.Glob("testdata/event_xmlrpc/*.http")
	if err != nil || len(captures) < 38 {
		t.Fatalf("expected 38 captures, got %d, error %v", len(captures), err)
	}
	for _, file := range captures {
		capture := strings.TrimSuffix(filepath.Base(file), ".http")
		t.Run(capture, func(t *testing.T) {
			shape, input, _ := strings.Cut(capture, "-")
			params, known := capturedInputs[input]
			if !known {
				t.Fatal("expected its input in capturedInputs")
			}
			enc := xmlrpc.Encoder{Shape: map[string]xmlrpc.Shape{
				"struct0": xmlrpc.NameBeside, "struct1": xmlrpc.NameInStruct,
			}[shape]}
			got := encodeCall(&enc, nil, "block_ip", append([]param{{"", "E_TEST"}}, params...))

			want := string(httpBody(t, file))
			for _, e := range append(exceptions[input], exceptions[capture]...) {
				if strings.Count(want, e.captured) != 1 {
					t.Fatalf("expected %q once in the capture, got it %d times", e.captured, strings.Count(want, e.captured))
				}
				want = strings.Replace(want, e.captured, e.right, 1)
			}
			if diff := cmp.Diff(want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// httpBody returns the body of a captured HTTP message.
func httpBody(t *testing.T, file string) []byte {
	t.Helper()
	message, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := bytes.Cut(message, []byte("\r\n\r\n"))
	if !found {
		t.Fatalf("expected an HTTP message in %s", file)
	}
	return body
}
