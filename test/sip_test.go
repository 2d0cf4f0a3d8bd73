package test_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/internal/daemon/daemontest"
	"github.com/evid/evid/internal/receiver"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// sipConfig has what a route for SIP requests needs.
const sipConfig = `
loadmodule "proto_udp.so"
loadmodule "proto_tcp.so"
loadmodule "proto_hep.so"
loadmodule "sl.so"
loadmodule "sipmsgops.so"
loadmodule "cfgutils.so"
`

// options is an OPTIONS request.
func options(user, callID, body string) string {
	return strings.Join([]string{
		"OPTIONS sip:" + user + "@example.com SIP/2.0",
		"Via: SIP/2.0/UDP client.example.com:5099;rport;branch=z9hG4bK" + callID,
		"Max-Forwards: 70",
		"From: <sip:alice@example.com>;tag=a1",
		"To: <sip:" + user + "@example.com>",
		"Call-ID: " + callID,
		"CSeq: 1 OPTIONS",
		fmt.Sprintf("Content-Length: %d", len(body)),
		"", body,
	}, "\r\n")
}

// dialFrom connects to a daemon, from an address of loopback.
func dialFrom(t *testing.T, from, proto, addr string) net.Conn {
	t.Helper()
	var dialer net.Dialer
	if proto == "udp" {
		dialer.LocalAddr = &net.UDPAddr{IP: net.ParseIP(from)}
	} else {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := dialer.DialContext(t.Context(), proto, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func dial(t *testing.T, proto, addr string) net.Conn {
	t.Helper()
	return dialFrom(t, "127.0.0.1", proto, addr)
}

func send(t *testing.T, conn net.Conn, message string) {
	t.Helper()
	if _, err := conn.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
}

// reply reads a reply without a body, which is one datagram or the next on a stream.
func reply(t *testing.T, from *bufio.Reader) string {
	t.Helper()
	var reply strings.Builder
	for {
		line, err := from.ReadString('\n')
		reply.WriteString(line)
		if err != nil {
			t.Fatalf("read reply: %v after %q", err, reply.String())
		}
		if line == "\r\n" {
			return reply.String()
		}
	}
}

// ask sends a request and checks the status of the reply to it.
func ask(t *testing.T, conn net.Conn, request string, code int) (answer string) {
	t.Helper()
	send(t, conn, request)
	answer = reply(t, bufio.NewReaderSize(conn, 64<<10))
	if !strings.HasPrefix(answer, fmt.Sprintf("SIP/2.0 %d ", code)) {
		t.Errorf("%q is answered with %q, want %d", request, answer, code)
	}
	return answer
}

// A subscriber is an XML-RPC server, and the calls that it has got.
type subscriber struct {
	socket string
	calls  chan receiver.Call
}

// subscribeServer starts an XML-RPC server. Called, unless nil, is called first for each call.
func subscribeServer(t *testing.T, called func(receiver.Call)) *subscriber {
	t.Helper()
	s := &subscriber{calls: make(chan receiver.Call, 1000)}
	server := receiver.New(receiver.Options{Addr: "127.0.0.1:0", OnCall: func(c receiver.Call) {
		if called != nil {
			called(c)
		}
		s.calls <- c
	}})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	s.socket = "xmlrpc:" + server.Addr() + ":block_ip;struct=1"
	return s
}

// next returns the next call.
func (s *subscriber) next(t *testing.T) string {
	t.Helper()
	select {
	case c := <-s.calls:
		return c.String()
	case <-time.After(patience):
		t.Fatal("no call has come")
		return ""
	}
}

// want checks the next call.
func (s *subscriber) want(t *testing.T, want string) {
	t.Helper()
	if got := s.next(t); got != want {
		t.Errorf("called with %s, want %s", got, want)
	}
}

// noMore checks that all events were delivered and no call is left.
func (s *subscriber) noMore(t *testing.T, d *daemontest.Daemon) {
	t.Helper()
	d.Settled()
	select {
	case c := <-s.calls:
		t.Errorf("called once more, with %s", c)
	default:
	}
}

// untilGroup waits until a group of statistics is as wanted, and returns it.
func untilGroup(t *testing.T, d *daemontest.Daemon, group string, is func(s map[string]uint64) bool) map[string]uint64 {
	t.Helper()
	for end := time.Now().Add(patience); ; { // each takes a round trip: this does not spin
		s := d.Group(group)
		if is(s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("statistics of %s: %v", group, s)
		}
	}
}

var unsupported = regexp.MustCompile(`module (\w+) is not supported`)

// reference is the configuration of the captures without the modules that evid does not
// have, with free ports, and with the subscriber at a listener of the test.
func reference(t *testing.T, structParam string, l net.Listener) string {
	t.Helper()
	text, err := os.ReadFile(referenceConfig)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, missing := range unsupported.FindAllStringSubmatch(fmt.Sprint(daemon.Check(daemon.Options{ConfigFile: referenceConfig}).Err), -1) {
		if !strings.HasPrefix(missing[1], "mi_") && !strings.HasPrefix(missing[1], "event_") {
			t.Errorf("module %s is needed", missing[1])
		}
		lines = slices.DeleteFunc(lines, func(line string) bool {
			return strings.HasPrefix(line, `loadmodule "`+missing[1]+`.so"`) || strings.HasPrefix(line, `modparam("`+missing[1]+`"`)
		})
	}
	return daemontest.Dir(t.TempDir()) + strings.NewReplacer(
		"socket=udp:127.0.0.1:5060", "socket=udp:127.0.0.1:0",
		`"port", 8888`, `"port", 0`,
		`"use_struct_param", 0`, `"use_struct_param", `+structParam,
		"xmlrpc:127.0.0.1:8081:block_ip", fmt.Sprintf("xmlrpc:%s:block_ip;captured=1", l.Addr()),
	).Replace(strings.Join(lines, "\n"))
}

// startReference starts a daemon with the configuration of the captures.
func startReference(t *testing.T, structParam string) (*daemontest.Daemon, net.Listener) {
	t.Helper()
	l := listen(t)
	config := filepath.Join(t.TempDir(), "opensips.cfg")
	if err := os.WriteFile(config, []byte(reference(t, structParam, l)), 0o600); err != nil {
		t.Fatal(err)
	}
	return daemontest.StartFile(t, config), l
}

// TestReferenceCaptures: a SIP request to the configuration of the captures is answered,
// and what is sent for it is what was captured.
func TestReferenceCaptures(t *testing.T) {
	for _, structParam := range []string{"0", "1"} {
		d, l := startReference(t, structParam)
		client := dial(t, "udp", d.Socket("udp"))
		for _, c := range scriptCases() {
			file := filepath.Join(capturesDir, "struct"+structParam+"-"+c.capture+".http")
			if _, err := os.Stat(file); err != nil {
				continue // it was captured in one form only
			}
			t.Run("struct"+structParam+"-"+c.capture, func(t *testing.T) {
				ask(t, client, options(c.route, c.capture, c.body), 200)
				want := readCapture(t, file)
				if e, ok := exceptions[c.capture]; ok {
					want = strings.Replace(want, e.captured, e.sent, 1)
				}
				compareCapture(t, want, accept(t, l))
			})
		}
	}
}

// TestReferenceLog: what the configuration of the captures logs, and what it does not raise.
func TestReferenceLog(t *testing.T) {
	d, l := startReference(t, "0")
	client := dial(t, "udp", d.Socket("udp"))
	for _, name := range []string{"missing_attr", "int_attr"} {
		ask(t, client, options(name, name, ""), 200)
		d.Logged(`level=ERROR msg="RAISE-FALSE ` + name + `"`)
	}
	ask(t, client, options("none", "none", ""), 200)
	if n := d.Statistics()["raised"]; n != 0 {
		t.Errorf("%d events were raised", n)
	}
	ask(t, client, options("named_str", "named_str", ""), 200)
	accept(t, l)
	d.Logged("msg=startup_route")
	d.Logged(`level=ERROR msg="ROUTE key=one string num=<null> 1=one string"`)
}

// A body is taken as it is, whatever is in it and as large as a datagram can be.
func TestRawBodies(t *testing.T) {
	s := subscribeServer(t, nil)
	d := daemontest.Start(t, sipConfig+`
socket=udp:127.0.0.1:0
socket=tcp:127.0.0.1:0
route {
	$avp(name) = "length"; $avp(value) = $(rb{s.len});
	$avp(name) = "body"; $avp(value) = $rb;
	raise_event("E_TEST", $avp(name), $avp(value));
	sl_send_reply(200, "OK");
}`)
	d.Subscribe("E_TEST", s.socket)
	for name, body := range map[string]string{
		"NUL": "\x00a\x00", "line ends": "\r\n\r\nOPTIONS sip:a SIP/2.0\r\n\n", "invalid UTF-8": "\xff\xc3(\xed\xa0\x80", "large": strings.Repeat("ü", 30_000),
	} {
		for _, proto := range []string{"udp", "tcp"} {
			t.Run(name+" over "+proto, func(t *testing.T) {
				ask(t, dial(t, proto, d.Socket(proto)), options("body", "1", body), 200)
				want := strings.NewReplacer("\x00", "\ufffd", "\xff", "\ufffd", "\xc3(", "\ufffd(", "\xed\xa0\x80", "\ufffd\ufffd\ufffd").Replace(body)
				s.want(t, fmt.Sprintf("block_ip E_TEST body=%q length=%d", want, len(body)))
			})
		}
	}
}
