package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

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
//	until PATTERN COMMAND…             repeats a command until its stdout matches
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
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":  exits,
			"start":  start,
			"until":  until,
			"finish": finish,
		},
	})
}

// environment is what all commands run with. The race detector would let each of
// them wait a second before it ends.
var environment = []string{"EVID_MI=", "EVID_TOKEN=", "GORACE=atexit_sleep_ms=0"}

// patience is more than anything that a script waits for takes.
const patience = 30 * time.Second

func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND…")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	deadline := time.Now().Add(patience)
	for { // each command takes a process: this does not spin
		ts.Check(ts.Exec(args[1], args[2:]...))
		stdout := ts.ReadFile("stdout")
		if pattern.MatchString(stdout) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nothing matches %s:\n%s", pattern, stdout)
		}
	}
}

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
