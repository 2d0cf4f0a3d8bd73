package test_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/internal/daemon/daemontest"
	"github.com/evid/evid/internal/receiver"
)

// The flood of the captures of pike, and how many of its requests were answered there.
const (
	floodSize     = 120
	floodInterval = 2 * time.Millisecond
	floodAnswered = 38
	sampling      = 2 * time.Second
)

// pikeConfig is pike as it was captured.
const pikeConfig = sipConfig + `
loadmodule "pike.so"
modparam("pike", "sampling_time_unit", 2)
modparam("pike", "reqs_density_per_unit", 30)
modparam("queue", "mode", "memory")
socket=udp:127.0.0.1:0
`

// pikeRoute answers who is not blocked.
const pikeRoute = `
route {
	if (!pike_check_req()) {
		xlog("L_WARN", "kept out\n");
		exit;
	}
	sl_send_reply(200, "OK");
}`

const blockedHere = `block_ip E_PIKE_BLOCKED ip="127.0.0.1"`

// answered waits until so many requests have been handled, and returns how many of them
// were answered.
func answered(t *testing.T, d *daemontest.Daemon, requests uint64) uint64 {
	t.Helper()
	return untilGroup(t, d, "sip", func(s map[string]uint64) bool {
		return s["replied"]+uint64(strings.Count(d.Log.String(), `"kept out"`)) == requests
	})["replied"]
}

// flood sends OPTIONS in the time of the captures, but for the last one, which is sent once
// blocked has said so.
func flood(t *testing.T, conn net.Conn, blocked <-chan struct{}) {
	t.Helper()
	ticks := time.NewTicker(floodInterval)
	defer ticks.Stop()
	for n := range floodSize {
		if n == floodSize-1 {
			select {
			case <-blocked:
			case <-time.After(patience):
				t.Fatal("nobody was told while the flood went on")
			}
		}
		send(t, conn, options("pike", fmt.Sprint(n), ""))
		<-ticks.C
	}
}

// checkAnswered checks how many requests of a flood on a new daemon were answered. A unit
// that ends meanwhile lets more pass.
func checkAnswered(t *testing.T, n uint64, started time.Time) {
	t.Helper()
	if inOneUnit := time.Since(started) < sampling; n < floodAnswered || n > floodAnswered && inOneUnit || n > 3*floodAnswered {
		t.Errorf("%d of %d requests were answered, want %d", n, floodSize, floodAnswered)
	}
}

// The XML-RPC server is called once while the flood goes on, and once more for another
// flood after MI has unblocked the address.
func TestFlood(t *testing.T) {
	blocked := make(chan struct{}, 10)
	s := subscribeServer(t, func(receiver.Call) { blocked <- struct{}{} })
	started := time.Now()
	d := daemontest.Start(t, pikeConfig+pikeRoute)
	d.Subscribe("E_PIKE_BLOCKED", s.socket)
	client := dial(t, "udp", d.Socket("udp"))
	flood(t, client, blocked)
	checkAnswered(t, answered(t, d, floodSize), started)
	s.want(t, blockedHere)
	s.noMore(t, d)

	if got := string(d.Call("pike_list", nil)); got != `{"IPs":["127.0.0.1"]}` {
		t.Errorf("pike_list: %s", got)
	}
	d.Call("pike_rm", []any{"127.0.0.1"})
	if got := string(d.Call("pike_list", nil)); got != `{"IPs":[]}` {
		t.Errorf("pike_list after pike_rm: %s", got)
	}
	flood(t, client, blocked)
	answered(t, d, 2*floodSize)
	s.want(t, blockedHere)
	s.noMore(t, d)
	if st := d.Group("pike"); st["detected"] != 2 || st["events_lost"] != 0 || st["events_failed"] != 0 {
		t.Errorf("statistics: %v", st)
	}
}

