package main

import (
	"context"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestInterrupts(t *testing.T) {
	first, second, release := interrupts()
	defer release()
	for _, ctx := range []context.Context{first, second} {
		if ctx.Err() != nil {
			t.Fatal("ended without a signal")
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
	}
}

// TestDescription holds that the help has all exit codes and nothing longer than
// a terminal is wide.
func TestDescription(t *testing.T) {
	for code := exitDone; code <= exitNobody; code++ {
		if !strings.Contains(description, "\n  "+strconv.Itoa(code)+"  ") {
			t.Errorf("exit code %d is not described", code)
		}
	}
	for line := range strings.SplitSeq(description, "\n") {
		if len(line) > 80 {
			t.Errorf("line is too long: %s", line)
		}
	}
}
