package main

import (
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"evid": main})
}

// TestScripts runs testdata/*.txtar. Besides the commands of testscript they
// have
//
//	exits CODE COMMAND…                as exec, but says which exit code is expected
//	start NAME PATTERN VAR COMMAND…    starts a command, waits until a line of its
//	                                   stderr matches PATTERN and sets VAR to the
//	                                   first group of it
//	finish NAME [CODE]                 sends it SIGTERM, waits until it has ended, which
//	                                   must be with this exit code (0), and writes what
//	                                   it printed to the files NAME.out and NAME.err
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Values[processesKey{}] = make(processes)
			env.Vars = append(env.Vars, environment...)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":  exits,
			"start":  start,
			"finish": finish,
		},
	})
}

// environment is what all commands run with. The race detector would let each of
// them wait a second before it ends.
var environment = []string{"EVID_MI=", "EVID_TOKEN=", "GORACE=atexit_sleep_ms=0"}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
