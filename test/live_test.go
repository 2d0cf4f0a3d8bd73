package test_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/internal/daemon/daemontest"
	"github.com/evid/evid/internal/receiver"
)

const bothSockets = "socket=udp:127.0.0.1:0\nsocket=tcp:127.0.0.1:0\n"

// startFlood sends OPTIONS, as such or captured, over all of the sockets, without waiting for answers, until the
// test ends.
func startFlood(t *testing.T, sockets []string) {
	t.Helper()
	stop := make(chan struct{})
	var flooding sync.WaitGroup
	var conns []net.Conn
	for _, socket := range sockets {
		kind, addr, _ := strings.Cut(socket, ":")
		network, overHEP := strings.CutPrefix(kind, "hep_")
		conn := dial(t, network, addr)
		conns = append(conns, conn)
		flooding.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				message := []byte(options("flood", fmt.Sprint(n), ""))
				if overHEP {
					message = captured(netip.MustParseAddrPort("198.51.100.7:5060"), string(message))
				}
				// Once the daemon has stopped, TCP is at its end, and UDP is refused.
				if _, err := conn.Write(message); err != nil {
					return
				}
			}
		})
	}
	t.Cleanup(func() {
		close(stop)
		for _, conn := range conns {
			conn.Close()
		}
		flooding.Wait()
	})
}

// newDaemon is a daemon that the test starts and stops itself.
func newDaemon(t *testing.T, queue, config string) (*daemon.Daemon, *daemontest.Log) {
	t.Helper()
	log := new(daemontest.Log)
	d, err := daemon.New(daemon.Options{Config: daemontest.Config + daemontest.Dir(queue) + sipConfig + config, Version: "0.0.0", Stderr: log})
	if err != nil {
		t.Fatal(err)
	}
	return d, log
}

// A daemon gets graceTime to stop in, and may take stopTime: the rest is the machine's.
const (
	graceTime = time.Second
	stopTime  = 5 * time.Second
)

func stopDaemon(t *testing.T, d *daemon.Daemon) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), graceTime)
	defer cancel()
	began := time.Now()
	err := d.Stop(ctx)
	if took := time.Since(began); took > stopTime {
		t.Errorf("it took %v to stop", took)
	}
	checkGone(t)
	return err
}

// checkGone checks that nothing of a daemon runs any more.
func checkGone(t *testing.T) {
	t.Helper()
	var stacks strings.Builder
	for end := time.Now().Add(patience); ; {
		stacks.Reset()
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 2)
		left := false
		for _, of := range []string{"internal/daemon.", "source/sip.", "source/hep.", "source/pike.", "source/core.", "mi/httpd."} {
			left = left || strings.Contains(stacks.String(), "github.com/evid/evid/"+of)
		}
		if !left {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("there runs still:\n%s", stacks.String())
		}
	}
}

// A daemon that is told to stop during a flood does, whatever its route does, and says how
// it went.
func TestStopDuringFlood(t *testing.T) {
	s := subscribeServer(t, nil)
	for name, test := range map[string]struct {
		script string
		cut    bool // requests are cut short
	}{
		"quick":   {`route { if ($hep(src_ip) == NULL) sl_send_reply(200, "OK"); }`, false},
		"raises":  {`route { raise_event("E_TEST"); } startup_route { subscribe_event("E_TEST", "` + s.socket + `"); }`, false},
		"sleeps":  {`route { sleep(60); sl_send_reply(200, "OK"); }`, true},
		"loops":   {"max_while_loops=1000000\nroute { $var(n) = 0; while ($var(n) < 1000000) { $var(m) = 0; while ($var(m) < 1000000) $var(m) = $var(m) + 1; $var(n) = $var(n) + 1; } }", true},
		"checked": {"loadmodule \"pike.so\"\nmodparam(\"pike\", \"check_route\", \"pike\")\nroute { exit; } route[pike] { sleep(60); }", true},
	} {
		t.Run(name, func(t *testing.T) {
			d, log := newDaemon(t, t.TempDir(), bothSockets+"socket=hep_udp:127.0.0.1:0\nsocket=hep_tcp:127.0.0.1:0\n"+test.script)
			if err := d.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			sockets := d.Sockets()
			if name == "loops" {
				startFlood(t, sockets[1:]) // over UDP there are hundreds at a time, and two processors
			} else {
				startFlood(t, sockets)
			}
			_, addr, _ := strings.Cut(sockets[1], ":")
			conn := dial(t, "tcp", addr)
			send(t, conn, "\r\n\r\n")
			if pong, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
				t.Errorf("ping is answered with %q, %v", pong, err)
			}
			err := stopDaemon(t, d)
			if cut := errors.Is(err, context.DeadlineExceeded); err != nil && !cut || cut != test.cut {
				t.Errorf("stopped with %v", err)
			}
			if n := strings.Count(log.String(), "ERROR"); n > 0 {
				t.Errorf("%d errors in the log, as %.300s", n, log.String())
			}
		})
	}
}

