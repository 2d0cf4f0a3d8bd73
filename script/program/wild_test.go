package program_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid/script"
	"github.com/evid/evid/script/core"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
)

// compiled compiles a script in which nothing is wrong.
func compiled(t *testing.T, src string) *program.Program {
	t.Helper()
	file, err := script.Parse("evid.cfg", []byte(src), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, _, errs := program.Compile(file, program.Options{
		Library: core.Library(nowhere{}, statistics{}), Log: slog.New(slog.DiscardHandler), MaxWhileLoops: 100,
	})
	if errs != nil {
		t.Fatal(errs)
	}
	return p
}

// doubling has n routes that each call the next one twice: 2^n calls, and none too deep.
func doubling(n int) string {
	var src strings.Builder
	for i := range n {
		fmt.Fprintf(&src, "route[a%d] { route(a%d); route(a%d); }\n", i, i+1, i+1)
	}
	fmt.Fprintf(&src, "route[a%d] { $var(x) += 1; }\n", n)
	return src.String()
}

func TestCallsEnd(t *testing.T) {
	_, err := compiled(t, doubling(60)).RunRoute(t.Context(), "a0", nil)
	const want = "expected at most 100000 loops and calls of routes in one run of the script (1000 x max_while_loops)"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %s", err, want)
	}
}

func TestCallsAreStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := compiled(t, doubling(10)).RunRoute(ctx, "a0", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
}

// A text that many variables make is bounded before it is there.
func TestFormatEnds(t *testing.T) {
	p := compiled(t, `route[r] {
		$var(x) = "0123456789abcdef"; $var(i) = 0;
		while ($var(i) < 16) { $var(x) = $var(x) + $var(x); $var(i) += 1; }
		raise_event("`+strings.Repeat("$var(x)", 500)+`");
	}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := p.RunRoute(t.Context(), "r", nil)
	if err == nil || !strings.Contains(err.Error(), "more than 64 MiB of text") {
		t.Errorf("got error %v", err)
	}
	runtime.ReadMemStats(&after)
	if made := (after.TotalAlloc - before.TotalAlloc) >> 20; made > 512 {
		t.Errorf("it took %d MiB", made)
	}
}

func TestAVPsEnd(t *testing.T) {
	var body strings.Builder
	for i := range 200 {
		fmt.Fprintf(&body, "$avp(a%d) = 1;", i)
	}
	loop := "while (1) { $var(i) += 1; if ($var(i) > 90) break; " + body.String() + "} "
	src := "route[r] {" + strings.Repeat("$var(i) = 0;"+loop, 60) + "}"
	_, err := compiled(t, src).RunRoute(t.Context(), "r", nil)
	const want = "expected at most 1000000 values of all $avp together"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got error %v, want %s", err, want)
	}
}

// Values that are removed make room again.
func TestAVPsMakeRoom(t *testing.T) {
	var body strings.Builder
	for i := range 100 {
		fmt.Fprintf(&body, "$avp(a) = 1; $avp(a) = 2; $avp(a) = NULL; $avp(a) := %d; $(avp(a)[append]) = 4; $(avp(a)[*]) = NULL;", i)
	}
	loop := "$var(i) = 0; while ($var(i) < 99) { $var(i) += 1; " + body.String() + "} "
	if _, err := compiled(t, "route[r] {"+strings.Repeat(loop, 40)+"}").RunRoute(t.Context(), "r", nil); err != nil {
		t.Error(err)
	}
}

// The deepest that a script can go does not use up the stack.
func TestRecursionEnds(t *testing.T) {
	x := "route(r)"
	for range 90 {
		x = "(" + x + ") + 1"
	}
	src := "route[r] { $var(x) = $(var(x)" + strings.Repeat("{s.len}", 100) + "); $var(x) = " + x + strings.Repeat(" + 1", 800) + "; }"
	_, err := compiled(t, src).RunRoute(t.Context(), "r", nil)
	if err == nil || !strings.Contains(err.Error(), "called too deep") {
		t.Errorf("got error %v", err)
	}
}

// Warnings do not repeat what is before them in an expression.
func TestOrderWarningsAreShort(t *testing.T) {
	src := `route[r] { $var(x) = "` + strings.Repeat("a", 100_000) + `"` + strings.Repeat(" + 1 * 1", 400) + "; }"
	file, err := script.Parse("evid.cfg", []byte(src), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, warnings, _ := program.Compile(file, program.Options{})
	for _, w := range warnings {
		if len(w.Msg) > 300 {
			t.Fatalf("a warning has %d bytes: %.100s", len(w.Msg), w.Msg)
		}
	}
	if len(warnings) < 400 {
		t.Errorf("got %d warnings", len(warnings))
	}
}

func TestMatchIsStopped(t *testing.T) {
	const slow = "(([0-9a-f]?){300}z){3}"
	p := compiled(t, `route[r] { if ($param(1) =~ "`+slow+`") exit; }`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := p.RunRoute(ctx, "r", []value.Value{value.String(strings.Repeat("0123456789abcdef", 1<<21))})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want %v", err, context.DeadlineExceeded)
	}
}

// A long text matches as a short one does.
func TestMatchLong(t *testing.T) {
	p := compiled(t, `route[r] { if ($param(1) =~ "^a+\\b.b$" && $param(1) !~ "^b") return(7); }`)
	text := strings.Repeat("a", 1<<17) + "\xffb"
	if n, err := p.RunRoute(t.Context(), "r", []value.Value{value.String(text)}); n != 7 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}
