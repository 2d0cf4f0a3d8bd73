package test_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evid/evid/internal/daemon/daemontest"
	"github.com/evid/evid/internal/miclient"
)

// A process is evid run, with its standard error in a pipe of the test's.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr *os.File // to read from
	mi     *miclient.Client
}

// startProcess builds evid and runs it, until MI is ready.
func startProcess(t *testing.T) *process {
	t.Helper()
	dir := t.TempDir()
	binary, config := filepath.Join(dir, "evid"), filepath.Join(dir, "evid.cfg")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-race", "-o", binary, "../cmd/evid").CombinedOutput(); err != nil {
		t.Fatalf("build evid: %v\n%s", err, out)
	}
	if err := os.WriteFile(config, []byte(daemontest.Config+"log_level=3\n"+`modparam("queue", "mode", "memory")`), 0o600); err != nil {
		t.Fatal(err)
	}
	stderr, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "run", "-f", config)
	cmd.Stderr = input
	err = cmd.Start()
	input.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stderr.Close()
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	stderr.SetReadDeadline(time.Now().Add(30 * time.Second))
	line, err := bufio.NewReaderSize(stderr, 16).ReadString('\n')
	url := regexp.MustCompile(`url=(\S+)`).FindStringSubmatch(line)
	if err != nil || url == nil {
		t.Fatalf("evid says %q, %v", line, err)
	}
	mi, err := miclient.New(url[1], "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(mi.Close)
	return &process{t, cmd, stderr, mi}
}

func (p *process) call(command string, params ...any) {
	p.t.Helper()
	if _, err := p.mi.Call(p.t.Context(), command, params); err != nil {
		p.t.Fatal(err)
	}
}

// stop sends SIGTERM and returns the exit code.
func (p *process) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	kill := time.AfterFunc(30*time.Second, func() { p.cmd.Process.Kill() })
	defer kill.Stop()
	err := p.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return 0
}

// refusing is a socket whose deliveries fail, with a long line in the log.
func refusing(n int) string {
	return fmt.Sprintf("xmlrpc:127.0.0.1:1:m%d%s", n, strings.Repeat("x", 1900))
}

// The reader of the log goes away: who can be reached has its events all the same.
// The exit code says that others have lost theirs.
func TestLogReaderGoes(t *testing.T) {
	p := startProcess(t)
	s := serveBad(t, nil)
	p.stderr.Close()
	p.call("event_subscribe", "E_TEST", refusing(0))
	p.call("event_subscribe", "E_TEST", "xmlrpc:"+s.addr+":good")
	for range 3 {
		p.call("raise_event", "E_TEST")
		receive(t, s.good)
	}
	if code := p.stop(); code != 1 {
		t.Errorf("exit code %d", code)
	}
}

// The reader of the log reads nothing: nobody waits for it, nor does the end.
func TestLogIsNotRead(t *testing.T) {
	p := startProcess(t)
	s := serveBad(t, nil)
	const sockets = 60 // with a line each that is more than a pipe holds
	for n := range sockets {
		p.call("event_subscribe", "E_TEST", refusing(n))
	}
	p.call("event_subscribe", "E_TEST", "xmlrpc:"+s.addr+":good")
	for range 3 {
		p.call("raise_event", "E_TEST")
		receive(t, s.good)
	}
	if code := p.stop(); code != 1 {
		t.Errorf("exit code %d", code)
	}
}
