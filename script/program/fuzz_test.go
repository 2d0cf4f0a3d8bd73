package program_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/evid/evid"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/core"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
)

const (
	fuzzText = 4096            // bytes of a script, at most: beyond it only time is found
	fuzzTime = 5 * time.Second // for one script, with all its runs
)

// FuzzCompile: no text panics or hangs, every error and warning has a place in it, and
// what compiles runs to its end, whatever the event is.
func FuzzCompile(f *testing.F) {
	archives, err := filepath.Glob("testdata/*.txtar")
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
		if len(src) > fuzzText {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), fuzzTime)
		defer cancel()
		file, err := script.Parse("fuzz", []byte(src), nil)
		errs, _ := errors.AsType[script.Errors](err)
		library := core.Library(nowhere{}, statistics{})
		p, warnings, wrong := program.Compile(file, program.Options{
			Library: library, Loaded: []string{core.Cfgutils},
			Log: slog.New(slog.DiscardHandler), MaxWhileLoops: 10,
		})
		for _, e := range append(append(errs, warnings...), wrong...) {
			if file.Excerpt(e.Pos) == "" {
				t.Errorf("not in the text: %v", e)
			}
		}
		if err != nil || wrong != nil {
			return
		}
		runAll(ctx, t, file, p)
		if ctx.Err() != nil {
			t.Errorf("ran for more than %v", fuzzTime)
		}
	})
}

// runAll runs every route once.
func runAll(ctx context.Context, t *testing.T, file *script.File, p *program.Program) {
	check := func(err error) {
		if err != nil && strings.Contains(err.Error(), "panic: ") {
			t.Error(err)
		}
	}
	check(p.RunStartup(ctx))
	for _, timer := range p.Timers() {
		check(p.RunTimer(ctx, timer))
	}
	for _, e := range oddEvents() {
		for _, route := range p.EventRoutes() {
			check(p.RunEvent(evid.CausedBy(ctx, e), route.Event, e))
		}
	}
	for _, stmt := range file.Stmts {
		name := "0"
		r, ok := stmt.(*script.Route)
		if !ok || r.Kind != "route" {
			continue
		}
		if len(r.Args) > 0 {
			name = r.Args[0].String()
			if s, isString := r.Args[0].(*script.String); isString {
				name = s.Value
			}
		}
		_, err := p.RunRoute(ctx, name, []value.Value{value.String("$var(x)\x00\xff"), value.Int(math.MinInt64), {}})
		check(err)
	}
}

// oddEvents have parameters as an attacker would choose them.
func oddEvents() []*evid.Event {
	params := []evid.Param{
		evid.String("ip", "a,\"b\"\",;=<sip:%00@[::1]:65536;x>"),
		evid.String("", ""),
		evid.String("ip", "\xff\x00$(avp(x)[*])"),
		evid.Int("n", math.MinInt64),
		evid.Int("", math.MaxInt64),
		evid.String("re", "((a*)*)*["),
		evid.String("long", strings.Repeat("a", 1000)),
	}
	for i := range 20 {
		params = append(params, evid.String(strconv.Itoa(i), strings.Repeat("-", i)))
	}
	return []*evid.Event{{Name: "E_NONE"}, {Name: "E_MANY", Params: params}}
}
