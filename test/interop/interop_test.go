// Package interop_test runs evid against programs that nobody here wrote.
// test/deps.sh installs them.
package interop_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/daemon/daemontest"
)

const fourBytes = "\U0001F600 \U00010348"

var awkward = []struct {
	name  string
	param evid.Param
}{
	{"markup", evid.String("contact", `<sip:bob@10.0.0.1>;tag=a&b "q" 'q' ]]>`)},
	{"CRLF", evid.String("text", "a\r\nb")},
	{"UTF-8 of two bytes", evid.String("näme", "Ünïcødé")},
	{"UTF-8 of three bytes", evid.String("text", "\u2603 \u20ac \u4e16\u754c")},
	{"blanks at both ends", evid.String("text", "  x  ")},
	{"empty", evid.String("text", "")},
	{"negative", evid.Int("num", -5)},
	{"beyond 32 bits", evid.Int("num", 1<<40)},
	{"unnamed", evid.String("", "192.168.2.11")},
}

// What a server wrote down is what was raised.
func TestServers(t *testing.T) {
	for _, p := range servers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			srv := startServer(t, p)
			sender := newSender(t, srv)
			for _, tc := range awkward {
				t.Run(tc.name, func(t *testing.T) {
					sender.checkDelivery(t, "block_ip", tc.param)
				})
			}
			t.Run("several parameters", func(t *testing.T) {
				sender.checkDelivery(t, "other", evid.String("ip", "192.168.2.11"), evid.Int("hits", 7), evid.String("", "end"))
			})
			t.Run("UTF-8 of four bytes", func(t *testing.T) {
				if srv.refusesFourBytes {
					sender.checkRefusal(t, "block_ip", evid.String("text", fourBytes))
					return
				}
				sender.checkDelivery(t, "block_ip", evid.String("text", fourBytes))
			})
		})
	}
}

// A Frontier::Daemon dies of a sender that does not read its replies.
func TestFrontierSurvives(t *testing.T) {
	sender := newSender(t, startServer(t, frontier))
	for i := range int64(100) {
		sender.checkDelivery(t, "block_ip", evid.Int("n", i))
	}
}

// A sender is a daemon with one server that subscribed.
type sender struct {
	*daemontest.Daemon
	srv *server
}

// newSender starts a daemon and subscribes both methods of the server, each to
// an event of its own.
func newSender(t *testing.T, srv *server) *sender {
	t.Helper()
	d := daemontest.Start(t, `
		modparam("event_xmlrpc", "use_struct_param", 1)
		modparam("evi", "register", "E_block_ip;E_other")`)
	for _, method := range []string{"block_ip", "other"} {
		d.Subscribe(eventOf(method), fmt.Sprintf("xmlrpc:127.0.0.1:%d:%s", srv.port, method))
	}
	return &sender{d, srv}
}

func eventOf(method string) string { return "E_" + method }

// checkDelivery raises an event and checks what the server got, and that evid
// knows that it did.
func (s *sender) checkDelivery(t *testing.T, method string, params ...evid.Param) {
	t.Helper()
	before := s.Statistics()["delivered"]
	s.Raise(eventOf(method), params...)
	if after := s.Settled(); after["delivered"] != before+1 || after["odd_replies"] != 0 {
		t.Fatalf("not delivered: %v\n%s", after, s.Log)
	}
	if got, want := s.srv.nextCall(t), s.srv.written(method, eventOf(method), params); got != want {
		t.Errorf("the server got\n%s\nwant\n%s", got, want)
	}
}

// checkRefusal checks that the event is rejected by a fault and not executed,
// and that the server takes the next event.
func (s *sender) checkRefusal(t *testing.T, method string, params ...evid.Param) {
	t.Helper()
	before := s.Statistics()["dead"]
	s.Raise(eventOf(method), params...)
	if after := s.Settled(); after["dead"] != before+1 || !strings.Contains(s.Log.String(), "verdict=rejected") {
		t.Errorf("not rejected: %v\n%s", after, s.Log)
	}
	s.checkDelivery(t, method, evid.String("after", "refusal"))
}

// written returns the line that the server writes for an event, see servers/README.md.
func (s *server) written(method, event string, params []evid.Param) string {
	line := method + " s:" + hexOf(event)
	for _, p := range params {
		value := "s:" + hexOf(p.Text())
		if isXMLInt(p) {
			value = fmt.Sprintf("i:%d", p.Int)
		}
		if p.Name != "" {
			value = fmt.Sprintf("{%s=%s}", hexOf(p.Name), value)
		}
		line += " " + value
	}
	return line
}

// isXMLInt reports whether p travels as <int>, which has 32 bits.
func isXMLInt(p evid.Param) bool {
	return p.Kind == evid.KindInt && p.Int >= math.MinInt32 && p.Int <= math.MaxInt32
}

func hexOf(text string) string { return hex.EncodeToString([]byte(text)) }