// 10,000 other addresses, which ask twice each while somebody floods, are all answered.
func TestInnocentDuringFlood(t *testing.T) {
	s := subscribeServer(t, nil)
	d := daemontest.Start(t, pikeConfig+pikeRoute)
	d.Subscribe("E_PIKE_BLOCKED", s.socket)
	addr := d.Socket("udp")
	const flooder, innocents, each = "127.7.7.7", 10_000, 2
	flooding := dialFrom(t, flooder, "udp", addr)
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))
	buf := make([]byte, 2048)
	for n := range innocents {
		from := net.IPv4(127, 7, byte(n/250+10), byte(n%250+1))
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: from}, to)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		for range each {
			send(t, conn, options("bob", fmt.Sprint(n), ""))
			if size, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:size]), "SIP/2.0 200 ") {
				t.Fatalf("%v is answered with %q, %v", from, buf[:size], err)
			}
		}
		conn.Close()
		if n >= innocents/2 && n < innocents/2+floodSize {
			send(t, flooding, options("pike", fmt.Sprint(n), ""))
		}
	}
	answered(t, d, innocents*each+floodSize)
	s.want(t, fmt.Sprintf("block_ip E_PIKE_BLOCKED ip=%q", flooder))
	s.noMore(t, d)
	if st := d.Group("pike"); st["detected"] != 1 || st["evicted"] != 0 || st["nodes_refused"] != 0 {
		t.Errorf("statistics: %v", st)
	}
}

// floodScenario sends OPTIONS and lets them be, answered or not.
const floodScenario = `<?xml version="1.0"?>
<scenario name="flood">
<send><![CDATA[
OPTIONS sip:pike@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:sipp@[local_ip]>;tag=[call_number]
To: <sip:pike@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 OPTIONS
Content-Length: 0

]]></send>
<recv response="200" timeout="200" ontimeout="end"/>
<label id="end"/>
</scenario>
`

// sipp sends the flood of the captures. Calls without an answer have failed for it.
func sipp(t *testing.T, addr string) {
	t.Helper()
	scenario := filepath.Join(t.TempDir(), "flood.xml")
	if err := os.WriteFile(scenario, []byte(floodScenario), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sipp", "-sf", scenario, "-m", fmt.Sprint(floodSize), "-r", fmt.Sprint(int(time.Second/floodInterval)),
		"-l", fmt.Sprint(floodSize), "-i", "127.0.0.1", "-nostdin", "-timeout", "30", "-timeout_error", addr)
	out, err := cmd.CombinedOutput()
	const callsFailed = 1
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != callsFailed) {
		t.Fatalf("sipp: %v\n%s", err, out)
	}
}

// The same by sipp, which nobody here wrote; and the address is unblocked in time.
func TestFloodBySipp(t *testing.T) {
	if _, err := exec.LookPath("sipp"); err != nil {
		t.Fatalf("%v: it is the Debian package sip-tester, see test/deps.sh", err)
	}
	var d *daemontest.Daemon
	received := make(chan uint64, 10) // how many requests, when the server is called
	s := subscribeServer(t, func(c receiver.Call) {
		if c.Event == "E_PIKE_BLOCKED" {
			received <- d.Group("sip")["requests"]
		}
	})
	started := time.Now()
	d = daemontest.Start(t, pikeConfig+`
modparam("pike", "remove_latency", 3)
modparam("pike", "unblock_event", 1)
`+pikeRoute)
	d.Subscribe("E_PIKE_BLOCKED", s.socket)
	d.Subscribe("E_PIKE_UNBLOCKED", s.socket)
	for n := range uint64(2) {
		sipp(t, d.Socket("udp"))
		s.want(t, blockedHere)
		if got := <-received; got >= (n+1)*floodSize {
			t.Errorf("the server was called after all %d requests", got)
		}
		passed := answered(t, d, (n+1)*floodSize)
		if n == 0 {
			checkAnswered(t, passed, started)
			s.want(t, `block_ip E_PIKE_UNBLOCKED ip="127.0.0.1"`)
		}
	}
	d.Settled()
	if st := d.Group("pike"); st["detected"] != 2 || st["events_lost"] != 0 || st["events_failed"] != 0 {
		t.Errorf("statistics: %v", st)
	}
}

