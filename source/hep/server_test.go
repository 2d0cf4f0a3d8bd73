package hep_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evid/evid/modparam"
	"github.com/evid/evid/source/hep"
	"github.com/evid/evid/source/hep/heptest"
)

// patience is how long something may take that should come at once.
const patience = 20 * time.Second

var (
	anyUDP = hep.Socket{Transport: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}
	anyTCP = hep.Socket{Transport: "tcp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}
)

// startServer starts a server, and stops it with the test.
func startServer(t *testing.T, params hep.Params, handle hep.Handler, sockets ...hep.Socket) *hep.Server {
	t.Helper()
	server, err := hep.New(params, sockets, handle, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, server) })
	return server
}

func stop(t *testing.T, server *hep.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// collect returns a handler that says what it gets.
func collect() (hep.Handler, <-chan string) {
	got := make(chan string, 1000)
	return func(_ context.Context, p *hep.Packet) { got <- show(*p) }, got
}

func wait(t *testing.T, got <-chan string) string {
	t.Helper()
	select {
	case text := <-got:
		return text
	case <-time.After(patience):
		t.Fatal("no packet came")
		return ""
	}
}

func dial(t *testing.T, socket hep.Socket) net.Conn {
	t.Helper()
	conn, err := net.Dial(socket.Transport, socket.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func write(t *testing.T, conn net.Conn, data []byte) {
	t.Helper()
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
}

// ended waits until the server has closed a connection.
func ended(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(patience))
	_, err := conn.Read(make([]byte, 1))
	if err == nil || errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		t.Errorf("the connection is still there: %v", err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func rtcp() []byte { return heptest.AppendPacket(nil, heptest.Packet{Type: 5, Payload: []byte("{}")}) }

const shown = "v3 udp 198.51.100.7:5060 > 192.0.2.1:5060 2023-11-14T22:13:20.120000 " + options

func TestUDP(t *testing.T) {
	handle, got := collect()
	params := hep.DefaultParams()
	params.Workers = 1 // in the order in which they come
	server := startServer(t, params, handle, anyUDP)
	conn := dial(t, server.Sockets()[0])
	sip := heptest.AppendPacket(nil, mirrored())
	write(t, conn, rtcp())
	write(t, conn, []byte("no HEP"))
	write(t, conn, sip[:50])
	write(t, conn, sip)
	if text := wait(t, got); text != shown {
		t.Errorf("got %s", text)
	}
	want := hep.Stats{
		Packets: 4, Bytes: uint64(len(rtcp()) + len("no HEP") + 50 + len(sip)), SIP: 1, Other: 1, Malformed: 2,
	}
	if stats := server.Stats(); stats != want {
		t.Errorf("got %+v, want %+v", stats, want)
	}
}

func TestTCP(t *testing.T) {
	handle, got := collect()
	server := startServer(t, hep.DefaultParams(), handle, anyTCP)
	conn := dial(t, server.Sockets()[0])
	sip := heptest.AppendPacket(nil, mirrored())
	broken := packetOf(t, "0000 0007 0009 020304")
	large := mirrored()
	large.Payload = bytes.Repeat([]byte("L"), hep.MaxPacket-len(sip)+len(options))

	write(t, conn, append(append(append(rtcp(), broken...), sip...), sip[:100]...))
	if text := wait(t, got); text != shown {
		t.Errorf("got %s", text)
	}
	write(t, conn, sip[100:])
	if text := wait(t, got); text != shown {
		t.Errorf("the second: got %s", text)
	}
	write(t, conn, heptest.AppendPacket(nil, large))
	if text := wait(t, got); !strings.HasSuffix(text, " "+string(large.Payload)) {
		t.Errorf("the largest: got %d octets", len(text))
	}
	want := hep.Stats{
		Packets: 5, Bytes: uint64(len(rtcp()) + len(broken) + 2*len(sip) + hep.MaxPacket),
		SIP: 3, Other: 1, Malformed: 1, Connections: 1,
	}
	if stats := server.Stats(); stats != want {
		t.Errorf("got %+v, want %+v", stats, want)
	}
}

// What is no packet ends a connection and is counted; the end of one between packets is
// nothing to count.
func TestTCPEnds(t *testing.T) {
	sip := heptest.AppendPacket(nil, mirrored())
	for _, test := range []struct {
		name      string
		send      []byte
		closing   bool
		malformed uint64
	}{
		{"no HEP", []byte("OPTIONS sip:x SIP/2.0\r\n"), false, 1},
		{"a length of 5", []byte("HEP3\x00\x05"), false, 1},
		{"version 1", octets(t, "01 10 02 11 13c4 13c5 c0000201 c0000202 4142"), false, 1},
		{"nothing for too long", nil, false, 0},
		{"half a packet for too long", sip[:100], false, 1},
		{"half a header for too long", sip[:5], false, 1},
		{"the end within a packet", sip[:100], true, 1},
		{"the end between packets", sip, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			handle, _ := collect()
			params := hep.DefaultParams()
			params.IdleTimeout = time.Second
			server := startServer(t, params, handle, anyTCP)
			conn := dial(t, server.Sockets()[0])
			write(t, conn, test.send)
			if test.closing {
				conn.(*net.TCPConn).CloseWrite()
			}
			ended(t, conn)
			stop(t, server)
			if stats := server.Stats(); stats.Malformed != test.malformed || stats.Connections != 0 {
				t.Errorf("got %+v", stats)
			}
		})
	}
}

// A packet that comes in too many pieces ends its connection.
func TestMaxReads(t *testing.T) {
	handle, _ := collect()
	params := hep.DefaultParams()
	params.MaxReads = 2
	server := startServer(t, params, handle, anyTCP)
	conn := dial(t, server.Sockets()[0])
	// Each piece goes only once the one before was read, which nothing tells from outside
	// but time: so they go until the connection ends.
	conn.SetDeadline(time.Now().Add(patience))
	sip := heptest.AppendPacket(nil, mirrored())
	ticks := time.NewTicker(5 * time.Millisecond)
	defer ticks.Stop()
	for i := range len(sip) - 1 {
		<-ticks.C
		if _, err := conn.Write(sip[i : i+1]); err != nil {
			break
		}
	}
	ended(t, conn)
	if stats := server.Stats(); stats.Malformed != 1 || stats.SIP != 0 {
		t.Errorf("got %+v", stats)
	}
}

func TestMaxConnections(t *testing.T) {
	handle, got := collect()
	params := hep.DefaultParams()
	params.MaxConnections = 1
	server := startServer(t, params, handle, anyTCP)
	first := dial(t, server.Sockets()[0])
	write(t, first, heptest.AppendPacket(nil, mirrored()))
	wait(t, got)
	ended(t, dial(t, server.Sockets()[0]))
	if stats := server.Stats(); stats.Connections != 1 || stats.Refused != 1 {
		t.Errorf("got %+v", stats)
	}
	write(t, first, heptest.AppendPacket(nil, mirrored()))
	wait(t, got)
}

// While all workers are busy the kernel keeps what it has room for, and counts the rest.
func TestDropped(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("drops are counted on Linux only")
	}
	goOn := make(chan struct{})
	params := hep.DefaultParams()
	params.Workers = 2
	server := startServer(t, params, func(context.Context, *hep.Packet) { <-goOn }, anyUDP)
	conn := dial(t, server.Sockets()[0])
	packet := heptest.AppendPacket(nil, heptest.Packet{
		Source: netip.MustParseAddrPort("192.0.2.1:1"), Destination: netip.MustParseAddrPort("192.0.2.2:2"),
		Type: hep.SIP, Payload: make([]byte, 30_000),
	})
	const sent = 2_000 // 60 MB
	for range sent {
		write(t, conn, packet)
	}
	dropped := server.Stats().Dropped
	if dropped == 0 || dropped >= sent {
		t.Errorf("%d of %d dropped", dropped, sent)
	}
	close(goOn)
	waitUntil(t, func() bool { return server.Stats().SIP == sent-dropped })
	stop(t, server)
	if stats := server.Stats(); stats.Dropped != dropped || stats.SIP != sent-dropped {
		t.Errorf("%d dropped before the end, then %+v", dropped, stats)
	}
}

// waitUntil waits until something is so.
func waitUntil(t *testing.T, is func() bool) {
	t.Helper()
	ticks := time.NewTicker(time.Millisecond)
	defer ticks.Stop()
	for end := time.Now().Add(patience); !is(); <-ticks.C {
		if time.Now().After(end) {
			t.Fatal("it is not so in time")
		}
	}
}

// Stop waits for handlers; those that do not end are told to.
func TestStop(t *testing.T) {
	began := make(chan struct{})
	server := startServer(t, hep.DefaultParams(), func(ctx context.Context, _ *hep.Packet) {
		began <- struct{}{}
		<-ctx.Done()
	}, anyUDP, anyTCP)
	udp, tcp := dial(t, server.Sockets()[0]), dial(t, server.Sockets()[1])
	write(t, udp, heptest.AppendPacket(nil, mirrored()))
	write(t, tcp, heptest.AppendPacket(nil, mirrored()))
	<-began
	<-began
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := server.Stop(ctx)
	if want := "stop receiving HEP: handlers were told to end: context deadline exceeded"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if left := goroutines(); left != "" {
		t.Errorf("still running:\n%s", left)
	}
	stop(t, server) // a second time: there is nothing to wait for
}

// goroutines returns the stacks of those that run in a server.
func goroutines() string {
	buf := make([]byte, 1<<20)
	var left []string
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "hep.(*Server)") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// Packets of any kind from several senders while the server stops: nothing is left.
func TestStopUnderLoad(t *testing.T) {
	for range 20 {
		handle := func(context.Context, *hep.Packet) {}
		server := startServer(t, hep.DefaultParams(), handle, anyUDP, anyTCP)
		var senders sync.WaitGroup
		for _, socket := range server.Sockets() {
			for range 2 {
				conn := dial(t, socket)
				senders.Go(func() {
					for range 500 {
						if _, err := conn.Write(heptest.AppendPacket(rtcp(), mirrored())); err != nil {
							return
						}
					}
				})
			}
		}
		waitUntil(t, func() bool { return server.Stats().Packets > 10 })
		stop(t, server)
		if left := goroutines(); left != "" {
			t.Fatalf("still running:\n%s", left)
		}
		stats := server.Stats()
		if stats.Packets != stats.SIP+stats.Other+stats.Malformed || stats.Connections != 0 {
			t.Errorf("got %+v", stats)
		}
		senders.Wait()
	}
}

// Of many packets that are of no use the log tells once, and how many.
func TestMalformedLog(t *testing.T) {
	var log lockedBuffer
	server, err := hep.New(hep.DefaultParams(), []hep.Socket{anyUDP}, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	conn := dial(t, server.Sockets()[0])
	for range 100 {
		write(t, conn, []byte("no HEP"))
	}
	waitUntil(t, func() bool { return server.Stats().Malformed == 100 })
	stop(t, server)
	text := log.String()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, `msg="HEP packet ignored" from=127.0.0.1:`) {
		t.Errorf("got %s", text)
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var _ io.Writer = (*lockedBuffer)(nil)

// After a Start that failed nothing listens.
func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	socket := hep.Socket{Transport: "tcp", Addr: netip.MustParseAddrPort(taken.Addr().String())}
	server, err := hep.New(hep.DefaultParams(), []hep.Socket{anyUDP, socket}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = server.Start()
	if err == nil || !strings.HasPrefix(err.Error(), "listen on "+socket.String()+": ") {
		t.Errorf("got %v", err)
	}
	if left := goroutines(); left != "" {
		t.Errorf("still running:\n%s", left)
	}
}

func TestNewErrors(t *testing.T) {
	for want, change := range map[string]func(*hep.Params, *[]hep.Socket){
		`proto_hep workers: "0": expected an integer from 1 to 1024, got "0"`: func(p *hep.Params, _ *[]hep.Socket) { p.Workers = 0 },
		`proto_hep: socket hep_sctp:127.0.0.1:0: expected udp or tcp, got "sctp"`: func(_ *hep.Params, s *[]hep.Socket) {
			*s = []hep.Socket{{Transport: "sctp", Addr: anyUDP.Addr}}
		},
	} {
		params, sockets := hep.DefaultParams(), []hep.Socket(nil)
		change(&params, &sockets)
		if _, err := hep.New(params, sockets, nil, nil); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func TestParseSocket(t *testing.T) {
	for text, want := range map[string]string{
		"hep_udp:127.0.0.1:9060": "hep_udp:127.0.0.1:9060",
		"HEP_TCP:[::1]:9060":     "hep_tcp:[::1]:9060",
		"hep_tcp:127.0.0.1":      "hep_tcp:127.0.0.1:5656",
		"hep_udp:[::1]":          "hep_udp:[::1]:5656",

		"hep_udp":             `parse socket "hep_udp": expected hep_udp:IP:PORT or hep_tcp:IP:PORT`,
		"hep_udp:":            `parse socket "hep_udp:": expected hep_udp:IP:PORT or hep_tcp:IP:PORT`,
		"hep_tls:127.0.0.1:1": `parse socket "hep_tls:127.0.0.1:1": expected hep_udp:IP:PORT or hep_tcp:IP:PORT`,
		"hep_udp:127.0.0.1:65536": `parse socket "hep_udp:127.0.0.1:65536": expected hep_udp:IP:PORT or hep_tcp:IP:PORT: ` +
			`invalid port "65536" parsing "127.0.0.1:65536"`,
		"hep_udp:host:1": `parse socket "hep_udp:host:1": expected hep_udp:IP:PORT or hep_tcp:IP:PORT: ` +
			`ParseAddr("host"): unable to parse IP`,
	} {
		socket, err := hep.ParseSocket(text, 5656)
		got := socket.String()
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestParams(t *testing.T) {
	params := hep.DefaultParams()
	for name, text := range map[string]string{
		"hep_port": "9060", "hep_max_msg_chunks": "8", "workers": "4", "max_connections": "10", "idle_timeout": "5000",
	} {
		if err := modparam.Assign(params.ProtoHEP(), name, text, modparam.Integer); err != nil {
			t.Error(err)
		}
	}
	want := hep.Params{Port: 9060, MaxReads: 8, Workers: 4, MaxConnections: 10, IdleTimeout: 5 * time.Second}
	if params != want {
		t.Errorf("got %+v, want %+v", params, want)
	}
}
