package script_test

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/evid/evid/internal/txtartest"
	"github.com/evid/evid/modparam"
	"github.com/evid/evid/script"
)

var update = flag.Bool("update", false, "write what the tests get into testdata")

func TestParse(t *testing.T) {
	txtartest.ForEach(t, "testdata/parse", *update, func(t *testing.T, files map[string]string) map[string]string {
		file, err := script.Parse("evid.cfg", []byte(files["evid.cfg"]), txtartest.Open(files))
		return map[string]string{"ast": dump(file), "errors": lines(err)}
	})
}

// dump gives each node with its place and type.
func dump(f *script.File) string {
	var b strings.Builder
	node := func(indent string, n script.Node) {
		fmt.Fprintf(&b, "%s%v %s %v\n", indent, n.Position(), strings.TrimPrefix(fmt.Sprintf("%T", n), "*script."), n)
	}
	for _, s := range f.Stmts {
		node("", s)
		switch s := s.(type) {
		case *script.Global:
			node("\t", s.Value)
		case *script.LoadModule:
			node("\t", s.Module)
		case *script.ModParam:
			node("\t", s.Module)
			node("\t", s.Param)
			node("\t", s.Value)
		case *script.Route:
			for _, arg := range s.Args {
				node("\t", arg)
			}
			node("\t", s.Body)
		}
	}
	return b.String()
}

func lines(err error) string {
	if err == nil {
		return ""
	}
	return err.Error() + "\n"
}

func TestApply(t *testing.T) {
	txtartest.ForEach(t, "testdata/apply", *update, func(t *testing.T, files map[string]string) map[string]string {
		file, _ := script.Parse("evid.cfg", []byte(files["evid.cfg"]), txtartest.Open(files))
		schema := newSchema()
		loaded, warnings, err := file.Apply(schema)
		return map[string]string{
			"loaded":   strings.Join(loaded, " ") + "\n",
			"values":   values(schema),
			"warnings": strings.TrimLeft(warnings.Error()+"\n", "\n"),
			"errors":   lines(err),
		}
	})
}

// newSchema has parameters of every type, at their defaults.
func newSchema() script.Schema {
	var conf struct {
		logLevel, structParam           int
		stderror, sync                  bool
		socket, agent, bigInt, register string
		timeout                         time.Duration
	}
	register := modparam.Func(modparam.Text,
		func() string { return conf.register },
		func(text string) error {
			if text == "" {
				return errors.New("expected names of events")
			}
			conf.register += text + ";"
			return nil
		})
	xmlrpc := []modparam.Param{
		{Name: "use_struct_param", Value: modparam.Int(&conf.structParam, 0, 1)},
		{Name: "sync_mode", Value: modparam.Bool(&conf.sync)},
		{Name: "timeout", Value: modparam.Duration(&conf.timeout, 0, time.Minute)},
		{Name: "user_agent", Value: modparam.String(&conf.agent)},
		{Name: "big_int", Value: modparam.OneOf(&conf.bigInt, "string", "i8")},
	}
	return script.Schema{
		Globals: []modparam.Param{
			{Name: "log_level", Value: modparam.Int(&conf.logLevel, -3, 4)},
			{Name: "stderror_enabled", Value: modparam.Bool(&conf.stderror)},
			{Name: "socket", Value: modparam.String(&conf.socket)},
		},
		Modules: []script.Module{
			{Name: "event_xmlrpc", Params: xmlrpc},
			{Name: "evi", Params: []modparam.Param{{Name: "register", Value: register}}, Always: true},
			{Name: "event_other", Params: xmlrpc[1:2]},
			{Name: "mi_http", Ignored: map[string]string{"trace_destination": "evid sends no traces"}},
		},
		Ignored: map[string]string{
			"udp_workers": "evid needs no worker processes",
			"mpath":       "evid's modules are built in",
		},
		OutsideGlobals: map[string]string{"listen": "evid takes no SIP"},
		Outside: map[string]string{
			"tm":     "evid handles no SIP transactions",
			"dialog": "evid handles no SIP dialogs",
		},
	}
}

// values gives every parameter and its value.
func values(s script.Schema) string {
	var b strings.Builder
	for _, p := range s.Globals {
		fmt.Fprintf(&b, "%s=%v\n", p.Name, p.Value)
	}
	for _, m := range s.Modules {
		for _, p := range m.Params {
			fmt.Fprintf(&b, "%s.%s=%v\n", m.Name, p.Name, p.Value)
		}
	}
	return b.String()
}

func TestParseReference(t *testing.T) {
	const path = "testdata/opensips.cfg"
	file, err := script.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, s := range file.Stmts {
		count[fmt.Sprintf("%T", s)]++
	}
	wantCount := map[string]int{"*script.Global": 6, "*script.LoadModule": 20, "*script.ModParam": 10, "*script.Route": 3}
	if diff := cmp.Diff(wantCount, count); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	checkPrinted(t, file)
}

