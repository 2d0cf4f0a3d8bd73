package transform_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/evid/evid/script/transform"
	"github.com/evid/evid/script/value"
)

// apply runs a transformation as it stands in the script within its braces.
func apply(text string, v value.Value) (value.Value, error) {
	name, rest, hasArgs := strings.Cut(text, ",")
	tr, ok := transform.Lookup(name)
	if !ok {
		panic("no transformation " + name)
	}
	var args []value.Value
	if hasArgs {
		for _, arg := range strings.SplitN(rest, ",", max(len(tr.Params), 1)) {
			args = append(args, value.String(arg))
		}
	}
	f, err := tr.Bind(args)
	if err != nil {
		return value.Value{}, err
	}
	return f(v), nil
}

// A row is a transformation, the text it is given and the result as a script has it.
type row struct{ transformation, input, want string }

func checkRows(t *testing.T, rows []row) {
	t.Helper()
	for _, r := range rows {
		got, err := apply(r.transformation, value.String(r.input))
		if err != nil {
			t.Errorf("%q {%s}: %v", r.input, r.transformation, err)
		} else if got.GoString() != r.want {
			t.Errorf("%q {%s}: got %#v, want %s", r.input, r.transformation, got, r.want)
		}
	}
}

func TestText(t *testing.T) {
	checkRows(t, []row{
		{"s.len", "abc", "3"},
		{"s.len", "", "0"},
		{"s.len", "ü", "2"},

		{"s.int", "2868.12 sec", "2868"},
		{"s.int", "-5", "-5"},
		{"s.int", "+5x", "5"},
		{"s.int", "", "0"},
		{"s.int", " 5", "0"},
		{"s.int", "x5", "0"},
		{"s.int", "9223372036854775807", "9223372036854775807"},
		{"s.int", "9223372036854775808", "9223372036854775807"},
		{"s.int", "-99999999999999999999", "-9223372036854775807"},

		{"s.substr,1,0", "abcd", `"bcd"`},
		{"s.substr, 1 , +2 ", "abcd", `"bc"`},
		{"s.substr,0,4", "abcd", `"abcd"`},
		{"s.substr,1,9", "abcd", `"bcd"`},
		{"s.substr,-1,0", "abcd", `"d"`},
		{"s.substr,-3,2", "abcd", `"bc"`},
		{"s.substr,-4,1", "abcd", `"a"`},
		{"s.substr,-5,1", "abcd", "NULL"},
		{"s.substr,4,0", "abcd", "NULL"},
		{"s.substr,0,-1", "abcd", `"abc"`},
		{"s.substr,1,-1", "abcd", `"bc"`},
		{"s.substr,2,-2", "abcd", `""`},
		{"s.substr,3,-2", "abcd", "NULL"},
		{"s.substr,0,-9", "abcd", "NULL"},
		{"s.substr,0,0", "", "NULL"},
		{"s.substr,9223372036854775807,9223372036854775807", "abcd", "NULL"},
		{"s.substr,1,9223372036854775807", "abcd", `"bcd"`},
		{"s.substr,-9223372036854775808,1", "abcd", "NULL"},
		{"s.substr,0,-9223372036854775808", "abcd", "NULL"},

		{"s.select,1,,", "12,34,56", `"34"`},
		{"s.select,-2,,", "12,34,56", `"34"`},
		{"s.select,0,,", "12,34,56", `"12"`},
		{"s.select,-1,,", "12,34,56", `"56"`},
		{"s.select,-3,,", "12,34,56", `"12"`},
		{"s.select,3,,", "12,34,56", "NULL"},
		{"s.select,-4,,", "12,34,56", "NULL"},
		{"s.select,1,,", "a,,c", `""`},
		{"s.select,-2,,", "a,,c", `""`},
		{"s.select,0,;", "a,b", `"a,b"`},
		{"s.select,-1,;", "a,b", `"a,b"`},
		{"s.select,1, ", "a b", `"b"`},
		{"s.select,1,;:", "a;b:c", `"b:c"`},
		{"s.select,1,é", "aébéc", `"b"`},
		{"s.select,0,,", "", `""`},
		{"s.select,-1,,", "", `""`},
		{"s.select,1,,", "", "NULL"},

		{"s.tolower", "ABC xyZ 1_Ä", `"abc xyz 1_Ä"`},
		{"s.tolower", "abc", `"abc"`},
		{"s.toupper", "abc XYz 1_ä", `"ABC XYZ 1_ä"`},
		{"S.ToUpper", "a", `"A"`},

		{"s.trim", "\t \n input string  \r  ", `"input string"`},
		{"s.trimr", "\t \n input string  \r  ", `"\t \n input string"`},
		{"s.triml", "\t \n input string  \r  ", `"input string  \r  "`},
		{"s.trim", " \t\r\n", `""`},
		{"s.trim", "\va\v", `"\va\v"`},

		{"s.escape.common", `a'b"c\d`, `"a\\'b\\\"c\\\\d"`},
		{"s.escape.common", "a\x00\n", `"a\\0\n"`},
		{"s.escape.common", "", `""`},
		{"s.unescape.common", `a\'b\"c\\d\0`, `"a'b\"c\\d\x00"`},
		{"s.unescape.common", `\n\`, `"\\n\\"`},
		{"s.unescape.common", `\\0`, `"\\0"`},
	})
}

func TestLists(t *testing.T) {
	checkRows(t, []row{
		{"csv.count", "a,b,c", "3"},
		{"csv.count", "a", "1"},
		{"csv.count", ",", "2"},
		{"csv.count", `"a,b",c`, "2"},
		{"csv.count", "", "NULL"},
		{"csv.count", `"a`, "NULL"},
		{"csv.value,2", "a,b,c", `"c"`},
		{"csv.value,-1", "a,b,c", `"c"`},
		{"csv.value,-3", "a,b,c", `"a"`},
		{"csv.value, 0 ", " a , b", `" a "`},
		{"csv.value,3", "a,b,c", "NULL"},
		{"csv.value,-4", "a,b,c", "NULL"},
		{"csv.value,1", "a,,c", `""`},
		{"csv.value,1", "a,", `""`},
		{"csv.value,1", `"a",`, `""`},
		{"csv.value,0", `"a ""b"", c",d`, `"a \"b\", c"`},
		{"csv.value,1", `"a ""b"", c",d`, `"d"`},
		{"csv.value,0", `""`, `""`},
		{"csv.value,0", `a"b"`, `"a\"b\""`},
		{"csv.value,0", `"a"b,c`, "NULL"},
		{"csv.value,1", "a,b\r\n", `"b"`},
		{"csv.value,0", "a\n,b", "NULL"},
		{"csv.value,0", "\"a\n\",b", `"a\n"`},
		{"csv.value,0", "é,b", `"é"`},

		{"param.value,c", "a=1;b=2;c=3", `"3"`},
		{"param.value, A ", "a=1;b=2;c=3", `"1"`},
		{"param.value,d", "a=1;b=2;c=3", "NULL"},
		{"param.value,a", "a=1;a=2", `"1"`},
		{"param.value,b", "a;b;c", `""`},
		{"param.value,a", ` a = 1 ; b`, "NULL"}, // the first name is empty, and no = or ; follows
		{"param.value,a", "a = 1 ; b", `"1"`},
		{"param.value,a", `a="x;y=\";b`, `"x;y=\\"`},
		{"param.value,a", `a=""`, `""`},
		{"param.value,a", `a="x`, "NULL"},
		{"param.value,a", "a=x=y", `"x=y"`},
		{"param.value,a", "a=1;", "NULL"},
		{"param.value,a", "a=1;b=", "NULL"},
		{"param.value,b", "a=1;b=;c", "NULL"},
		{"param.value,a", "a=1 2", "NULL"},
		{"param.value,b", "a=1,b=2", "NULL"},
		{"param.value,a", "a=1,b=2", `"1"`},
		{"param.value,a", "", "NULL"},
		{"param.exist,ob", "a=0;b=2;ob;c=3", "1"},
		{"param.exist,a", "a=0;b=2;ob;c=3", "1"},
		{"param.exist,foo", "a=0;b=2;ob;c=3", "0"},
		{"param.exist,a", "a=", "NULL"},
		{"param.count", "a=1;b=2;c=3", "3"},
		{"param.count", "a", "1"},
		{"param.count", "a=1;", "NULL"},
	})
}

func TestSIP(t *testing.T) {
	const full = "sip:alice:secret@example.com:5070;transport=tcp;lr?subject=a&to=b"
	checkRows(t, []row{
		{"uri.schema", full, `"sip"`},
		{"uri.user", full, `"alice"`},
		{"uri.passwd", full, `"secret"`},
		{"uri.host", full, `"example.com"`},
		{"uri.domain", full, `"example.com"`},
		{"uri.port", full, "5070"},
		{"uri.params", full, `"transport=tcp;lr"`},
		{"uri.param,Transport", full, `"tcp"`},
		{"uri.param,lr", full, `""`},
		{"uri.param,ttl", full, "NULL"},
		{"uri.headers", full, `"subject=a&to=b"`},

		{"uri.user", "sip:example.com", "NULL"},
		{"uri.passwd", "sip:a@example.com", "NULL"},
		{"uri.host", "SIPS:example.com", `"example.com"`},
		{"uri.port", "sip:example.com", "NULL"},
		{"uri.port", "sip:example.com:", "NULL"},
		{"uri.port", "sip:example.com:05060", "5060"},
		{"uri.host", "sip:example.com:65536", "NULL"},
		{"uri.host", "sip:example.com:5060x", "NULL"},
		{"uri.params", "sip:example.com", "NULL"},
		{"uri.param,lr", "sip:example.com", "NULL"},
		{"uri.param,lr", "sip:example.com;lr;x=", "NULL"},
		{"uri.headers", "sip:example.com?a=b", `"a=b"`},
		{"uri.host", "sip:example.com?a;b", "NULL"},

		{"uri.host", "sip:a@[2001:db8::1]:5060;lr", `"[2001:db8::1]"`},
		{"uri.port", "sip:[2001:db8::1]:5060", "5060"},
		{"uri.host", "sip:[2001:db8::1", "NULL"},
		{"uri.host", "sip:[::1]x", "NULL"},

		{"uri.user", "sip:a;b=c?d@example.com", `"a;b=c?d"`},
		{"uri.host", "sip:a;b=c?d@example.com;lr", `"example.com"`},
		{"uri.user", "sip:a@b@c", "NULL"},
		{"uri.user", "sip:a:b:c@d", "NULL"},
		{"uri.user", "sip:[a]@b", "NULL"},
		{"uri.host", "sip:@example.com", "NULL"},
		{"uri.host", "sip:a@", "NULL"},
		{"uri.host", "sip:", "NULL"},
		{"uri.host", "http://example.com", "NULL"},
		{"uri.host", "example.com", "NULL"},
		{"uri.host", "", "NULL"},

		{"uri.user", "tel:+49123;phone-context=x", `"+49123"`},
		{"uri.host", "tel:+49123", "NULL"},
		{"uri.host", "urn:service:sos", `"sos"`},

		{"nameaddr.name", `"test" <sip:test@opensips.org>`, `"\"test\""`},
		{"nameaddr.uri", `"test" <sip:test@opensips.org>`, `"sip:test@opensips.org"`},
		{"nameaddr.uri", `"test" <sip:test@opensips.org>;tag=dat43h`, `"sip:test@opensips.org"`},
		{"nameaddr.name", `"first" <first@opensips.org>, "second" <second@opensips.org>`, `"\"first\""`},
		{"nameaddr.uri", `"first" <first@opensips.org>, "second" <second@opensips.org>`, `"first@opensips.org"`},
		{"nameaddr.name", `"a \"<b>\", c"<sip:d>`, `"\"a \\\"<b>\\\", c\""`},
		{"nameaddr.name", "Alice  Smith  <sip:a>", `"Alice  Smith"`},
		{"nameaddr.name", "Alice<sip:a>", `"Alice"`},
		{"nameaddr.name", "<sip:a>", "NULL"},
		{"nameaddr.uri", " < sip:a;b,c > ", `"sip:a;b,c"`},
		{"nameaddr.uri", "sip:a@b;tag=c", `"sip:a@b"`},
		{"nameaddr.uri", "sip:a@b , sip:c@d", `"sip:a@b"`},
		{"nameaddr.name", "sip:a@b", "NULL"},
		{"nameaddr.uri", "Alice Smith", "NULL"},
		{"nameaddr.uri", "<>", "NULL"},
		{"nameaddr.uri", "<sip:a", "NULL"},
		{"nameaddr.uri", "<sip:a> b", "NULL"},
		{"nameaddr.uri", `"a`, "NULL"},
		{"nameaddr.uri", `"a" sip:b`, "NULL"},
		{"nameaddr.uri", `a "b" <sip:c>`, "NULL"},
		{"nameaddr.uri", "", "NULL"},

		{"ip.isip", "194.168.4.134", "1"},
		{"ip.isip", "194.168.4.134.1", "0"},
		{"ip.isip", "194.168.4", "0"},
		{"ip.isip", "194.168.4.256", "0"},
		{"ip.isip", "194.168.04.1", "0"},
		{"ip.isip", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", "1"},
		{"ip.isip", "::", "1"},
		{"ip.isip", "[::1]", "1"},
		{"ip.isip", "[::1", "0"},
		{"ip.isip", "[1.2.3.4]", "0"},
		{"ip.isip", "fe80::1%eth0", "0"},
		{"ip.isip", "::ffff:1.2.3.4", "1"},
		{"ip.isip", " 1.2.3.4", "0"},
		{"ip.isip", "example.com", "0"},
		{"ip.isip", "", "NULL"},
		{"ip.isip4", "194.168.4.134", "1"},
		{"ip.isip4", "::1", "0"},
		{"ip.isip6", "194.168.4.134", "0"},
		{"ip.isip6", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", "1"},
	})
}

func TestSubst(t *testing.T) {
	checkRows(t, []row{
		{"re.subst,/a/A/g", "abc", `"Abc"`},
		{"re.subst,/b/B/g", "abc", `"aBc"`},
		{"re.subst,/a/A/", "aaa", `"Aaa"`},
		{"re.subst,/a/A/g", "aaa", `"AAA"`},
		{"re.subst,/A/x/gi", "aAb", `"xxb"`},
		{"re.subst, /a/b/", "a", `"b"`},
		{"re.subst,/x/y/", "abc", `"abc"`},
		{"re.subst,/b//", "abc", `"ac"`},
		{"re.subst,/a/x/", "", "NULL"},

		// Groups and escapes.
		{`re.subst,/(.*)@(.*)/\2 \1 \0/`, "a@b", `"b a a@b"`},
		{`re.subst,/(a)|(b)/[\2\1]/g`, "ab", `"[a][b]"`},
		{`re.subst,/a/\9x/`, "a", `"x"`},
		{`re.subst,/(((((((((a)))))))))/\9/`, "a", `"a"`},
		{`re.subst,/a/\n\r\t\\\$\x/`, "a", `"\n\r\t\\$x"`},

		// Other separators, separators within, and commas and braces.
		{"re.subst,|/|-|g", "a/b/c", `"a-b-c"`},
		{`re.subst,/\//\/\//`, "a/b", `"a//b"`},
		{`re.subst,|a\|b|x|`, "a|b", `"x"`},
		{"re.subst,/a,b/c,d/", "a,b", `"c,d"`},
		{"re.subst,/[0-9]{2,3}/x/", "a1234", `"ax4"`},
		{`re.subst,/[0-9]\{2\}/x/`, "123", `"x3"`},

		// Lines.
		{"re.subst,/^b/x/", "a\nb", `"a\nx"`},
		{"re.subst,/^b/x/s", "a\nb", `"a\nb"`},
		{"re.subst,/^[a-z]/x/g", "ab\ncd", `"xb\nxd"`},
		{"re.subst,/^a/x/g", "aaa", `"xaa"`},
		{"re.subst,/.+/x/", "a\nb", `"x\nb"`},
		{"re.subst,/.+/x/s", "a\nb", `"x"`},
		{`re.subst,/\<[a-z]/x/g`, "ab cd", `"xb xd"`},

		// Empty matches.
		{"re.subst,/b*/x/", "abc", "NULL"},
		{"re.subst,/b*/x/g", "bba", "NULL"},
		{"re.subst,/$/x/", "abc", "NULL"},

		// Limits.
		{"re.subst,/b/x/", strings.Repeat("a", 1<<20) + "b", "NULL"},
		{"re.subst,/a/" + strings.Repeat("x", 1024) + "/g", strings.Repeat("a", 1025), "NULL"},
		{"re.subst,/a//g", strings.Repeat("a", 1<<16), `""`},
		{"re.subst,/a//g", strings.Repeat("a", 1<<16+1), "NULL"},
	})
}

func TestNull(t *testing.T) {
	args := map[string]string{
		"csv.value": ",0", "param.exist": ",a", "param.value": ",a", "re.subst": ",/a/b/",
		"s.select": ",0,;", "s.substr": ",0,1", "uri.param": ",a",
	}
	for _, name := range transform.Names() {
		got, err := apply(name+args[name], value.Value{})
		if err != nil || !got.IsNull() {
			t.Errorf("{%s} of NULL: got %#v, %v", name, got, err)
		}
	}
}

func TestInteger(t *testing.T) {
	for _, r := range []struct{ transformation, want string }{
		{"s.len", "5"},
		{"s.int", "-1234"},
		{"s.substr,1,2", `"12"`},
		{"s.select,1,2", `"34"`},
		{"s.tolower", "-1234"},
		{"s.toupper", "-1234"},
		{"s.trim", "-1234"},
		{"s.triml", "-1234"},
		{"s.trimr", "-1234"},
		{"s.escape.common", `"-1234"`},
		{"re.subst,/2/x/", `"-1x34"`},
		{"re.subst,/9/x/", "-1234"},
		{"csv.value,0", `"-1234"`},
		{"param.count", "1"},
		{"uri.host", "NULL"},
		{"ip.isip", "0"},
	} {
		got, err := apply(r.transformation, value.Int(-1234))
		if err != nil || got.GoString() != r.want {
			t.Errorf("-1234 {%s}: got %#v, %v, want %s", r.transformation, got, err, r.want)
		}
	}
}

func TestBindError(t *testing.T) {
	str := value.String
	for _, test := range []struct {
		name string
		args []value.Value
		want string
	}{
		{"s.len", []value.Value{str("1")}, `{s.len}: expected no arguments, got 1`},
		{"s.substr", []value.Value{str("1")}, `{s.substr}: expected 2 arguments (offset, length), got 1`},
		{"s.substr", []value.Value{str("x"), str("0")}, `{s.substr}: expected an integer offset, got "x"`},
		{"s.substr", []value.Value{value.Int(1), {}}, `{s.substr}: expected an integer length, got NULL`},
		{"s.select", []value.Value{str("1,"), str(";")}, `{s.select}: expected an integer index, got "1,"`},
		{"s.select", []value.Value{str("1"), str("")}, `{s.select}: expected a separator of one character, got none`},
		{"csv.value", []value.Value{str("99999999999999999999")}, `{csv.value}: expected an integer index, got "99999999999999999999"`},
		{"param.value", []value.Value{str(" ")}, `{param.value}: expected the name of a parameter, got " "`},
		{"param.exist", []value.Value{str("a,b")}, `{param.exist}: expected the name of a parameter, got "a,b"`},
		{"uri.param", []value.Value{{}}, `{uri.param}: expected the name of a parameter, got NULL`},
		{"re.subst", []value.Value{str("")}, `{re.subst}: expected /expression/replacement/flags, got ""`},
		{"re.subst", []value.Value{str(`\a\b\`)}, `{re.subst}: expected /expression/replacement/flags, got "\\a\\b\\"`},
		{"re.subst", []value.Value{str("/a")}, `{re.subst}: expected a second / after the expression`},
		{"re.subst", []value.Value{str("/a/b")}, `{re.subst}: expected a third / after the replacement`},
		{"re.subst", []value.Value{str("|a|b/")}, `{re.subst}: expected a third | after the replacement`},
		{"re.subst", []value.Value{str("//b/")}, `{re.subst}: the expression is empty: it would match nowhere`},
		{"re.subst", []value.Value{str("/a/b/gx")}, `{re.subst}: unknown flag 'x' after the last /: expected i, s or g`},
		{"re.subst", []value.Value{str("/(/b/")}, `{re.subst}: ( is not closed: expected a )`},
		{"re.subst", []value.Value{str("/a/x$var(y)z/")}, `{re.subst}: variable $var(y) in the replacement is not supported: for the character itself, write \$`},
		{"re.subst", []value.Value{str("/a/$ru-/")}, `{re.subst}: variable $ru in the replacement is not supported: for the character itself, write \$`},
		{"re.subst", []value.Value{str(`/a/\u/`)}, `{re.subst}: \u in the replacement, the URI of a request, is not supported`},
		{"re.subst", []value.Value{str("/a/" + strings.Repeat("x", 4096) + "/")}, `{re.subst}: the replacement is too long: at most 4095 bytes are allowed`},
	} {
		tr, ok := transform.Lookup(test.name)
		if !ok {
			t.Fatalf("no transformation %s", test.name)
		}
		if _, err := tr.Bind(test.args); err == nil || err.Error() != test.want {
			t.Errorf("%s%#v: got error %v, want %s", test.name, test.args, err, test.want)
		}
	}
}

func TestIntegerArgument(t *testing.T) {
	tr, _ := transform.Lookup("s.substr")
	f, err := tr.Bind([]value.Value{value.Int(-2), value.Int(1)})
	if err != nil {
		t.Fatal(err)
	}
	if got := f(value.String("abc")); got != value.String("b") {
		t.Errorf("got %#v", got)
	}
}

func TestNames(t *testing.T) {
	names := transform.Names()
	if !slices.IsSorted(names) {
		t.Errorf("not sorted: %q", names)
	}
	for _, name := range names {
		if tr, ok := transform.Lookup(name); !ok || tr.Name != name {
			t.Errorf("look up %s: got %q, %v", name, tr.Name, ok)
		}
	}
	if _, ok := transform.Lookup("s.nothing"); ok {
		t.Error("s.nothing exists")
	}
}

// No input panics, and the limits hold.
func FuzzTransform(f *testing.F) {
	for i := range transform.Names() {
		f.Add(uint8(i), "0,,", "a=1,\"b\" <sip:c:d@e:5;f?g>\n")
	}
	f.Fuzz(func(t *testing.T, which uint8, args, input string) {
		names := transform.Names()
		name := names[int(which)%len(names)]
		tr, _ := transform.Lookup(name)
		call := name
		if len(tr.Params) > 0 {
			call += "," + args
		}
		got, err := apply(call, value.String(input))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "{"+name+"}: ") {
				t.Errorf("{%s}: error without the name: %v", call, err)
			}
			return
		}
		limit := len(input)
		switch name {
		case "s.escape.common":
			limit *= 2
			if back, _ := apply("s.unescape.common", got); back != value.String(input) {
				t.Errorf("%q is %#v escaped, and back %#v", input, got, back)
			}
		case "re.subst":
			limit = max(limit, 1<<20)
		}
		if got.IsString() && len(got.Text()) > limit {
			t.Errorf("%q {%s}: %d bytes", input, call, len(got.Text()))
		}
	})
}

func BenchmarkTransform(b *testing.B) {
	for _, call := range []string{
		"s.select,1,,", `re.subst,/^sip:([^@]+)@.*$/\1/`, "re.subst,/[0-9]/x/g", "uri.user", "param.value,b", "csv.value,1",
	} {
		b.Run(call, func(b *testing.B) {
			name, rest, _ := strings.Cut(call, ",")
			tr, _ := transform.Lookup(name)
			var args []value.Value
			if len(tr.Params) > 0 {
				for _, arg := range strings.SplitN(rest, ",", len(tr.Params)) {
					args = append(args, value.String(arg))
				}
			}
			f, err := tr.Bind(args)
			if err != nil {
				b.Fatal(err)
			}
			input := value.String("sip:alice@192.0.2.1:5060;a=1;b=2,x")
			b.ReportAllocs()
			for b.Loop() {
				f(input)
			}
		})
	}
}