// A socket that somebody else has is named, and nothing is left running: with another one,
// or when it is free, the same daemon starts.
func TestTakenSocket(t *testing.T) {
	tcp := listen(t)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	queue := t.TempDir()
	for _, test := range []struct {
		socket string
		free   func() error
	}{
		{"tcp:" + tcp.Addr().String(), tcp.Close},
		{"hep_udp:" + udp.LocalAddr().String(), udp.Close},
	} {
		config := `
loadmodule "pike.so"
socket=udp:127.0.0.1:0
socket=` + test.socket + `
route { sl_send_reply(200, "OK"); }`
		d, _ := newDaemon(t, queue, config)
		if err := d.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "listen on "+test.socket) ||
			!strings.Contains(err.Error(), "address already in use") {
			t.Fatalf("started, %v", err)
		}
		checkGone(t)
		if err := test.free(); err != nil {
			t.Fatal(err)
		}
		d, _ = newDaemon(t, queue, config)
		if err := d.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, addr, _ := strings.Cut(d.Sockets()[0], ":")
		ask(t, dial(t, "udp", addr), options("bob", "1", ""), 200)
		if err := stopDaemon(t, d); err != nil {
			t.Error(err)
		}
	}
}

// While the routes are loaded anew every request is answered, by the old ones or the new.
func TestReloadDuringFlood(t *testing.T) {
	config, queue := filepath.Join(t.TempDir(), "evid.cfg"), daemontest.Dir(t.TempDir())
	write := func(version int) {
		text := daemontest.Config + queue + sipConfig + bothSockets + fmt.Sprintf(`
route {
	append_to_reply("X-First: %[1]d\r\n");
	route(%[2]s);
	sl_send_reply(200, "OK %[1]d");
}
route[%[2]s] {
	append_to_reply("X-Second: %[1]d\r\n");
}`, version, []string{"even", "odd"}[version%2])
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	d := daemontest.StartFile(t, config)
	stop := make(chan struct{})
	var flooding sync.WaitGroup
	for _, proto := range []string{"udp", "udp", "tcp", "tcp"} {
		conn := dial(t, proto, d.Socket(proto))
		flooding.Go(func() {
			if err := askForVersions(conn, stop); err != nil {
				t.Error(err)
			}
		})
	}
	const reloads = 50
	for version := range reloads {
		write(version + 1)
		d.Call("reload_routes", nil)
		answer := ask(t, dial(t, "udp", d.Socket("udp")), options("bob", "1", ""), 200)
		if want := fmt.Sprintf("SIP/2.0 200 OK %d\r\n", version+1); !strings.HasPrefix(answer, want) {
			t.Errorf("after the reload: %q, want %s", answer, want)
		}
	}
	close(stop)
	flooding.Wait()
	if log := d.Log.String(); strings.Contains(log, "ERROR") {
		t.Errorf("log:\n%s", log)
	}
}

// askForVersions asks until stop is closed. All of an answer must be of one version.
func askForVersions(conn net.Conn, stop <-chan struct{}) error {
	from := bufio.NewReaderSize(conn, 64<<10)
	for n := 0; ; n++ {
		select {
		case <-stop:
			return nil
		default:
		}
		if _, err := conn.Write([]byte(options("bob", fmt.Sprint(n), ""))); err != nil {
			return err
		}
		said := make(map[string]string)
		for {
			line, err := from.ReadString('\n')
			if err != nil {
				return err
			}
			if line == "\r\n" {
				break
			}
			for _, name := range []string{"SIP/2.0 200 OK ", "X-First: ", "X-Second: "} {
				if version, ok := strings.CutPrefix(line, name); ok {
					said[version] += name
				}
			}
		}
		if len(said) != 1 {
			return fmt.Errorf("answered by several versions: %q", said)
		}
	}
}

// Who closes its connection, and which route is slow, is told by events of OpenSIPS' core.
func TestCoreEventsOfSIP(t *testing.T) {
	gone, slow := subscribeServer(t, nil), make(chan receiver.Call, 100)
	s := subscribeServer(t, func(c receiver.Call) {
		if len(c.Params) > 0 && c.Params[0].Value == "route" { // a delivery may take as long
			slow <- c
		}
	})
	d := daemontest.Start(t, sipConfig+bothSockets+`
exec_msg_threshold=20000
route {
	if ($rU == "slow")
		usleep(30000);
	sl_send_reply(200, "OK");
}`)
	d.Subscribe("E_CORE_TCP_DISCONNECT", gone.socket)
	d.Subscribe("E_CORE_THRESHOLD", s.socket)
	client := dial(t, "tcp", d.Socket("tcp"))
	ask(t, client, options("bob", "1", ""), 200)
	client.Close()
	from, to := client.LocalAddr().(*net.TCPAddr), client.RemoteAddr().(*net.TCPAddr)
	gone.want(t, fmt.Sprintf(`block_ip E_CORE_TCP_DISCONNECT src_ip="127.0.0.1" src_port=%d dst_ip="127.0.0.1" dst_port=%d proto="tcp"`, from.Port, to.Port))

	client = dial(t, "udp", d.Socket("udp"))
	ask(t, client, options("slow", "1", ""), 200)
	for { // a quick one may have taken as long, too
		select {
		case c := <-slow:
			var took int64
			var extra string
			if _, err := fmt.Sscanf(c.String(), `block_ip E_CORE_THRESHOLD source="route" time=%d extra=%q`, &took, &extra); err != nil {
				t.Fatalf("%v: called with %s", err, c)
			}
			if extra != client.LocalAddr().String() {
				continue
			}
			if took < 30_000 || time.Duration(took)*time.Microsecond > patience {
				t.Errorf("called with %s", c)
			}
			return
		case <-time.After(patience):
			t.Fatal("no call has come")
		}
	}
}