// checkPrinted prints the file, parses that, and expects the same statements.
func checkPrinted(t *testing.T, file *script.File) {
	t.Helper()
	text := file.String()
	again, err := script.Parse("printed", []byte(text), nil)
	if err != nil {
		t.Errorf("parse what was printed: %v\n%s", err, text)
	}
	ignore := cmp.Options{cmpopts.IgnoreTypes(script.Pos{}), cmpopts.IgnoreUnexported(script.File{})}
	if diff := cmp.Diff(file, again, ignore); diff != "" {
		t.Errorf("statements after printing and parsing (-before +after):\n%s\n%s", diff, text)
	}
}

func TestParseFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	last := write("sub/last.cfg", "c=3")
	write("sub/more.cfg", "b=2\ninclude_file \"last.cfg\"\ninclude_file \""+last+"\"")
	path := write("evid.cfg", "a=1\ninclude_file \"sub/more.cfg\"\nd=4")
	file, err := script.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := file.String(), "a = 1\nb = 2\nc = 3\nc = 3\nd = 4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if file, err := script.ParseFile(filepath.Join(dir, "none.cfg")); !errors.Is(err, fs.ErrNotExist) || file != nil {
		t.Errorf("file that is not there: got %v and error %v", file, err)
	}
	if _, err := script.ParseFile(dir); err == nil {
		t.Error("directory: got no error")
	}
}

func TestParseFileThatNeverEnds(t *testing.T) {
	const endless = "/dev/zero"
	if _, err := os.Stat(endless); err != nil {
		t.Fatal(err)
	}
	const want = " is too large: expected at most 1048576 bytes"
	if _, err := script.ParseFile(endless); err == nil || err.Error() != endless+": "+endless+want {
		t.Errorf("the file itself: got error %v", err)
	}
	_, err := script.Parse("x", []byte(`include_file "`+endless+`"`), script.ReadFile)
	if err == nil || err.Error() != "x:1:14: "+endless+want {
		t.Errorf("an included file: got error %v", err)
	}
}

func TestParseWithoutFiles(t *testing.T) {
	_, err := script.Parse("<built-in>", []byte("a=1\ninclude_file \"b\""), nil)
	want := `<built-in>:2:14: include_file "b": no file can be included here`
	if err == nil || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestLimits(t *testing.T) {
	const mib = 1 << 20
	everything := func(text string) func(string) ([]byte, error) {
		return func(string) ([]byte, error) { return []byte(text), nil }
	}
	deeper := 0
	tests := []struct {
		name string
		src  string
		open func(string) ([]byte, error)
		want string // the last error; empty: none
	}{
		{
			"file size", strings.Repeat(" ", mib+1), nil,
			"evid.cfg: evid.cfg is too large: expected at most 1048576 bytes",
		},
		{
			"size of an included file", `include_file "x"`, everything(strings.Repeat(" ", mib+1)),
			"evid.cfg:1:14: x is too large: expected at most 1048576 bytes",
		},
		{
			"size of all files", strings.Repeat("include_file \"x\"\n", 20), everything(strings.Repeat(" ", mib)),
			"evid.cfg:8:14: x is too large: expected at most 8388608 bytes in all files together",
		},
		{"many includes", strings.Repeat("include_file \"x\"\n", 20), func(string) ([]byte, error) {
			return []byte("a=1"), nil
		}, ""},
		{"include depth", `include_file "0"`, func(string) ([]byte, error) {
			deeper++
			return fmt.Appendf(nil, "include_file \"%d\"", deeper), nil
		}, `31:1:14: include_file "32": included too deep: expected at most 32 files within each other`},
		{
			"braces in braces", "route " + strings.Repeat("{", 101) + strings.Repeat("}", 101), nil,
			"evid.cfg:1:107: braces are nested too deep: expected at most 100",
		},
		{
			"operands in parentheses", "route { $var(x) = (1" + strings.Repeat("+1", 500) + ")" + strings.Repeat("+1", 500) + "; }", nil,
			"evid.cfg:1:2019: expression is too long: expected at most 1000 operands",
		},
		{
			"transformations", "route { $var(x) = $(var(x)" + strings.Repeat("{s.len}", 101) + "); }", nil,
			`evid.cfg:1:19: variable "$(var(x)` + strings.Repeat("{s.len}", 101) + `)": too many transformations: expected at most 100`,
		},
		{
			"errors", strings.Repeat("oops\n", 200), nil,
			"evid.cfg:101:1: too many errors: only the first 100 are shown",
		},
		{
			"exactly as many errors", strings.Repeat("oops\n", 99) + "oops", nil,
			`evid.cfg:100:1: unknown statement "oops": expected name=value, loadmodule, modparam, include_file or a route`,
		},
		{
			"blocks that do not close", strings.Repeat("route{\n", mib/7), nil,
			"evid.cfg:101:1: too many errors: only the first 100 are shown",
		},
		{
			"words before a variable with words inside", "x=a" + strings.Repeat(" b$(", mib/6) + strings.Repeat(")", mib/6), nil,
			"",
		},
		{
			"strings that do not close", "route {" + strings.Repeat("\\\"\n", mib/4), nil,
			"evid.cfg:1:7: too many errors: only the first 100 are shown",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := script.Parse("evid.cfg", []byte(test.src), test.open)
			var errs script.Errors
			errors.As(err, &errs)
			if len(errs) > 101 {
				t.Errorf("got %d errors, want at most 101", len(errs))
			}
			last := ""
			if len(errs) > 0 {
				last = errs[len(errs)-1].Error()
			}
			if last != test.want {
				t.Errorf("got as the last error\n%.200s\nwant\n%s", last, test.want)
			}
		})
	}
}

