// Package daemontest runs whole daemons in tests.
package daemontest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/internal/miclient"
)

// Config is the configuration of a daemon in a test, before what the test adds:
// MI on any free port, the event E_TEST, and warnings in the log.
const Config = `
loadmodule "event_xmlrpc.so"
loadmodule "httpd.so"
modparam("httpd", "port", 0)
loadmodule "mi_http.so"
modparam("evi", "register", "E_TEST")
log_level=1
`

// A Daemon is a running daemon and a client of its MI. Its methods fail the test
// that it was started for.
type Daemon struct {
	Events *evid.Interface
	MIURL  string
	Log    *Log

	t      testing.TB
	daemon *daemon.Daemon
	mi     *miclient.Client
	stop   func()
}

// Dir is the line of a configuration that names the directory of the queue.
func Dir(dir string) string { return fmt.Sprintf("modparam(\"queue\", \"dir\", '%s')\n", dir) }

// Start starts a daemon with [Config] and what more says, and with its queue in a
// directory of its own. It is stopped at the end of the test.
func Start(t testing.TB, more string) *Daemon {
	t.Helper()
	return start(t, daemon.Options{Config: Config + Dir(t.TempDir()) + more})
}

// StartFile starts a daemon with the configuration in a file.
func StartFile(t testing.TB, file string) *Daemon {
	t.Helper()
	return start(t, daemon.Options{ConfigFile: file})
}

func start(t testing.TB, opts daemon.Options) *Daemon {
	t.Helper()
	log := new(Log)
	opts.Version, opts.Stderr = "0.0.0", log
	d, err := daemon.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	client, err := miclient.New(d.MIURL(), "")
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			t.Logf("stop: %v", err)
		}
	})
	t.Cleanup(stop)
	return &Daemon{Events: d.Events(), MIURL: d.MIURL(), Log: log, t: t, daemon: d, mi: client, stop: stop}
}

// Stop stops the daemon before the end of the test.
func (d *Daemon) Stop() { d.stop() }

// Socket returns the address of the only socket of a kind at which SIP or HEP is received:
// udp, tcp, hep_udp or hep_tcp.
func (d *Daemon) Socket(kind string) string {
	d.t.Helper()
	for _, socket := range d.daemon.Sockets() {
		if addr, ok := strings.CutPrefix(socket, kind+":"); ok {
			return addr
		}
	}
	d.t.Fatalf("no socket %s among %v", kind, d.daemon.Sockets())
	return ""
}

// RunRoute runs a route of the script, which must not fail.
func (d *Daemon) RunRoute(name string, args ...string) {
	d.t.Helper()
	if _, err := d.daemon.RunRoute(d.t.Context(), name, args); err != nil {
		d.t.Fatal(err)
	}
}

// Logged waits until the log has this text.
func (d *Daemon) Logged(text string) {
	d.t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		all, more := d.Log.read()
		if strings.Contains(all, text) {
			return
		}
		select {
		case <-more:
		case <-deadline:
			d.t.Fatalf("log:\n%s\nwant %s", all, text)
		}
	}
}

// Call calls an MI command that must not fail.
func (d *Daemon) Call(command string, params any) json.RawMessage {
	d.t.Helper()
	result, err := d.mi.Call(d.t.Context(), command, params)
	if err != nil {
		d.t.Fatalf("mi %s %v: %v", command, params, err)
	}
	return result
}

// Refused calls an MI command that must be refused.
func (d *Daemon) Refused(command string, params any) *miclient.Error {
	d.t.Helper()
	result, err := d.mi.Call(d.t.Context(), command, params)
	var refusal *miclient.Error
	if !errors.As(err, &refusal) {
		d.t.Fatalf("mi %s %v: %s, %v, want a refusal", command, params, result, err)
	}
	return refusal
}

// Subscribe subscribes a socket over MI.
func (d *Daemon) Subscribe(event, socket string) {
	d.t.Helper()
	d.Call("event_subscribe", map[string]any{"event": event, "socket": socket})
}

// Raise raises an event through the Go API.
func (d *Daemon) Raise(event string, params ...evid.Param) {
	d.t.Helper()
	if _, err := d.Events.Raise(d.t.Context(), event, params...); err != nil {
		d.t.Fatal(err)
	}
}

// Statistics returns the group evi, without the group's name.
func (d *Daemon) Statistics() map[string]uint64 {
	d.t.Helper()
	return d.Group("evi")
}

// Group returns a group of statistics, without the group's name.
func (d *Daemon) Group(group string) map[string]uint64 {
	d.t.Helper()
	var named map[string]uint64
	if err := json.Unmarshal(d.Call("get_statistics", []any{[]string{group + ":"}}), &named); err != nil {
		d.t.Fatalf("read statistics: %v", err)
	}
	statistics := make(map[string]uint64, len(named))
	for name, value := range named {
		statistics[name[len(group)+1:]] = value
	}
	return statistics
}

// Settled waits until nothing waits for any subscriber, and returns the
// statistics.
func (d *Daemon) Settled() map[string]uint64 {
	d.t.Helper()
	return d.Until("nothing waits", func(s map[string]uint64) bool { return s["waiting"] == 0 })
}

// Until waits until the statistics are as wanted, and returns them. They must add
// up.
func (d *Daemon) Until(want string, is func(s map[string]uint64) bool) map[string]uint64 {
	d.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		s := d.Statistics() // each takes a round trip: this does not spin
		if s["accepted"] != s["delivered"]+s["dead"]+s["dropped"]+s["abandoned"]+s["waiting"] {
			d.t.Errorf("statistics do not add up: %v", s)
		}
		if is(s) {
			return s
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("want %s, got %v", want, s)
		}
	}
}

// A Log is what a daemon has logged. The zero value is empty.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed by the next line; nil: nobody waits for it
}

// Write implements [io.Writer].
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
		l.more = nil
	}
	return l.text.Write(line)
}

// read returns the whole log, and what is closed when there is more of it.
func (l *Log) read() (all string, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil {
		l.more = make(chan struct{})
	}
	return l.text.String(), l.more
}

// String returns the whole log.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
