package test_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/internal/daemon"
	language "github.com/evid/evid/script"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/transform"
)

// script.md says what the script can use, and what comes of it.

func library(t *testing.T) program.Library {
	t.Helper()
	l, err := daemon.Library()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// compileScript compiles routes that may use every module.
func compileScript(t *testing.T, text string, log *slog.Logger) (*program.Program, error) {
	t.Helper()
	file, err := language.Parse("docs", []byte(text), language.ReadFile)
	if err != nil {
		return nil, err
	}
	opts := program.Options{Library: library(t), Log: log, MaxWhileLoops: 10}
	for _, m := range daemon.Schema().Modules {
		opts.Loaded = append(opts.Loaded, m.Name)
	}
	p, _, errs := program.Compile(file, opts)
	if len(errs) > 0 {
		return nil, errs
	}
	return p, nil
}

// cells returns a table's rows that begin with code, each cut into its cells.
func cells(section string) [][]string {
	var rows [][]string
	for line := range strings.Lines(tableRows(section)) {
		line = strings.ReplaceAll(strings.Trim(line, "|\n"), `\|`, "\x00") // no end of a cell
		row := strings.Split(line, "|")
		for i, cell := range row {
			row[i] = strings.ReplaceAll(strings.TrimSpace(cell), "\x00", "|")
		}
		rows = append(rows, row)
	}
	return rows
}

// column returns the texts in code of a table's first column.
func column(section string) []string {
	var texts []string
	for _, row := range cells(section) {
		texts = append(texts, strings.Trim(row[0], "`"))
	}
	return texts
}

// usage is how a function is written.
func usage(f *program.Function) string {
	if f.Usage != "" {
		return f.Usage
	}
	text, open := f.Name+"(", ""
	for i, p := range f.Params {
		if p.Optional {
			text, open = text+"[", open+"]"
		}
		if i > 0 {
			text += ", "
		}
		text += p.Name
	}
	return text + open + ")"
}

func TestDocsFunctions(t *testing.T) {
	doc := readDoc(t, "script.md")
	known := make(map[string][]string)
	for _, f := range library(t).Functions {
		heading := "## Functions"
		if f.Module != "" {
			heading = "### Module " + f.Module
		}
		known[heading] = append(known[heading], usage(&f))
	}
	for heading, usages := range known {
		slices.Sort(usages)
		if diff := cmp.Diff(usages, column(section(t, doc, heading))); diff != "" {
			t.Errorf("%s (-code +docs):\n%s", heading, diff)
		}
	}
}

func TestDocsVariables(t *testing.T) {
	known := []string{"avp", "param", "param", "rc", "retcode", "return", "var"} // of the language
	for _, v := range library(t).Variables {
		known = append(known, v.Name)
	}
	var documented []string
	for _, row := range cells(section(t, readDoc(t, "script.md"), "## Variables")) {
		form := strings.Trim(row[0], "`")
		name, _, _ := strings.Cut(form[1:], "(")
		documented = append(documented, name)
		if _, err := compileScript(t, "route { xlog(\""+form+"\"); }", nil); err != nil {
			t.Errorf("%s cannot be read: %v", form, err)
		}
		_, err := compileScript(t, "route { "+form+" = 1; }", nil)
		if assigned := map[bool]string{true: "yes", false: "no"}[err == nil]; row[1] != assigned {
			t.Errorf("%s is assigned to: %s, want %s: %v", form, row[1], assigned, err)
		}
	}
	slices.Sort(known)
	slices.Sort(documented)
	if diff := cmp.Diff(known, documented); diff != "" {
		t.Errorf("variables (-code +docs):\n%s", diff)
	}
}

var chunkNames = regexp.MustCompile("`(\\w+)`")

// The names of $hep are those that its error lists.
func TestDocsChunks(t *testing.T) {
	var documented []string
	for line := range strings.Lines(section(t, readDoc(t, "script.md"), "### Captured requests")) {
		if columns := strings.Split(line, "|"); len(columns) == 5 {
			for _, name := range chunkNames.FindAllStringSubmatch(columns[2], -1) {
				documented = append(documented, name[1])
			}
		}
	}
	_, err := compileScript(t, `route { xlog("$hep(unknown)"); }`, nil)
	if err == nil {
		t.Fatal("$hep(unknown) can be read")
	}
	_, list, _ := strings.Cut(err.Error(), "the names are ")
	known := strings.Split(list, ", ")
	slices.Sort(known)
	slices.Sort(documented)
	if diff := cmp.Diff(known, documented); diff != "" {
		t.Errorf("chunks (-code +docs):\n%s", diff)
	}
}

// prints runs actions and returns the first line that they log as information, or "no value".
func prints(t *testing.T, actions string) string {
	t.Helper()
	var log bytes.Buffer
	p, err := compileScript(t, "route { $var(is) = 'no value'; "+actions+" }", slog.New(slog.NewJSONHandler(&log, nil)))
	if err != nil {
		return err.Error()
	}
	if _, err := p.RunRoute(t.Context(), "0", nil); err != nil {
		t.Errorf("%s: %v", actions, err)
	}
	var line struct{ Level, Msg string }
	for decoder := json.NewDecoder(&log); line.Level != "INFO"; {
		if err := decoder.Decode(&line); err != nil {
			t.Fatalf("%s: %v", actions, err)
		}
	}
	return line.Msg
}

func TestDocsExpressions(t *testing.T) {
	rows := 0
	for _, row := range cells(section(t, readDoc(t, "script.md"), "## Expressions")) {
		if len(row) != 2 {
			continue
		}
		rows++
		expr, want := strings.Trim(row[0], "`"), strings.Trim(row[1], "`")
		if got := prints(t, fmt.Sprintf(`$var(is) = %s; xlog("L_INFO", "$var(is)");`, expr)); got != want {
			t.Errorf("%s is %q, want %q", expr, got, want)
		}
	}
	if rows == 0 {
		t.Error("there is no table of expressions")
	}
}

var transformed = regexp.MustCompile("^(?:`({[^`]*})` of )?`([^`]*)` → `([^`]*)`$")

func TestDocsTransformations(t *testing.T) {
	rows := cells(section(t, readDoc(t, "script.md"), "## Transformations"))
	var documented []string
	for _, row := range rows {
		form := strings.Trim(row[0], "`")
		documented = append(documented, form)
		example := transformed.FindStringSubmatch(row[2])
		if example == nil {
			t.Errorf("%s: %q is no example", form, row[2])
			continue
		}
		apply, of, want := example[1], example[2], example[3]
		if apply == "" {
			apply = form
		}
		if got := prints(t, fmt.Sprintf(`$var(is) = '%s'; $var(is) = $(var(is)%s); xlog("L_INFO", "$var(is)");`, of, apply)); got != want {
			t.Errorf("%s of %s is %q, want %q", apply, of, got, want)
		}
	}
	var known []string
	for _, name := range transform.Names() {
		transformation, _ := transform.Lookup(name)
		known = append(known, "{"+strings.Join(append([]string{name}, transformation.Params...), ",")+"}")
	}
	if diff := cmp.Diff(known, documented); diff != "" {
		t.Errorf("transformations (-code +docs):\n%s", diff)
	}
}