// Formats as long as a file can be are cut without going over them again and again.
func TestLongFormat(t *testing.T) {
	const mib = 1 << 20
	pos := script.Pos{File: "evid.cfg", Line: 1, Col: 1}
	parts, err := script.ParseFormat(pos, strings.Repeat("$$", mib/2))
	if err != nil || len(parts) != 1 || len(parts[0].Text) != mib/2 {
		t.Errorf("dollars: %d parts, %v", len(parts), err)
	}
	_, err = script.ParseFormat(pos, strings.Repeat("$rc(", mib/4))
	if err == nil || !strings.HasSuffix(err.Error(), ": expected a ) at its end") {
		t.Errorf("not closed: got error %.200v", err)
	}
}

func TestExcerpt(t *testing.T) {
	src := "log_level=1\n\tloadmodule \t\"x\"\r\n" +
		"größe=1\n" + strings.Repeat("a", 100) + "=1 " + strings.Repeat("b", 100) + "\nbell=\"\a\""
	file, _ := script.Parse("<built-in>", []byte(src), nil)
	at := func(line, col int) script.Pos { return script.Pos{File: "<built-in>", Line: line, Col: col} }
	tests := []struct {
		name string
		pos  script.Pos
		want string
	}{
		{"first column", at(1, 1), "log_level=1\n^"},
		{"tabs are kept", at(2, 14), "\tloadmodule \t\"x\"\n\t           \t^"},
		{"letters of two bytes", at(3, 8), "größe=1\n     ^"},
		{"long line", at(4, 101), strings.Repeat("a", 60) + "=1 " + strings.Repeat("b", 57) + "\n" + strings.Repeat(" ", 60) + "^"},
		{"control character", at(5, 8), "bell=\"\ufffd\"\n       ^"},
		{"past the end of the line", at(1, 99), "log_level=1\n           ^"},
		{"no line", at(0, 0), ""},
		{"line past the end", at(6, 1), ""},
		{"another file", script.Pos{File: "x", Line: 1, Col: 1}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, file.Excerpt(test.pos)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if got := (*script.File)(nil).Excerpt(at(1, 1)); got != "" {
		t.Errorf("of a file that could not be read: got %q", got)
	}
}

// FuzzParse: no input panics or hangs, every error has a place in the text, and
// what is printed parses to the same.
func FuzzParse(f *testing.F) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range archives {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(archive.Files[0].Data))
	}
	f.Fuzz(func(t *testing.T, src string) {
		file, err := script.Parse("fuzz", []byte(src), txtartest.Open(map[string]string{"x": "a=1\ninclude_file \"x\""}))
		var errs script.Errors
		if err != nil && !errors.As(err, &errs) {
			t.Fatalf("error %v is not script.Errors", err)
		}
		for _, err := range errs {
			if len(src) < 1<<20 && file.Excerpt(err.Pos) == "" {
				t.Errorf("error without its line: %v", err)
			}
		}
		if err == nil {
			checkPrinted(t, file)
		}
		schema := newSchema()
		if _, _, err2 := file.Apply(schema); err != nil && err2 == nil {
			t.Errorf("Apply lost the errors of Parse: %v", err)
		}
	})
}

// A pipe that nobody writes to must not hold up who includes it.
func TestIncludeOfAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := script.Parse("x", []byte(`include_file "`+pipe+`"`), script.ReadFile)
	if err == nil || !strings.HasSuffix(err.Error(), "expected a file, it is a pipe") {
		t.Errorf("got error %v", err)
	}
}
