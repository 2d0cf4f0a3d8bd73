package sip_test

import (
	"strings"
	"testing"

	"github.com/evid/evid/modparam"
	"github.com/evid/evid/source/sip"
)

func TestParseSocket(t *testing.T) {
	for text, want := range map[string]string{
		"udp:192.0.2.1:5080":      "udp:192.0.2.1:5080",
		"UDP:192.0.2.1":           "udp:192.0.2.1:5060",
		"tcp:[2001:db8::1]:5060":  "tcp:[2001:db8::1]:5060",
		"tls:[::1]":               "tls:[::1]:5061",
		" tls:127.0.0.1:0 ":       "tls:127.0.0.1:0",
		"udp:[::ffff:127.0.0.1]:": "",
		"udp:0.0.0.0:5060":        "udp:0.0.0.0:5060",
		"sctp:192.0.2.1:5060":     "",
		"192.0.2.1:5060":          "",
		"udp:":                    "",
		"udp:*:5060":              "",
		"udp:example.com:5060":    "",
		"udp:::1:5060":            "",
		"udp:[::1:5060":           "",
		"udp:[::1]5060":           "",
		"udp:127.0.0.1:65536":     "",
	} {
		socket, err := sip.ParseSocket(text)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "expected") {
				t.Errorf("%s: error %v, want one", text, err)
			}
			continue
		}
		if err != nil || socket.String() != want {
			t.Errorf("%s: %v, %v, want %s", text, socket, err, want)
		}
	}
}

func TestParams(t *testing.T) {
	params := sip.DefaultParams()
	all := append(params.Globals(), append(params.TLSMgm(), params.ProtoTCP()...)...)
	for _, test := range []struct{ name, text, want string }{
		{"tcp_max_connections", "10", ""},
		{"tcp_connection_lifetime", "60", ""},
		{"tcp_max_msg_time", "0", "expected an integer from 1"},
		{"tcp_send_timeout", "200", ""},
		{"certificate", "[dom]/etc/cert.pem", "without a [domain]"},
		{"certificate", "/etc/cert.pem", ""},
		{"private_key", "", "expected the name of a file"},
	} {
		err := modparam.Assign(all, test.name, test.text, modparam.Either)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s=%s: error %v, want %q", test.name, test.text, err, test.want)
		}
		if p, _ := modparam.Find(all, test.name); err == nil && p.Value.String() != test.text {
			t.Errorf("%s is %s, want %s", test.name, p.Value.String(), test.text)
		}
	}
}
