package daemon

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Nobody who logs waits for whoever reads the log; what is lost is counted.
func TestLogIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, pipe := io.Pipe()
		w := newLogWriter(pipe)
		for i := range maxLogLines + 8 {
			fmt.Fprintf(w, "line %d\n", i)
			synctest.Wait()
		}
		begun := time.Now()
		w.close()
		if took := time.Since(begun); took != logPatience {
			t.Errorf("close gave up after %v", took)
		}
		fmt.Fprintln(w, "after the end")
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		// One line was being written, maxLogLines waited.
		if want := maxLogLines + 2; len(lines) != want || lines[0] != "line 0" ||
			lines[1] != `level=WARN msg="the log was not read: lines are lost" lines=7` || lines[want-1] != fmt.Sprint("line ", maxLogLines) {
			t.Errorf("%d lines: %s … %s … %s", len(lines), lines[0], lines[1], lines[len(lines)-1])
		}
	})
}

func TestLogIsRead(t *testing.T) {
	var out closeBuffer
	w := newLogWriter(&out)
	fmt.Fprintln(w, "one")
	fmt.Fprintln(w, "two")
	w.close()
	w.close() // again is fine
	if out.String() != "one\ntwo\n" || out.closed != 1 {
		t.Errorf("wrote %q, closed %d times", out.String(), out.closed)
	}
}

type closeBuffer struct {
	strings.Builder
	closed int
}

func (b *closeBuffer) Close() error {
	b.closed++
	return nil
}
