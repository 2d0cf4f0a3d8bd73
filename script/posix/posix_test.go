package posix_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/evid/evid/script/posix"
)

func TestCompile(t *testing.T) {
	// What is wanted is what the C library of GNU finds.
	for _, test := range []struct {
		options string // i: IgnoreCase, l: Lines
		expr    string
		text    string
		want    string // of the match in quotes; none
	}{
		// Anchors, dots and line ends.
		{"", "^b", "a\nb", "none"},
		{"l", "^b", "a\nb", `"b"`},
		{"", "a$", "a\nb", "none"},
		{"l", "a$", "a\nb", `"a"`},
		{"", "a.b", "a\nb", `"a\nb"`},
		{"l", "a.b", "a\nb", "none"},
		{"", "a[^x]b", "a\nb", `"a\nb"`},
		{"l", "a[^x]b", "a\nb", "none"},
		{"l", `a\Wb`, "a\nb", `"a\nb"`},
		{"l", "a[[:space:]]b", "a\nb", `"a\nb"`},
		{"l", "\\`b", "a\nb", "none"},
		{"l", `a\'`, "a\nb", "none"},
		{"", "a^b", "a^b", "none"},

		// The longest of the leftmost matches.
		{"", "a|ab|abc", "xabcd", `"abc"`},
		{"", "(a|ab)(c|bcd)", "abcd", `"abcd"`},
		{"", "x*", "axx", `""`},

		// Repetitions.
		{"", "a+*", "aab", `"aa"`},
		{"", "ba+?", "baa", `"baa"`},
		{"", "ba??", "baa", `"ba"`},
		{"", "a{2}", "aaa", `"aa"`},
		{"", "a{2,}", "aaaa", `"aaaa"`},
		{"", "a{,2}", "aaa", `"aa"`},
		{"", "a{1,2}{2}", "aaaaa", `"aaaa"`},
		{"", "ba{0}c", "bc", `"bc"`},
		{"", "(^)*a", "a", `"a"`},
		{"", "()", "a", `""`},
		{"", "a|", "b", `""`},

		// What stands for itself.
		{"", "a)", "a)", `"a)"`},
		{"", "a}", "a}", `"a}"`},
		{"", "]", "]", `"]"`},
		{"", `\d\n`, "dn", `"dn"`},
		{"", `\.\*\(\{\|`, ".*({|", `".*({|"`},
		{"", `\.`, "a", "none"},

		// Lists.
		{"", `[\n]+`, `\n\`, `"\\n\\"`},
		{"", "[]a]+", "]a", `"]a"`},
		{"", "[^]a]+", "]ab", `"b"`},
		{"", "[a-]+", "a-b", `"a-"`},
		{"", "[-a]+", "a-b", `"a-"`},
		{"", "[--/]+", "-./0", `"-./"`},
		{"", "[a^]+", "^a", `"^a"`},
		{"", "[[:digit:][:upper:]_]+", "a1B_c", `"1B_"`},
		{"", "[[.-.]a]+", "-a", `"-a"`},
		{"", "[[.a.]-c]+", "abcd", `"abc"`},
		{"", "[[=a=]]+", "ab", `"a"`},
		{"", "[:a:]+", ":a:", `":a:"`},
		{"", "[$.*(]+", "(*.$", `"(*.$"`},

		// Upper and lower case.
		{"i", "abc", "xABC", `"ABC"`},
		{"i", "[[:upper:]]+", "aB", `"aB"`},
		{"i", "[A-z]+", "a_b", `"a"`},
		{"i", "[^a]", "A", "none"},

		// Words.
		{"", `\<b\w+`, "ab bc", `"bc"`},
		{"", `a\>`, "ab a", `"a"`},
		{"", `\bb`, "ab b", `"b"`},
		{"", `\Bb`, "b ab", `"b"`},
		{"", `\s+`, "a \t\v\fb", `" \t\v\f"`},
		{"", `\S+`, " ab ", `"ab"`},

		{"", "ü.", "xüé", `"üé"`},
		{"", "a.b", "a\xffb", `"a\xffb"`},
	} {
		options := posix.Options{
			IgnoreCase: strings.Contains(test.options, "i"),
			Lines:      strings.Contains(test.options, "l"),
		}
		re, err := options.Compile(test.expr)
		if err != nil {
			t.Errorf("%q: %v", test.expr, err)
			continue
		}
		got := "none"
		if match := re.FindStringIndex(test.text); match != nil {
			got = fmt.Sprintf("%q", test.text[match[0]:match[1]])
		}
		if got != test.want {
			t.Errorf("%q with %q in %q: got %s, want %s", test.expr, test.options, test.text, got, test.want)
		}
	}
}

func TestCompileError(t *testing.T) {
	for _, test := range []struct{ expr, want string }{
		{"*a", `nothing before * that it could repeat: to match one, write \*`},
		{"a|+", `nothing before + that it could repeat: to match one, write \+`},
		{"(?:a)", `nothing before ? that it could repeat: to match one, write \?`},
		{"^*", `nothing before * that it could repeat: to match one, write \*`},
		{`\b+`, `nothing before + that it could repeat: to match one, write \+`},
		{"{1}", `nothing before { that it could repeat: to match one, write \{`},
		{"a{1", "{ is not closed: expected a }"},
		{"a{x}", "unknown repetition {x}: expected {n}, {n,}, {,m} or {n,m}"},
		{"a{}", "unknown repetition {}: expected {n}, {n,}, {,m} or {n,m}"},
		{"a{2,1}", "unknown repetition {2,1}: expected {n}, {n,}, {,m} or {n,m}"},
		{"a{1001}", "repetition {1001} is too large: at most 1000 times are allowed"},
		{"a{99999999999}", "repetition {99999999999} is too large: at most 1000 times are allowed"},
		{"(a", "( is not closed: expected a )"},
		{"[a", "[ is not closed: expected a ] (the first one after [ or [^ stands for itself)"},
		{"[]", "[ is not closed: expected a ] (the first one after [ or [^ stands for itself)"},
		{"[[:alpha:", "[: is not closed: expected a :]"},
		{"[[:letter:]]", "unknown class [:letter:]"},
		{"[[.hyphen.]]", `unknown character "hyphen" within [ ]: expected a single one`},
		{"[b-a]", "range b-a within [ ] goes backwards"},
		{"[a-c-e]", `- within [ ] stands neither for a range nor at the end, before "e]"`},
		{"[a-[:digit:]]", "a range within [ ] cannot end in a class"},
		{"[[:digit:]-a]", "a range within [ ] cannot begin with a class"},
		{`(a)\1`, `back-reference \1 is not supported`},
		{`a\`, `expression ends in a backslash: to match one, write \\`},
		{"\xff", "expression is not valid UTF-8"},
		{strings.Repeat("a", 4097), "expression has 4097 bytes: at most 4096 are allowed"},
		{strings.Repeat("(", 101), "groups are too deep: at most 100 are allowed"},
		{"(a{100}){100}", "expression is too large: what it repeats makes it too long"},
		{strings.Repeat("a{1000}", 6), "expression is too large: what it repeats makes it too long"},
		{"((a{0,40}){0,40}){0}", "expression is too large: what it repeats makes it too long"},
	} {
		re, err := posix.Compile(test.expr, false)
		if err == nil {
			t.Errorf("%q: compiled to %v", test.expr, re)
		} else if err.Error() != test.want {
			t.Errorf("%q: got error %q, want %q", test.expr, err, test.want)
		}
	}
}

func TestGroups(t *testing.T) {
	for _, test := range []struct{ groups, want int }{{0, 0}, {1, 1}, {posix.AllGroups, 2}} {
		re, err := posix.Options{Groups: test.groups}.Compile("(a)(b)")
		if err != nil {
			t.Fatal(err)
		}
		if got := re.NumSubexp(); got != test.want {
			t.Errorf("%d groups: %d are remembered, want %d", test.groups, got, test.want)
		}
	}
}

// What compiles must be matched, and an error must be one of ours.
func FuzzCompile(f *testing.F) {
	f.Add("^(a|b{2,3})*[[:alpha:]]$", "abb", true, false)
	f.Fuzz(func(t *testing.T, expr, text string, ignoreCase, lines bool) {
		re, err := posix.Options{IgnoreCase: ignoreCase, Lines: lines, Groups: 9}.Compile(expr)
		if err != nil {
			if strings.HasPrefix(err.Error(), "translate ") {
				t.Error(err)
			}
			return
		}
		if len(text) < 200 {
			re.FindStringSubmatchIndex(text)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	re, err := posix.Compile("^sip:[0-9]+@(.*[.])?example[.]com", true)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !re.MatchString("sip:4912345678@sip.example.com;transport=udp") {
			b.Fatal("no match")
		}
	}
}
