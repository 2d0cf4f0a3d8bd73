package xmlrpc_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/xmlrpc"
)

func TestEncoderText(t *testing.T) {
	tests := []struct {
		name, text, want string
		replaced         int
	}{
		{"empty", "", "", 0},
		{"plain", "sip:bob@10.0.0.1;tag=1", "sip:bob@10.0.0.1;tag=1", 0},
		{"markup", `<a b="c">&amp;'`, `&lt;a b="c"&gt;&amp;amp;'`, 0},
		{"blanks stay", " \t\n x ", " \t\n x ", 0},
		{"carriage return", "a\r\nb\r", "a&#13;\nb&#13;", 0},
		{"two to four bytes", "é☃😀", "é☃😀", 0},
		{"U+FFFD is a character", "\uFFFD", "\uFFFD", 0},
		{"DEL and C1 controls are allowed", "\x7f\u0085", "\x7f\u0085", 0},
		{"control characters", "\x00a\x1f\x0b", "\uFFFDa\uFFFD\uFFFD", 3},
		{"no characters of XML", "\uFFFE\uFFFFx", "\uFFFD\uFFFDx", 2},
		{"surrogate", "\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD", 3},
		{"cut short", "a\xe2\x98", "a\uFFFD\uFFFD", 2},
		{"overlong", "\xc0\xbc", "\uFFFD\uFFFD", 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var enc xmlrpc.Encoder
			got := enc.StringParam(nil, "", test.text)
			want := "<param>\n<value><string>" + test.want + "</string></value>\n</param>\n"
			if string(got) != want || enc.Replaced != test.replaced {
				t.Errorf("got %q with %d replaced, want %q with %d", got, enc.Replaced, want, test.replaced)
			}
		})
	}
}

// Methods and names are escaped, and what is replaced in them is counted.
func TestEncoderEscapesNames(t *testing.T) {
	enc := xmlrpc.Encoder{Shape: xmlrpc.NameInStruct}
	got := string(encodeCall(&enc, nil, "a<b\x01", []param{{"c&d\x02", "v"}, {"\r", int64(1)}}))
	for _, want := range []string{
		"<methodName>a&lt;b\uFFFD</methodName>", "<name>c&amp;d\uFFFD</name>", "<name>&#13;</name>",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	if enc.Replaced != 2 {
		t.Errorf("got %d replaced, want 2", enc.Replaced)
	}
}

func TestEncoderInt(t *testing.T) {
	tests := []struct {
		value      int64
		str, asBig string // BigIntString, BigIntI8
	}{
		{-5, "<int>-5</int>", "<int>-5</int>"},
		{math.MaxInt32, "<int>2147483647</int>", "<int>2147483647</int>"},
		{math.MinInt32, "<int>-2147483648</int>", "<int>-2147483648</int>"},
		{math.MaxInt32 + 1, "<string>2147483648</string>", "<i8>2147483648</i8>"},
		{math.MinInt32 - 1, "<string>-2147483649</string>", "<i8>-2147483649</i8>"},
		{math.MinInt64, "<string>-9223372036854775808</string>", "<i8>-9223372036854775808</i8>"},
	}
	for _, test := range tests {
		for big, want := range map[xmlrpc.BigInt]string{xmlrpc.BigIntString: test.str, xmlrpc.BigIntI8: test.asBig} {
			enc := xmlrpc.Encoder{BigInt: big}
			got := enc.IntParam(nil, "", test.value)
			if want := "<param>\n<value>" + want + "</value>\n</param>\n"; string(got) != want {
				t.Errorf("%d: got %q, want %q", test.value, got, want)
			}
		}
	}
}

func TestEncoderShapes(t *testing.T) {
	const value = "<value><string>v</string></value>\n"
	const member = "<value><struct><member>\n<name>n</name>\n" + value + "</member></struct></value>\n"
	tests := []struct {
		shape       xmlrpc.Shape
		param, item string
	}{
		{xmlrpc.NameBeside, "<name>n</name>\n" + value, value},
		{xmlrpc.NameInStruct, member, member},
		{xmlrpc.NameNone, value, value},
	}
	for _, test := range tests {
		enc := xmlrpc.Encoder{Shape: test.shape}
		if got, want := string(enc.StringParam(nil, "n", "v")), "<param>\n"+test.param+"</param>\n"; got != want {
			t.Errorf("shape %d: got param %q, want %q", test.shape, got, want)
		}
		if got := string(enc.StringItem(nil, "n", "v")); got != test.item {
			t.Errorf("shape %d: got item %q, want %q", test.shape, got, test.item)
		}
		if got := string(enc.StringItem(nil, "", "v")); got != value {
			t.Errorf("shape %d: got unnamed item %q, want %q", test.shape, got, value)
		}
	}
}

// appendItem appends one call to a system.multicall.
func appendItem(enc *xmlrpc.Encoder, dst []byte, method string, items []byte) []byte {
	dst = enc.MulticallItemStart(dst, method)
	return enc.MulticallItemEnd(append(dst, items...))
}

func TestEncoderMulticall(t *testing.T) {
	enc := xmlrpc.Encoder{Shape: xmlrpc.NameInStruct}
	items := enc.StringItem(nil, "", "E_TEST")
	items = enc.IntItem(items, "num", 42)

	got := enc.MulticallStart(nil)
	got = appendItem(&enc, got, "block_ip", items)
	got = appendItem(&enc, got, "a&b", nil)
	got = enc.MulticallEnd(got)
	const want = `<?xml version="1.0"?>
<methodCall>
<methodName>system.multicall</methodName>
<params>
<param>
<value><array><data>
<value><struct><member>
<name>methodName</name>
<value><string>block_ip</string></value>
</member><member>
<name>params</name>
<value><array><data>
<value><string>E_TEST</string></value>
<value><struct><member>
<name>num</name>
<value><int>42</int></value>
</member></struct></value>
</data></array></value>
</member></struct></value>
<value><struct><member>
<name>methodName</name>
<value><string>a&amp;b</string></value>
</member><member>
<name>params</name>
<value><array><data>
</data></array></value>
</member></struct></value>
</data></array></value>
</param>
</params>
</methodCall>`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEncoderDoesNotAllocate(t *testing.T) {
	params := []param{
		{"", "E_TEST"},
		{"ip", "192.168.2.11"},
		{"to", "<sip:bob@10.0.0.1>;tag=a&b\r\n"},
		{"bad", "\xff\x00"},
		{"n", int64(-5)},
		{"big", int64(1 << 40)},
	}
	buffer, items := make([]byte, 0, 4096), make([]byte, 0, 4096)
	for _, enc := range []xmlrpc.Encoder{
		{Shape: xmlrpc.NameBeside}, {Shape: xmlrpc.NameInStruct, BigInt: xmlrpc.BigIntI8}, {Shape: xmlrpc.NameNone},
	} {
		allocs := testing.AllocsPerRun(100, func() {
			encodeCall(&enc, buffer, "block_ip", params)
			dst := enc.MulticallStart(buffer)
			dst = appendItem(&enc, dst, "block_ip", enc.IntItem(enc.StringItem(items, "ip", "a<b"), "n", 1<<40))
			enc.MulticallEnd(dst)
		})
		if allocs != 0 {
			t.Errorf("shape %d: got %v allocations per call, want none", enc.Shape, allocs)
		}
	}
}
