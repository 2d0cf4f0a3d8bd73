package test_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evid/evid/internal/daemon/daemontest"
)

// tortureRoute touches all of a request that a script can.
const tortureRoute = `
route {
	$var(all) = $rm + $ru + $rU + $rd + $fu + $fU + $fd + $ft + $tu + $tU + $td + $tt + $ci + $cs + $ua + $rb + $mb + $hdr(Via) + $(ct[*]);
	if (is_method("INVITE|OPTIONS") && has_body("application/sdp") && is_present_hf("Subject"))
		append_to_reply("X-Torture: yes\r\n");
	pike_check_req();
	if ($hep(src_ip) == NULL)
		sl_send_reply(200, "OK");
}`

// torture are the messages of RFC 4475, by name.
func torture(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../source/sip/testdata/torture/*.dat")
	if err != nil || len(files) == 0 {
		t.Fatalf("messages: %d, %v", len(files), err)
	}
	messages := make(map[string]string)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		messages[strings.TrimSuffix(filepath.Base(file), ".dat")] = string(data)
	}
	return messages
}

// The messages of RFC 4475 are counted, each as a request, a reply, or malformed, and the
// daemon goes on answering.
func TestTorture(t *testing.T) {
	d := daemontest.Start(t, hepConfig+"socket=tcp:127.0.0.1:0\n"+tortureRoute)
	messages := torture(t)
	// counted waits until a message has been counted, and returns as what.
	counted := func(before map[string]uint64) string {
		t.Helper()
		var as []string
		untilGroup(t, d, "sip", func(st map[string]uint64) bool {
			as = nil
			for _, name := range []string{"requests", "replies", "malformed", "acks", "pings"} {
				if n := st[name] - before[name]; n > 0 {
					as = append(as, fmt.Sprint(name, " ", n))
				}
			}
			return as != nil
		})
		return strings.Join(as, ", ")
	}
	var malformed uint64 // over UDP
	t.Run("udp", func(t *testing.T) {
		client := dial(t, "udp", d.Socket("udp"))
		for name, message := range messages {
			before := d.Group("sip")
			send(t, client, message)
			switch as := counted(before); as {
			case "requests 1", "replies 1":
			case "malformed 1":
				malformed++
			default:
				t.Errorf("%s is counted as %s", name, as)
			}
			ask(t, dial(t, "udp", d.Socket("udp")), options("after", name, ""), 200)
		}
	})
	t.Run("tcp", func(t *testing.T) {
		for name, message := range messages {
			before := d.Group("sip")
			client := dial(t, "tcp", d.Socket("tcp"))
			send(t, client, message)
			client.(*net.TCPConn).CloseWrite()
			if _, err := io.Copy(io.Discard, client); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("%s: %v", name, err)
			}
			as := counted(before)
			want := as == "requests 1" || as == "replies 1" || as == "malformed 1"
			if name == "dblreq" { // two of them on a stream
				want = strings.HasPrefix(as, "requests 2")
			}
			if !want {
				t.Errorf("%s is counted as %s", name, as)
			}
			ask(t, dial(t, "tcp", d.Socket("tcp")), options("after", name, ""), 200)
		}
	})
	t.Run("hep", func(t *testing.T) {
		sender := &hepSender{t: t, d: d, conn: dial(t, "udp", d.Socket("hep_udp"))}
		for _, message := range messages {
			sender.send(captured(netip.MustParseAddrPort("198.51.100.7:5071"), message))
		}
		st := untilGroup(t, d, "hep", func(st map[string]uint64) bool {
			return st["sip"] == sender.sent && st["sip_malformed"] >= malformed
		})
		if n := len(messages); st["sip_malformed"] != malformed || st["malformed"] != 0 || st["other"] != 0 {
			t.Errorf("%d messages, %d of them malformed, statistics: %v", n, malformed, st)
		}
		ask(t, dial(t, "udp", d.Socket("udp")), options("after", "hep", ""), 200)
	})
	for line := range strings.Lines(d.Log.String()) {
		if strings.Contains(line, "panic") || strings.Contains(line, "ERROR") {
			t.Errorf("log: %s", line)
		}
	}
}
