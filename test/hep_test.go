package test_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/evid/evid/internal/daemon/daemontest"
	"github.com/evid/evid/internal/receiver"
	"github.com/evid/evid/source/hep/heptest"
)

const hepConfig = pikeConfig + "socket=hep_udp:127.0.0.1:0\nsocket=hep_tcp:127.0.0.1:0\n"

// captured is a request in a packet of HEP: where it was seen, it came from there.
func captured(from netip.AddrPort, request string) []byte {
	to := netip.MustParseAddrPort("192.0.2.1:5060")
	if from.Addr().Is6() {
		to = netip.MustParseAddrPort("[2001:db8::1]:5060")
	}
	return heptest.AppendPacket(nil, heptest.Packet{
		Source: from, Destination: to, Protocol: 17, Type: 1, Agent: 42, Time: time.Now(), Payload: []byte(request),
	})
}

// A hepSender sends packets and waits for the daemon now and then: none is lost.
type hepSender struct {
	t    *testing.T
	d    *daemontest.Daemon
	conn net.Conn
	sent uint64
}

func (s *hepSender) send(packet []byte) {
	s.t.Helper()
	send(s.t, s.conn, string(packet))
	if s.sent++; s.sent%500 == 0 {
		s.wait()
	}
}

// wait waits until the daemon has taken all packets.
func (s *hepSender) wait() {
	s.t.Helper()
	untilGroup(s.t, s.d, "hep", func(st map[string]uint64) bool { return st["sip"]+st["other"]+st["malformed"] == s.sent })
}

// Whoever floods is blocked, once, and before the flood is over; 10,000 other addresses,
// which send what is normal before, during and after that, are not.
func TestFloodOverHEP(t *testing.T) {
	for _, test := range []struct {
		kind, network, flooder string
		innocent               func(n int) netip.Addr
	}{
		{"hep_udp", "udp", "10.7.7.7", func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 7, byte(n / 250), byte(n % 250)}) }},
		{"hep_tcp", "tcp", "2001:db8:7::7", func(n int) netip.Addr {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 7, 14: byte(n/250 + 1), 15: byte(n % 250)})
		}},
	} {
		t.Run(test.kind, func(t *testing.T) {
			blocked := make(chan struct{}, 10)
			s := subscribeServer(t, func(receiver.Call) { blocked <- struct{}{} })
			d := daemontest.Start(t, hepConfig+`
route {
	if (!pike_check_req())
		xlog("L_WARN", "kept out $si\n");
}`)
			d.Subscribe("E_PIKE_BLOCKED", s.socket)
			sender := &hepSender{t: t, d: d, conn: dial(t, test.network, d.Socket(test.kind))}
			flooder := netip.AddrPortFrom(netip.MustParseAddr(test.flooder), 5060)
			const innocents, each = 10_000, 2
			flooded := 0
			for n := range innocents * each {
				from := netip.AddrPortFrom(test.innocent(n%innocents), uint16(1024+n%innocents))
				if from.Addr() != flooder.Addr() {
					sender.send(captured(from, options("bob", fmt.Sprint(n), "")))
				}
				if n > innocents/2 && n%20 == 0 && flooded < floodSize {
					if flooded++; flooded == floodSize {
						select {
						case <-blocked:
						case <-time.After(patience):
							t.Fatal("nobody was told while the flood went on")
						}
					}
					sender.send(captured(flooder, options("bob", fmt.Sprint(n), "")))
				}
			}
			sender.wait()
			s.want(t, fmt.Sprintf("block_ip E_PIKE_BLOCKED ip=%q", test.flooder))
			s.noMore(t, d)
			if st := d.Group("pike"); st["detected"] != 1 || st["events_lost"] != 0 || st["evicted"] != 0 || st["nodes_refused"] != 0 {
				t.Errorf("statistics: %v", st)
			}
			if st := d.Group("hep"); st["sip"] != sender.sent || st["sip_malformed"] != 0 || st["dropped"] != 0 {
				t.Errorf("%d packets were sent, statistics: %v", sender.sent, st)
			}
			log := d.Log.String()
			if all, of := strings.Count(log, `"kept out `), strings.Count(log, `"kept out `+test.flooder+`"`); all == 0 || all != of {
				t.Errorf("%d requests were kept out, of them %d of the flooder", all, of)
			}
		})
	}
}

