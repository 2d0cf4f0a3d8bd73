package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/loglevel"
)

const testConfig = `
loadmodule "event_xmlrpc.so"
loadmodule "httpd.so"
modparam("httpd", "port", 0)
loadmodule "mi_http.so"
modparam("evi", "register", "E_A; E_B")
modparam("evi", "register", "E_C")
`

// tlsConfig receives SIP over TLS, with what is to be set of module tls_mgm.
const tlsConfig = `socket=tls:127.0.0.1:0
loadmodule "proto_tls.so" loadmodule "tls_mgm.so" `

func TestDefaultConfig(t *testing.T) {
	report := Check(Options{})
	if report.Err != nil || len(report.Warnings) > 0 {
		t.Errorf("the built-in configuration: %v, warnings %v", report.Err, report.Warnings)
	}
}

func TestCheck(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, test := range []struct{ name, config, warning, want string }{
		{"fine", testConfig, "", ""},
		{"no MI", `loadmodule "event_xmlrpc.so"`, `<config>: nothing carries MI: add loadmodule "mi_http.so"`, ""},
		{"route that nothing runs", `route[x] { exit; }`, "<config>:1:1: route[x] is never run: nothing calls it", ""},
		{
			"socket of a route", testConfig + `startup_route { subscribe_event("E_A", "route:E_NOPE"); }`, "",
			"<config>:8:40: subscribe_event: socket: the script has no event_route[E_NOPE]",
		},
		{
			"socket of a route that is there",
			testConfig + `startup_route { subscribe_event("E_A", "route:E_B"); } event_route[E_B] { exit; }`, "", "",
		},
		{
			"socket that cannot be", testConfig + `startup_route { subscribe_event("E_A", "xmlrpc:127.0.0.1:0:m"); }`, "",
			`<config>:8:40: subscribe_event: socket: port "0": expected a number from 1 to 65535`,
		},
		{"mi_http alone", `loadmodule "mi_http.so"`, "", `<config>:1:12: module mi_http needs module httpd: add loadmodule "httpd.so"`},
		{"ignored global", testConfig + "udp_workers=4", "<config>:8:1: udp_workers has no effect: evid is one process", ""},
		{
			"module that comes later", testConfig + `loadmodule "mi_fifo.so"`, "",
			"<config>:8:12: module mi_fifo is not supported: evid does not have it yet",
		},
		{
			"module of a SIP server", testConfig + `loadmodule "usrloc.so"`, "",
			"<config>:8:12: module usrloc is not supported: evid is an event notifier, not a SIP server: run it beside OpenSIPS, which has it",
		},
		{
			"event name", `modparam("evi", "register", "E A")`, "",
			"<config>:1:29: evi: register: expected a name of 1 to 64 bytes without blanks, control characters and ';'",
		},
		{"log level", testConfig + "log_level=5", "", `<config>:8:11: log_level: expected an integer from -3 to 4, got "5"`},
		{"switch", testConfig + `stderror_enabled="maybe"`, "", `<config>:8:18: stderror_enabled: expected an integer, got "maybe"`},
		{
			"beyond loopback", testConfig + `modparam("httpd", "ip", "0.0.0.0")`, "",
			"<config>:8:25: module httpd: ip: listening on 0.0.0.0, beyond loopback, lets others control this daemon: set auth_token",
		},
		{
			"socket without its module", testConfig + "socket=udp:127.0.0.1:0 \n socket=tcp:127.0.0.1:0\n" + `loadmodule "proto_udp.so"`, "",
			`<config>:9:9: socket tcp:127.0.0.1:0 needs module proto_tcp: add loadmodule "proto_tcp.so"`,
		},
		{
			"socket without a certificate", testConfig + tlsConfig + `modparam("tls_mgm", "certificate", "/no/such.pem")`, "",
			"<config>:8:8: socket tls:127.0.0.1:0 needs a certificate and its key: set certificate and private_key of module tls_mgm",
		},
		{
			"no such certificate", testConfig + tlsConfig + `modparam("tls_mgm", "certificate", "/no/such.pem")
				modparam("tls_mgm", "private_key", "/no/such.key")`, "",
			"<config>:9:86: module tls_mgm: certificate and private_key: open /no/such.pem: no such file or directory",
		},
		{
			"no main route", testConfig + `socket=udp:127.0.0.1:0 loadmodule "proto_udp.so"`,
			"<config>:8:8: nothing is done with the SIP that is received: add route {…}", "",
		},
		{
			"check_route", testConfig + `loadmodule "pike.so" modparam("pike", "check_route", "x")`, "",
			"<config>:8:54: check_route of module pike: the script has no route[x]",
		},
		{
			"parameters together", testConfig + `loadmodule "ratelimit.so" modparam("ratelimit", "slot_period", 300)`, "",
			"<config>:8:64: module ratelimit: window_size of 10s is no multiple of the slot_period of 300ms",
		},
		{
			"what only the module finds", testConfig + `loadmodule "cachedb_local.so" modparam("cachedb_local", "cachedb_url", "local:///x")`, "",
			`<config>:8:12: module cachedb_local: open local:///x: there is no collection "x": add it to cache_collections`,
		},
		{
			"function of a module", testConfig + `route { pike_check_req(); }`, "",
			`<config>:8:9: function pike_check_req needs module pike: add loadmodule "pike.so"`,
		},
		{"function of a module that is loaded", testConfig + `loadmodule "pike.so" route { pike_check_req(); }`, "", ""},
		{
			"no such file", testConfig + `modparam("event_xmlrpc", "tls_ca", "/no/such")`, "",
			"<config>:8:36: module event_xmlrpc: tls_ca: open /no/such: no such file or directory",
		},
		{
			"no such file, and more", testConfig + `modparam("event_xmlrpc", "tls_ca", "/no/such") route { nope(); }`, "",
			"<config>:8:36: module event_xmlrpc: tls_ca: open /no/such: no such file or directory\n<config>:8:56: unknown function nope",
		},
		{
			"no such file, or not at all", testConfig + `modparam("event_xmlrpc", "tls_ca", "/no/such") nope=1`, "",
			"<config>:8:48: unknown global",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			report := Check(Options{Config: test.config})
			var warnings string
			if len(report.Warnings) > 0 {
				warnings = report.Warnings.Error()
			}
			if !strings.Contains(warnings, test.warning) {
				t.Errorf("warnings: %s\nwant %s", warnings, test.warning)
			}
			if (report.Err == nil) != (test.want == "") || report.Err != nil && !strings.Contains(report.Err.Error(), test.want) {
				t.Errorf("error: %v\nwant %s", report.Err, test.want)
			}
			d, err := New(Options{Config: test.config, Stderr: new(bytes.Buffer)})
			if (err == nil) != (test.want == "") || (d == nil) == (err == nil) {
				t.Errorf("New and Check do not agree: %v", err)
			}
			if d != nil {
				if err := d.closeQueue(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// MI can run any route by its name: none is said to be never run.
func TestRouteForMI(t *testing.T) {
	report := Check(Options{Config: testConfig + `route[x] { exit; }`})
	if report.Err != nil || len(report.Warnings) > 0 {
		t.Errorf("%v, warnings %v", report.Err, report.Warnings)
	}
}

func TestConfigFile(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	if report := Check(Options{ConfigFile: "/no/such/file"}); !errors.Is(report.Err, os.ErrNotExist) {
		t.Errorf("Check: %v", report.Err)
	}
	name := filepath.Join(t.TempDir(), "evid.cfg")
	if err := os.WriteFile(name, []byte("log_level=2\nnope=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(Options{ConfigFile: name})
	wrong, ok := errors.AsType[*ConfigError](err)
	if !ok || len(wrong.Errors) != 1 || wrong.Errors[0].Pos.Line != 2 {
		t.Fatalf("New: %v", err)
	}
	if got, want := wrong.File.Excerpt(wrong.Errors[0].Pos), "nope=1\n^"; got != want {
		t.Errorf("excerpt %q, want %q", got, want)
	}
}

func TestRegisteredEvents(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	const want = "E_A E_B E_C E_EVID_SUBSCRIBER_DOWN E_EVID_SUBSCRIBER_UP E_EVID_DEAD_LETTER " +
		"E_CORE_THRESHOLD E_CORE_SHM_THRESHOLD E_CORE_PKG_THRESHOLD E_CORE_TCP_DISCONNECT E_CORE_LOG"
	for modules, more := range map[string]string{"": "", `loadmodule "pike.so"`: " E_PIKE_BLOCKED"} {
		d, err := New(Options{Config: testConfig + modules, Stderr: new(bytes.Buffer)})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range d.Events().Events() {
			names = append(names, e.Name)
		}
		if got := strings.Join(names, " "); got != want+more {
			t.Errorf("registered with modules %q: %s", modules, got)
		}
		if err := d.closeQueue(); err != nil {
			t.Error(err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	d, err := New(Options{Config: testConfig + `modparam("httpd", "port", ` + port + ")", Stderr: new(bytes.Buffer)})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(context.Background()); err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("Start: %v, want an error that names %s", err, l.Addr())
	}
}

// A daemon that is told to stop delivers what waits, and says what it could not;
// a raiser that waits for an attempt is told that there will be none.
func TestStop(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	reached := make(chan struct{})
	go func() {
		conn, err := silent.Accept()
		if err == nil {
			close(reached)
			defer conn.Close()
			conn.Read(make([]byte, 1<<20))
			<-t.Context().Done()
		}
	}()
	var log bytes.Buffer
	d, err := New(Options{Config: testConfig + `modparam("queue", "mode", "memory")`, Stderr: &log})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	socket := "xmlrpc:" + silent.Addr().String() + ":m;sync_mode=1;timeout=60000"
	if err := d.Events().Subscribe("E_A", socket, evid.Never); err != nil {
		t.Fatal(err)
	}
	raised := make(chan error)
	go func() {
		_, err := d.Events().Raise(context.Background(), "E_A")
		raised <- err
	}()
	<-reached
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := d.Stop(ctx); err == nil || err.Error() != "stop: events lost, not delivered in time: 1" {
		t.Errorf("Stop: %v", err)
	}
	if err := <-raised; !errors.Is(err, evid.ErrClosed) {
		t.Errorf("the raiser was told %v", err)
	}
	if want := `level=ERROR msg="events lost: they were in memory only" event=E_A socket="` + socket + `" lost=1 dropped_before=0`; !strings.Contains(log.String(), want) {
		t.Errorf("log:\n%s\nwant %s", &log, want)
	}
}

func TestLogLevel(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	levels := []slog.Level{
		slog.LevelDebug, slog.LevelInfo, loglevel.Notice, slog.LevelWarn, slog.LevelError, loglevel.Critical, loglevel.Alert,
	}
	for opensips, shown := range map[int]int{4: 7, 3: 6, 2: 5, 1: 4, -1: 3, -2: 2, -3: 1} {
		var out bytes.Buffer
		level := new(logLevel)
		log, _, err := newLogger(logParams{level: opensips, stderr: true}, &out, level)
		if err != nil {
			t.Fatal(err)
		}
		if level.Level() != opensips {
			t.Errorf("level %d is told as %d", opensips, level.Level())
		}
		for _, l := range levels {
			log.Log(t.Context(), l, "line")
		}
		if n := strings.Count(out.String(), "msg=line"); n != shown {
			t.Errorf("log_level=%d shows %d of the levels, want %d:\n%s", opensips, n, shown, &out)
		}
		if opensips == 2 && !strings.Contains(out.String(), "level=NOTICE") {
			t.Errorf("a notice is not called so:\n%s", &out)
		}
	}
}
