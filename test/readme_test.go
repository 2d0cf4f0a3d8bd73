package test_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/internal/daemon/daemontest"
)

// firstSession returns the commands and the output of the first terminal
// session in the README.
func firstSession(t *testing.T) (commands, output []string) {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```console\n")
	session, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the README has no terminal session")
	}
	lines := strings.Split(strings.TrimSpace(session), "\n")
	if len(lines) > 8 {
		t.Errorf("the session has %d lines, more than eight", len(lines))
	}
	for _, line := range lines {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			commands = append(commands, command)
		} else {
			output = append(output, line)
		}
	}
	return commands, output
}

// The README's session prints, as typed, what the README says.
func TestREADMESession(t *testing.T) {
	commands, want := firstSession(t)
	// Afterwards the shell waits until its input ends, and ends its jobs.
	script := "set -e\ntrap 'kill $(jobs -p); wait' EXIT\n" + strings.Join(commands, "\n") + "\nread -r || true\n"
	shell := exec.CommandContext(t.Context(), "bash", "-c", script)
	shell.Dir = ".."
	shell.Env = append(os.Environ(), "EVID_MI=", "EVID_TOKEN=", "MAKEFLAGS=", "MAKELEVEL=") // as nobody typed make test
	stdin, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	shell.Stdout, shell.Stderr = input, input
	err = shell.Start()
	input.Close()
	if err != nil {
		t.Fatal(err)
	}
	output.SetDeadline(time.Now().Add(2 * time.Minute)) // it builds
	got := bufio.NewScanner(output)
	missing := make(map[string]int)
	for _, line := range want {
		missing[line]++
	}
	for len(missing) > 0 && got.Scan() {
		line := got.Text()
		t.Log(line)
		if missing[line]--; missing[line] < 0 {
			t.Errorf("unexpected output: %s", line)
		}
		if missing[line] <= 0 {
			delete(missing, line)
		}
	}
	for line := range missing {
		t.Errorf("not printed: %s", line)
	}
	stdin.Close()
	rest, _ := io.ReadAll(output)
	if len(rest) > 0 {
		t.Errorf("printed at the end: %s", rest)
	}
	if err := shell.Wait(); err != nil {
		t.Errorf("the shell: %v", err)
	}
}

// Each line of the README's Go example is one of example_test.go, in its order.
func TestREADMEExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the README has no Go example")
	}
	left := string(source)
	for line := range strings.Lines(example) {
		if line == "…\n" {
			continue
		}
		if _, left, ok = strings.Cut(left, "\t"+line); !ok {
			t.Errorf("not in example_test.go, or not there: %s", line)
		}
	}
}

// The README's configuration has no error, and the curl call is taken as it
// stands by a daemon that runs it.
func TestREADMEConfiguration(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "## Configure\n")
	_, rest, _ = strings.Cut(rest, "```\n")
	config, rest, ok := strings.Cut(rest, "```")
	_, rest, _ = strings.Cut(rest, "$ curl")
	call, rest, okCall := strings.Cut(rest, "\n{")
	want, _, _ := strings.Cut(rest, "\n")
	if !ok || !okCall {
		t.Fatal("the README has no configuration, or no curl call behind it")
	}
	if report := daemon.Check(daemon.Options{Config: config}); report.Err != nil || len(report.Warnings) > 0 {
		t.Errorf("the configuration: %v, warnings %v", report.Err, report.Warnings)
	}
	d := daemontest.Start(t, `modparam("evi", "register", "E_PIKE_BLOCKED")`)
	s := serveBad(t, nil)
	d.Subscribe("E_PIKE_BLOCKED", "xmlrpc:"+s.addr+":good")
	typed := "curl --silent " + strings.Replace(call, "http://127.0.0.1:8888/mi", d.MIURL, 1)
	out, err := exec.CommandContext(t.Context(), "bash", "-c", typed).CombinedOutput()
	if err != nil || string(out) != "{"+want {
		t.Errorf("%s\nanswers %s, %v, want {%s", typed, out, err, want)
	}
	if body := receive(t, s.good); !strings.Contains(body, "<string>192.168.2.11</string>") {
		t.Errorf("delivered: %s", body)
	}
}

// make demo shows a flood that is noticed, and two events that arrived as they were raised.
func TestMakeDemo(t *testing.T) {
	demo := exec.CommandContext(t.Context(), "make", "--no-print-directory", "demo")
	demo.Dir = ".."
	output, err := demo.CombinedOutput()
	if err != nil {
		t.Fatalf("make demo: %v\n%s", err, output)
	}
	for _, line := range []string{
		`arrived    block_ip E_PIKE_BLOCKED ip="127.0.0.66"`,
		`raised     E_DEMO contact="<sip:bob@10.0.0.1>;tag=a&b" body="v=0\r\ns=-\r\n" caller="Zoë, 東京" code=-5 octets=1099511627776`,
		`arrived    log_call E_DEMO contact="<sip:bob@10.0.0.1>;tag=a&b" body="v=0\r\ns=-\r\n" caller="Zoë, 東京" code=-5 octets="1099511627776"`,
	} {
		if !strings.Contains(string(output), line+"\n") {
			t.Errorf("make demo does not print %s, but\n%s", line, output)
		}
	}
}
