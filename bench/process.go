package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// A process is a child whose lines on standard output are read.
type process struct {
	cmd   *exec.Cmd
	pipe  io.Closer
	lines *bufio.Scanner
}

// start starts a child, which is killed when ctx ends. It is to be stopped.
func start(ctx context.Context, command []string, env ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what the child starts ends with it
	cmd.Cancel = func() error { return killGroup(cmd) }
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	return &process{cmd: cmd, pipe: pipe, lines: bufio.NewScanner(pipe)}, nil
}

// expect reads lines up to one that holds text, and returns it.
func (p *process) expect(text string) (string, error) {
	for p.lines.Scan() {
		if strings.Contains(p.lines.Text(), text) {
			return p.lines.Text(), nil
		}
	}
	return "", fmt.Errorf("read output of %s: expected a line with %q, got its end", p.cmd.Args[0], text)
}

// finish asks the child to end, and returns the line that holds text, which it prints then.
func (p *process) finish(text string) (string, error) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return "", fmt.Errorf("end %s: %w", p.cmd.Args[0], err)
	}
	return p.expect(text)
}

// kill ends the child and what it has started, if that has not ended, and waits for it.
func (p *process) kill() {
	killGroup(p.cmd) //nolint:errcheck // it may have ended by itself
	p.pipe.Close()
	p.cmd.Wait() //nolint:errcheck // killed
}

// killGroup kills a child that was not waited for yet, and all that it has started.
func killGroup(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// A sink is a running server of the reference.
type sink struct{ *process }

// startSink starts a sink, which listens when this returns.
func (l *lab) startSink(ctx context.Context, port, count int, options ...string) (*sink, error) {
	command := []string{l.path("ref/sink"), "-a", l.host, "-p", strconv.Itoa(port), "-n", strconv.Itoa(count)}
	p, err := start(ctx, append(command, options...))
	if err != nil {
		return nil, err
	}
	if _, err := p.expect("sink ready"); err != nil {
		p.kill()
		return nil, err
	}
	return &sink{p}, nil
}

// stop ends the sink and returns how many calls it has answered.
func (s *sink) stop() (calls uint64, err error) {
	line, err := s.finish("sink requests=")
	if err != nil {
		return 0, err
	}
	fields, err := readFields(line)
	return uint64(fields["calls"]), err
}

// readFields reads a line of words, some of which are NAME=NUMBER.
func readFields(line string) (map[string]float64, error) {
	fields := make(map[string]float64)
	for word := range strings.FieldsSeq(line) {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			continue
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return nil, fmt.Errorf("read %q: expected %s to be a number: %w", line, name, err)
		}
		fields[name] = number
	}
	return fields, nil
}

// A csend is what a run of the reference's sender gave.
type csend struct {
	rate   float64 // events/s
	cpu    float64 // µs/event
	events uint64
	failed uint64
}

// csend runs the reference's sender against a server for the lab's time.
func (l *lab) csend(ctx context.Context, host string, port int, mode string, args ...string) (csend, error) {
	command := []string{mode, "-a", host, "-p", strconv.Itoa(port), "-t", fmt.Sprint(l.seconds.Seconds())}
	cmd := exec.CommandContext(ctx, l.path("ref/csend"), append(command, args...)...)
	line, err := output(cmd)
	if err != nil {
		return csend{}, fmt.Errorf("run csend %s: %w", mode, err)
	}
	fields, err := readFields(string(line))
	if err != nil {
		return csend{}, err
	}
	c := csend{rate: fields["rate"], cpu: fields["cpu_us_ev"], events: uint64(fields["events"]), failed: uint64(fields["errs"])}
	if c.rate <= 0 {
		return c, fmt.Errorf("run csend %s: expected a rate above 0: %s", mode, line)
	}
	return c, nil
}

// send runs a task in a process of its own.
func (l *lab) send(ctx context.Context, t task) (result, error) {
	var r result
	text, err := json.Marshal(t)
	if err != nil {
		return r, fmt.Errorf("write task: %w", err)
	}
	cmd := exec.CommandContext(ctx, l.self, senderCommand, string(text))
	line, err := output(cmd)
	if err != nil {
		return r, fmt.Errorf("run sender for %s: %w", t.Kind, err)
	}
	if err := json.Unmarshal(line, &r); err != nil {
		return r, fmt.Errorf("read result of sender: %w", err)
	}
	return r, nil
}

// output runs a child to its end and returns what it prints. If it fails, what it says
// about that is part of the error.
func output(cmd *exec.Cmd) ([]byte, error) {
	text, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return text, err
}
