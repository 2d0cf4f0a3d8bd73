package hep_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evid/evid/source/hep"
)

// Kamailio's siptrace, which nobody here wrote, mirrors a request and its reply in each
// version of HEP.
func TestKamailio(t *testing.T) {
	if _, err := exec.LookPath("kamailio"); err != nil {
		t.Fatalf("%v: install Debian package kamailio", err)
	}
	for _, test := range []struct {
		version   int
		transport string // of SIP
	}{{1, "udp"}, {2, "udp"}, {3, "udp"}, {3, "tcp"}} {
		t.Run(fmt.Sprintf("version %d of SIP over %s", test.version, test.transport), func(t *testing.T) {
			testKamailio(t, test.version, test.transport)
		})
	}
}

func testKamailio(t *testing.T, version int, transport string) {
	packets := make(chan hep.Packet, 100)
	server := startServer(t, hep.DefaultParams(), func(_ context.Context, p *hep.Packet) {
		kept := *p
		kept.Payload = bytes.Clone(p.Payload)
		packets <- kept
	}, anyUDP)
	sip := startKamailio(t, server.Sockets()[0].Addr, version)
	client, callID := askKamailio(t, sip, transport)

	var request, reply hep.Packet
	for request.Payload == nil || reply.Payload == nil {
		select {
		case p := <-packets:
			switch {
			case !bytes.Contains(p.Payload, []byte(callID)): // one that was not answered in time
			case bytes.HasPrefix(p.Payload, []byte("OPTIONS ")):
				request = p
			case bytes.HasPrefix(p.Payload, []byte("SIP/2.0 200 OK")):
				reply = p
			default:
				t.Fatalf("got %s", show(p))
			}
		case <-time.After(patience):
			t.Fatalf("request %s, reply %s: not all came: %+v", request.Payload, reply.Payload, server.Stats())
		}
	}
	if request.Source != client || request.Destination != sip || reply.Source != sip || reply.Destination != client {
		t.Errorf("request %s\nreply %s\nwant %s > %s and back", show(request), show(reply), client, sip)
	}
	for _, p := range []hep.Packet{request, reply} {
		if p.Version != version || p.Transport() != transport || !bytes.HasSuffix(p.Payload, []byte("\r\n\r\n")) {
			t.Errorf("got %s", show(p))
		}
		if version == 1 {
			continue // it has neither
		}
		if age := time.Since(p.Time); age < -time.Second || age > time.Minute || p.Agent != 42 {
			t.Errorf("from agent %d, captured %v ago", p.Agent, age)
		}
	}
	if stats := server.Stats(); stats.Malformed != 0 || stats.Other != 0 {
		t.Errorf("got %+v", stats)
	}
}

// startKamailio starts Kamailio on a port that is free, and stops it with the test.
func startKamailio(t *testing.T, mirror netip.AddrPort, version int) netip.AddrPort {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sip := netip.MustParseAddrPort(free.Addr().String())
	free.Close()
	template, err := os.ReadFile("testdata/kamailio.cfg")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("@SIP@", sip.String(), "@HEP@", mirror.String(), "@VERSION@", strconv.Itoa(version)).Replace(string(template))
	dir := t.TempDir()
	file := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("kamailio", "-DD", "-E", "-f", file, "-w", dir, "-Y", dir, "-m", "32", "-M", "4")
	var output lockedBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// All its processes at once: told to end, they wait for each other, at times a minute.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("kamailio said: %s", output.String())
		}
	})
	return sip
}

// askKamailio sends OPTIONS until one is answered. It returns from where, and its Call-ID.
func askKamailio(t *testing.T, sip netip.AddrPort, transport string) (client netip.AddrPort, callID string) {
	t.Helper()
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-ticks.C {
		callID = fmt.Sprintf("call-%d@example.com", time.Now().UnixNano())
		conn, err := net.Dial(transport, sip.String())
		if err != nil {
			continue // it does not listen yet
		}
		client = netip.MustParseAddrPort(conn.LocalAddr().String())
		request := strings.NewReplacer(
			"198.51.100.7:5060", client.String(), "SIP/2.0/UDP", "SIP/2.0/"+strings.ToUpper(transport),
			"438842356788456784563@198.51.100.7", callID,
		).Replace(options)
		conn.SetDeadline(time.Now().Add(time.Second))
		_, errWrite := conn.Write([]byte(request))
		buf := make([]byte, 2048)
		n, errRead := conn.Read(buf)
		conn.Close()
		if errWrite == nil && errRead == nil && strings.HasPrefix(string(buf[:n]), "SIP/2.0 200 OK") {
			return client, callID
		}
	}
	t.Fatalf("kamailio does not answer on %s", sip)
	return client, ""
}
