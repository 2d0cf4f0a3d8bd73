package program_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/loglevel"
	"github.com/evid/evid/internal/txtartest"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/core"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
	"github.com/evid/evid/transport/route"
)

var update = flag.Bool("update", false, "write what the tests get into testdata")

// TestScripts compiles the script of each archive in testdata and runs what its file "run"
// says: "route name arg…", "event E_X name=value value…", "startup" or "timer name".
func TestScripts(t *testing.T) {
	txtartest.ForEach(t, "testdata", *update, runArchive)
}

func runArchive(t *testing.T, files map[string]string) map[string]string {
	file, err := script.Parse("evid.cfg", []byte(files["evid.cfg"]), txtartest.Open(files))
	var problems strings.Builder
	if parsing, ok := errors.AsType[script.Errors](err); ok {
		fmt.Fprintln(&problems, parsing)
	}
	b := newBed(t, file)
	for _, e := range b.errs.Sorted() {
		fmt.Fprintf(&problems, "%v\n%s\n", e, file.Excerpt(e.Pos))
	}
	got := map[string]string{"errors": problems.String(), "warnings": lines(b.warnings)}
	if problems.Len() > 0 {
		return got
	}
	var log strings.Builder
	b.log = &log
	for command := range strings.Lines(files["run"]) {
		fmt.Fprintf(&log, "> %s", command)
		b.run(t, strings.Fields(command))
	}
	got["log"] = log.String()
	return got
}

func lines(errs script.Errors) string {
	var text strings.Builder
	for _, e := range errs {
		fmt.Fprintln(&text, e)
	}
	return text.String()
}

// A bed is a program with the Event Interface, whose events end in its log.
type bed struct {
	program        *program.Program
	warnings, errs script.Errors
	events         *evid.Interface
	log            *strings.Builder
}

func newBed(t testing.TB, file *script.File) *bed {
	b := &bed{log: new(strings.Builder)}
	b.events = evid.New(evid.Options{Keeper: b})
	library := core.Library(checked{b.events}, statistics{"raised": 7})
	library.Functions = append(library.Functions, program.Function{
		Name: "panic",
		Bind: func(*program.Binding) (program.Call, error) {
			return func(*program.Run) (int64, error) { panic("oops") }, nil
		},
	})
	library.Missing = map[string]string{"t_relay": "evid is no proxy", "$ru": "evid is no proxy"}
	b.program, b.warnings, b.errs = program.Compile(file, program.Options{
		Library:       library,
		Loaded:        []string{core.Cfgutils},
		Log:           slog.New(&textHandler{b}),
		MaxWhileLoops: 100,
	})
	for _, event := range b.program.Registers() {
		if err := b.events.Register(event); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *bed) run(t *testing.T, words []string) {
	switch words[0] {
	case "startup":
		b.say(b.program.RunStartup(t.Context()))
	case "timer":
		for _, timer := range b.program.Timers() {
			if timer.Name == words[1] {
				b.say(b.program.RunTimer(t.Context(), timer))
			}
		}
	case "route":
		var args []value.Value
		for _, word := range words[2:] {
			args = append(args, value.String(word))
		}
		result, err := b.program.RunRoute(t.Context(), words[1], args)
		fmt.Fprintf(b.log, "result %d\n", result)
		b.say(err)
	case "event":
		e := &evid.Event{Name: words[1]}
		for _, word := range words[2:] {
			name, text, named := strings.Cut(word, "=")
			if !named {
				name, text = "", word
			}
			p := evid.String(name, text)
			var n int64
			if _, err := fmt.Sscanf(text, "int:%d", &n); err == nil {
				p = evid.Int(name, n)
			}
			e.Params = append(e.Params, p)
		}
		b.say(b.program.RunEvent(evid.CausedBy(t.Context(), e), e.Name, e))
	default:
		t.Fatalf("unknown command %q", words)
	}
}

func (b *bed) say(err error) {
	if err != nil {
		fmt.Fprintf(b.log, "error: %v\n", err)
	}
}

// Accept implements [evid.Keeper].
func (b *bed) Accept(_ context.Context, e *evid.Event) (bool, error) {
	fmt.Fprintf(b.log, "raised %s", e.Name)
	for _, p := range e.Params {
		v := value.String(p.Str)
		if p.Kind == evid.KindInt {
			v = value.Int(p.Int)
		}
		fmt.Fprintf(b.log, " %s=%#v", p.Name, v)
	}
	fmt.Fprintln(b.log)
	if e.Name == "E_REFUSED" {
		return false, evid.ErrQueueFull
	}
	return e.Name != "E_NOBODY", nil
}

// OpenSub implements [evid.Keeper].
func (b *bed) OpenSub(*evid.Subscription) error { return nil }

// CloseSub implements [evid.Keeper].
func (b *bed) CloseSub(string, string, evid.Close) error { return nil }

// checked is the Event Interface with what scripts need beside it.
type checked struct{ *evid.Interface }

func (c checked) CheckSocket(socket string, hasEvent func(event string) bool) error {
	if addr, isRoute := strings.CutPrefix(socket, "route:"); isRoute {
		return route.Check(addr, hasEvent)
	}
	_, err := c.ParseSocket(socket)
	return err
}

type statistics map[string]uint64

func (s statistics) Statistic(name string) (uint64, bool) {
	n, known := s[name]
	return n, known
}

// A textHandler logs without the time.
type textHandler struct{ to *bed }

func (h *textHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h *textHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *textHandler) WithGroup(string) slog.Handler            { return h }

func (h *textHandler) Handle(_ context.Context, record slog.Record) error {
	fmt.Fprintf(h.to.log, "%s: %s", loglevel.Name(record.Level), record.Message)
	record.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(h.to.log, " %s=%v", a.Key, a.Value)
		return true
	})
	fmt.Fprintln(h.to.log)
	return nil
}
