package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

type processesKey struct{}

// processes are those that a script has started, by name.
type processes map[string]*process

type process struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
	read   chan struct{} // closed once all of stderr has been read
}

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: start NAME PATTERN VAR COMMAND…")
	}
	name, variable := args[0], args[2]
	pattern, err := regexp.Compile(args[1])
	ts.Check(err)
	path, err := exec.LookPath(args[3])
	ts.Check(err)
	p := &process{cmd: exec.Command(path, args[4:]...), read: make(chan struct{})}
	p.cmd.Dir = ts.Getenv("WORK")
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.Env = append(p.cmd.Env, "XDG_STATE_HOME="+ts.Getenv("XDG_STATE_HOME"))
	p.cmd.Stdout = &p.stdout
	stderr, err := p.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(p.cmd.Start())
	ts.Defer(func() { p.cmd.Process.Kill() }) // no effect if it has ended
	ts.Value(processesKey{}).(processes)[name] = p

	found := make(chan string, 1)
	go func() {
		defer close(p.read)
		defer close(found)
		lines := bufio.NewScanner(stderr)
		for seen := false; lines.Scan(); {
			p.stderr.WriteString(lines.Text() + "\n")
			if m := pattern.FindStringSubmatch(lines.Text()); m != nil && !seen {
				seen = true
				found <- m[1]
			}
		}
	}()
	value, ok := <-found
	if !ok {
		ts.Fatalf("%s ended without a line that matches %s:\n%s", name, pattern, &p.stderr)
	}
	ts.Setenv(variable, value)
}

func finish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: finish NAME [CODE]")
	}
	name, want := args[0], 0
	if len(args) == 2 {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	running := ts.Value(processesKey{}).(processes)
	p := running[name]
	if p == nil {
		ts.Fatalf("%s was not started", name)
	}
	delete(running, name)
	ts.Check(p.cmd.Process.Signal(syscall.SIGTERM))
	<-p.read
	p.cmd.Wait() // its error is the exit code
	ts.Check(os.WriteFile(ts.MkAbs(name+".out"), p.stdout.Bytes(), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs(name+".err"), p.stderr.Bytes(), 0o644))
	if got := p.cmd.ProcessState.ExitCode(); got != want {
		ts.Fatalf("%s: exit code %d, want %d\n%s", name, got, want, &p.stderr)
	}
}
