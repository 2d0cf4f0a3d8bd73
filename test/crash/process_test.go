package crash_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evid/evid/internal/miclient"
)

const startTime = time.Minute // what a start may take on a machine that is busy

// events are the names that are raised.
var events = []string{"E_0", "E_1", "E_2", "E_3"}

func eventName(n int64) string { return events[n%int64(len(events))] }

// config is the configuration of a daemon. An instance is one process: its receivers can
// tell from what is sent which one it came from.
func config(dir string, instance int, more string) string {
	return fmt.Sprintf(`
log_level=2
modparam("evi", "register", "%s")
loadmodule "event_xmlrpc.so"
modparam("event_xmlrpc", "use_struct_param", 1)
modparam("event_xmlrpc", "user_agent", "evid/%d")
loadmodule "httpd.so"
modparam("httpd", "port", 0)
loadmodule "mi_http.so"
modparam("queue", "dir", '%s')
%s
`, strings.Join(events, ";"), instance, dir, more)
}

func writeConfig(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "evid.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A process is a daemon in a process of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	ready  chan struct{} // closed when MI answers, or when that will never be
	read   chan struct{} // closed when the log is at its end
	client *miclient.Client
	url    string

	mu  sync.Mutex
	log strings.Builder
}

var readyLine = regexp.MustCompile(`MI over HTTP is ready.*url=(\S+)`)

// start starts a process, and does not wait for it.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ready: make(chan struct{}), read: make(chan struct{})}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			p.wait()
		}
	})
	go p.readLog(stderr)
	return p
}

func startEvid(t *testing.T, config string, more ...string) *process {
	t.Helper()
	return start(t, exec.Command(os.Getenv(evidBinary), append([]string{"run", "-f", writeConfig(t, config)}, more...)...))
}

func (p *process) readLog(stderr io.Reader) {
	defer close(p.read)
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		p.log.WriteString(line)
		if found := readyLine.FindStringSubmatch(line); found != nil && p.url == "" {
			p.url = found[1]
			close(p.ready)
		}
		if err != nil && p.url == "" {
			close(p.ready)
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// text returns what was logged.
func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// address is where MI is; empty: it is not ready, or never was.
func (p *process) address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.url
}

// waitReady waits for MI.
func (p *process) waitReady() {
	p.t.Helper()
	timer := time.NewTimer(startTime)
	defer timer.Stop()
	select {
	case <-p.ready:
	case <-timer.C:
	}
	url := p.address()
	if url == "" {
		p.t.Fatalf("evid does not start:\n%s", p.text())
	}
	client, err := miclient.New(url, "")
	if err != nil {
		p.t.Fatal(err)
	}
	p.client = client
	p.t.Cleanup(client.Close)
}

// wait waits for the end of the process, and checks what it has logged.
func (p *process) wait() {
	p.t.Helper()
	<-p.read
	p.cmd.Wait()
	for line := range strings.Lines(p.text()) {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic") || strings.HasPrefix(line, "fatal error") {
			p.t.Errorf("evid says:\n%s", p.text())
			return
		}
	}
}

func (p *process) kill() {
	p.t.Helper()
	p.cmd.Process.Kill()
	p.wait()
}

func (p *process) call(command string, params any) json.RawMessage {
	p.t.Helper()
	result, err := p.try(command, params)
	if err != nil {
		p.t.Fatalf("mi %s %v: %v\n%s", command, params, err, p.text())
	}
	return result
}

func (p *process) try(command string, params any) (json.RawMessage, error) {
	return p.client.Call(context.Background(), command, params)
}

func (p *process) read1(into any, command string, params any) {
	p.t.Helper()
	if err := json.Unmarshal(p.call(command, params), into); err != nil {
		p.t.Fatalf("mi %s: %v", command, err)
	}
}

// statistics returns the group evi. They must add up.
func (p *process) statistics() map[string]uint64 {
	p.t.Helper()
	var s map[string]uint64
	p.read1(&s, "get_statistics", []any{[]string{"evi:"}})
	if sum := s["evi:delivered"] + s["evi:dead"] + s["evi:dropped"] + s["evi:abandoned"] + s["evi:waiting"]; s["evi:accepted"] != sum {
		p.t.Errorf("statistics do not add up: %v", s)
	}
	return s
}

// settled waits until nothing waits for any subscriber.
func (p *process) settled(longest time.Duration) map[string]uint64 {
	p.t.Helper()
	return p.until("evi:waiting", longest, func(n uint64) bool { return n == 0 })
}

// until waits until a statistic is as wanted.
func (p *process) until(name string, longest time.Duration, is func(uint64) bool) map[string]uint64 {
	p.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		s := p.statistics()
		if is(s[name]) {
			return s
		}
		if time.Since(began) > longest {
			p.t.Fatalf("after %v: %v\n%s\n%s", longest, s, p.call("subscribers_list", map[string]any{"verbose": 1}), p.text())
		}
	}
}

// A subscriberStatus is how one subscriber is doing.
type subscriberStatus struct {
	Socket             string
	Waiting, Delivered uint64
}

func (p *process) subscribers(event string) []subscriberStatus {
	p.t.Helper()
	var list struct {
		Event struct{ Subscribers []subscriberStatus }
	}
	p.read1(&list, "subscribers_list", map[string]any{"event": event, "verbose": 1})
	return list.Event.Subscribers
}

// letters returns the dead letters of a subscriber.
func (p *process) letters(event, socket string) map[key]int {
	p.t.Helper()
	letters := make(map[key]int)
	for after := 0; ; {
		var page struct {
			Letters []struct {
				Number int
				Params []struct {
					Name  string
					Value any
				}
			} `json:"Dead letters"`
		}
		p.read1(&page, "dead_letters", map[string]any{"event": event, "socket": socket, "after": after})
		if len(page.Letters) == 0 {
			return letters
		}
		for _, l := range page.Letters {
			after = l.Number
			if len(l.Params) < 2 {
				p.t.Errorf("%s %s: dead letter %+v", event, socket, l)
				continue
			}
			r, _ := l.Params[0].Value.(float64)
			n, _ := l.Params[1].Value.(float64)
			letters[key{int64(r), int64(n)}]++
		}
	}
}