// A route sees where the captured request came from, and the chunks of the packet.
func TestHEPVariables(t *testing.T) {
	d := daemontest.Start(t, hepConfig+`
route {
	xlog("L_WARN", "$rU from $si $sp $proto, $hep(src_ip) $hep(src_port) $hep(dst_ip) $hep(proto_id) $hep(12)\n");
}`)
	sender := &hepSender{t: t, d: d, conn: dial(t, "udp", d.Socket("hep_udp"))}
	sender.send(captured(netip.MustParseAddrPort("198.51.100.7:5071"), options("bob", "1", "")))
	d.Logged(`"bob from 198.51.100.7 5071 udp, 198.51.100.7 5071 192.0.2.1 udp 42"`)
	sender.send(captured(netip.MustParseAddrPort("[2001:db8::7]:5072"), options("carol", "1", "")))
	d.Logged(`"carol from 2001:db8::7 5072 udp, 2001:db8::7 5072 2001:db8::1 udp 42"`)
	client := dial(t, "udp", d.Socket("udp"))
	send(t, client, options("dave", "1", ""))
	d.Logged(fmt.Sprintf(`"dave from 127.0.0.1 %d udp, <null> <null> <null> <null> <null>"`, client.LocalAddr().(*net.UDPAddr).Port))

	// What carries no request runs no route, and is counted.
	sender.send(captured(netip.MustParseAddrPort("198.51.100.7:5071"), "SIP/2.0 200 OK\r\n\r\n"))
	sender.send(captured(netip.MustParseAddrPort("198.51.100.7:5071"), "no SIP"))
	sender.send(heptest.AppendPacket(nil, heptest.Packet{Type: 5, Payload: []byte("a report of RTCP")}))
	sender.send([]byte("HEP3 what?"))
	sender.wait()
	st := untilGroup(t, d, "hep", func(st map[string]uint64) bool { return st["sip_malformed"] == 1 })
	if st["sip"] != 4 || st["other"] != 1 || st["malformed"] != 1 {
		t.Errorf("statistics: %v", st)
	}
	if n := strings.Count(d.Log.String(), " udp, "); n != 3 {
		t.Errorf("the route ran %d times, want 3", n)
	}
}

// Kamailio, which nobody here wrote, is flooded and mirrors that: the XML-RPC server is
// told to block who floods it.
func TestFloodOfKamailio(t *testing.T) {
	s := subscribeServer(t, nil)
	d := daemontest.Start(t, hepConfig+`
route {
	pike_check_req();
}`)
	d.Subscribe("E_PIKE_BLOCKED", s.socket)
	sip := startKamailio(t, d.Socket("hep_udp"))
	untilAnswered(t, sip)
	before := d.Group("hep")["sip"]
	told := make(chan struct{})
	close(told)
	client := dialFrom(t, "127.0.0.5", "udp", sip)
	flood(t, client, told)
	s.want(t, `block_ip E_PIKE_BLOCKED ip="127.0.0.5"`)
	untilGroup(t, d, "hep", func(st map[string]uint64) bool { return st["sip"] >= before+2*floodSize }) // with the replies
	s.noMore(t, d)
	if st := d.Group("hep"); st["sip_malformed"] != 0 || st["malformed"] != 0 {
		t.Errorf("statistics: %v", st)
	}
}

// startKamailio starts Kamailio on a port that is free, with a copy of all that it receives
// and sends to an address over HEP, and stops it with the test.
func startKamailio(t *testing.T, mirror string) (sip string) {
	t.Helper()
	if _, err := exec.LookPath("kamailio"); err != nil {
		t.Fatalf("%v: it is the Debian package kamailio, see test/deps.sh", err)
	}
	free := listen(t)
	sip = free.Addr().String()
	free.Close()
	template, err := os.ReadFile("../source/hep/testdata/kamailio.cfg")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, output := filepath.Join(dir, "kamailio.cfg"), filepath.Join(dir, "output")
	text := strings.NewReplacer("@SIP@", sip, "@HEP@", mirror, "@VERSION@", "3").Replace(string(template))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("kamailio", "-DD", "-E", "-f", file, "-w", dir, "-Y", dir, "-m", "32", "-M", "4")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// All its processes at once: told to end, they wait for each other, at times a minute.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			said, _ := os.ReadFile(output)
			t.Logf("kamailio said: %s", said)
		}
	})
	return sip
}

// untilAnswered waits until a SIP server answers.
func untilAnswered(t *testing.T, addr string) {
	t.Helper()
	buf := make([]byte, 2048)
	ticks := time.NewTicker(50 * time.Millisecond)
	defer ticks.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-ticks.C {
		conn := dial(t, "udp", addr)
		conn.SetDeadline(time.Now().Add(time.Second))
		_, errWrite := conn.Write([]byte(options("ready", "ready", "")))
		_, errRead := conn.Read(buf)
		if errWrite == nil && errRead == nil {
			return
		}
	}
	t.Fatalf("%s does not answer", addr)
}
