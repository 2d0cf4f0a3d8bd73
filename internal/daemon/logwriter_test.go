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
		if err := w.Close(); err == nil || time.Since(begun) != logPatience {
			t.Errorf("Close: %v after %v", err, time.Since(begun))
		}
		fmt.Fprintln(w, "after the end")
		go func() {
			<-w.ended
			pipe.Close()
		}()
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
	var out strings.Builder
	w := newLogWriter(&out)
	fmt.Fprintln(w, "one")
	fmt.Fprintln(w, "two")
	if err := w.Close(); err != nil || out.String() != "one\ntwo\n" {
		t.Errorf("Close: %v, wrote %q", err, out.String())
	}
	if err := w.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}