// In automatic mode what pike keeps out gets no answer and no main route. Whom the route of
// pike drops is trusted.
func TestPikeCheckRoute(t *testing.T) {
	const trusted, flooder = "127.0.0.3", "127.0.0.2"
	s := subscribeServer(t, nil)
	started := time.Now()
	d := daemontest.Start(t, pikeConfig+`
modparam("pike", "check_route", "pike")
route[pike] {
	if ($si == "`+trusted+`")
		drop;
	if ($rU == "left")
		exit;
}
route {
	xlog("L_WARN", "main $si\n");
	sl_send_reply(200, "OK");
}`)
	d.Subscribe("E_PIKE_BLOCKED", s.socket)
	addr := d.Socket("udp")
	told := make(chan struct{})
	close(told)
	flood(t, dialFrom(t, trusted, "udp", addr), told)
	flood(t, dialFrom(t, flooder, "udp", addr), told)
	sip := untilGroup(t, d, "sip", func(sip map[string]uint64) bool {
		return sip["replied"]+d.Group("pike")["kept_out"] == 2*floodSize
	})
	s.want(t, fmt.Sprintf("block_ip E_PIKE_BLOCKED ip=%q", flooder))
	s.noMore(t, d)
	passed := sip["replied"] - floodSize
	checkAnswered(t, passed, started)
	log := d.Log.String()
	for ip, want := range map[string]uint64{trusted: floodSize, flooder: passed} {
		if n := strings.Count(log, "main "+ip); uint64(n) != want {
			t.Errorf("the main route ran %d times for %s, want %d", n, ip, want)
		}
	}

	// It is checked as well when the route of pike ends with exit.
	for _, test := range []struct {
		from, user string
		answered   bool
	}{{flooder, "left", false}, {flooder, "bob", false}, {trusted, "left", true}, {"127.0.0.4", "left", true}} {
		before := d.Group("pike")["kept_out"]
		conn := dialFrom(t, test.from, "udp", addr)
		if test.answered {
			ask(t, conn, options(test.user, "after", ""), 200)
			continue
		}
		send(t, conn, options(test.user, "after", ""))
		untilGroup(t, d, "pike", func(st map[string]uint64) bool { return st["kept_out"] == before+1 })
	}
	// A reply is counted once it is sent.
	untilGroup(t, d, "sip", func(sip map[string]uint64) bool { return sip["replied"] == floodSize+passed+2 })
	var list struct{ IPs []string }
	if err := json.Unmarshal(d.Call("pike_list", nil), &list); err != nil || fmt.Sprint(list.IPs) != "["+flooder+"]" {
		t.Errorf("pike_list: %v, %v", list.IPs, err)
	}
}

// The route of pike has to be there, also after a reload, and needs no caller.
func TestPikeCheckRouteMissing(t *testing.T) {
	const missing = "check_route of module pike: the script has no route[pike]"
	config := filepath.Join(t.TempDir(), "evid.cfg")
	write := func(routes string) {
		t.Helper()
		text := daemontest.Config + daemontest.Dir(t.TempDir()) + pikeConfig + `modparam("pike", "check_route", "pike")` + routes
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const main, pike = ` route { sl_send_reply(200, "OK"); }`, ` route[pike] { xlog("L_WARN", "checked\n"); }`
	write(main)
	if report := daemon.Check(daemon.Options{ConfigFile: config}); !strings.Contains(fmt.Sprint(report.Err), missing) {
		t.Errorf("without it: %v, want %s", report.Err, missing)
	}
	write(main + pike)
	if report := daemon.Check(daemon.Options{ConfigFile: config}); report.Err != nil || len(report.Warnings) > 0 {
		t.Errorf("with it: %v, warnings %v", report.Err, report.Warnings)
	}
	d := daemontest.StartFile(t, config)
	write(main)
	if refusal := d.Refused("reload_routes", nil); refusal.Code != 500 || !strings.Contains(refusal.Error(), missing) {
		t.Errorf("reload_routes is refused with %v, want %s", refusal, missing)
	}
	ask(t, dial(t, "udp", d.Socket("udp")), options("bob", "1", ""), 200)
	d.Logged("msg=checked")
}
