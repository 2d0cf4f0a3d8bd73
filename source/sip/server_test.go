package sip_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/source/sip"
)

func TestReply(t *testing.T) {
	opts := options(sip.UDP)
	opts.Handler = func(_ context.Context, r *sip.Request) {
		if err := r.AppendToReply("X-One: 1\r\nX-Two: 2\r\n"); err != nil {
			t.Error(err)
		}
		if err := r.Reply(486, "Busy Here", []string{"Retry-After: 5"}); err != nil {
			t.Error(err)
		}
	}
	server, addr := start(t, opts)
	conn := dial(t, sip.UDP, addr)
	message := strings.Replace(request("bob", "1"), "Max-Forwards", "v: SIP/2.0/TCP 192.0.2.7\r\nMax-Forwards", 1)
	message = strings.Replace(message, "=z9hG4bK1\r\n", "=z9hG4bK1 , SIP/2.0/TCP 192.0.2.6\r\n", 1)
	write(t, conn, message)
	reply := receive(t, conn)
	_, rest, _ := strings.Cut(reply, "To: <sip:bob@example.com>;tag=")
	tag, _, _ := strings.Cut(rest, "\r\n")
	if len(tag) != 16 {
		t.Errorf("tag %q", tag)
	}
	port := netip.MustParseAddrPort(conn.LocalAddr().String()).Port()
	want := lines(
		"SIP/2.0 486 Busy Here",
		fmt.Sprintf("Via: SIP/2.0/UDP client.example.com:5099;rport=%d;branch=z9hG4bK1;received=127.0.0.1 , SIP/2.0/TCP 192.0.2.6", port),
		"Via: SIP/2.0/TCP 192.0.2.7",
		"From: <sip:alice@example.com>;tag=a1",
		"To: <sip:bob@example.com>;tag="+tag,
		"Call-ID: 1",
		"CSeq: 1 OPTIONS",
		"X-One: 1", "X-Two: 2", "Retry-After: 5",
		"Content-Length: 0", "",
	)
	if diff := cmp.Diff(want, reply); diff != "" {
		t.Error(diff)
	}
	write(t, conn, message)
	if again := receive(t, conn); again != reply {
		t.Errorf("the request sent again gets %q, want %q", again, reply)
	}
	ack := strings.Replace(strings.ReplaceAll(message, "OPTIONS", "ACK"), "bob@example.com>\r\n", "bob@example.com>;tag="+tag+"\r\n", 1)
	write(t, conn, ack)
	write(t, conn, request("bob", "2"))
	receive(t, conn)
	waitStats(t, server, sip.Stats{ACKs: 1, Requests: 3, Replied: 3})
}

// Without rport a reply goes to the port in Via, at the address that the request came from.
func TestReplyAddress(t *testing.T) {
	_, addr := start(t, options(sip.UDP))
	sender := dial(t, sip.UDP, addr)
	listener, target := start(t, options(sip.UDP))
	port := netip.MustParseAddrPort(target).Port()
	for _, sentBy := range []string{"192.0.2.1", "127.0.0.1"} {
		via := fmt.Sprintf("SIP/2.0/UDP %s:%d;maddr=192.0.2.2;branch=1", sentBy, port)
		write(t, sender, strings.Replace(request("bob", "1"), "SIP/2.0/UDP client.example.com:5099;rport", via, 1))
	}
	for listener.Stats().Replies < 2 {
		runtime.Gosched()
	}
}

func TestReplyRefuses(t *testing.T) {
	errs := make(chan error, 10)
	opts := options(sip.UDP)
	opts.Handler = func(_ context.Context, r *sip.Request) {
		errs <- r.Reply(99, "Low", nil)
		errs <- r.Reply(700, "High", nil)
		errs <- r.Reply(200, "OK\r\nX: y", nil)
		errs <- r.Reply(200, "OK", []string{"X: y\r\n\r\nbody"})
		errs <- r.AppendToReply("X: y")
		errs <- r.AppendToReply("X: y\r\n\r\n")
		errs <- r.AppendToReply("no header\r\n")
	}
	_, addr := start(t, opts)
	write(t, dial(t, sip.UDP, addr), request("bob", "1"))
	for range 7 {
		if err := <-errs; err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("error %v, want one", err)
		}
	}
}

func TestUDPOther(t *testing.T) {
	server, addr := start(t, options(sip.UDP))
	conn := dial(t, sip.UDP, addr)
	for _, datagram := range []string{
		"", "\r\n\r\n", "\x00\x00\x00\x00", // pings
		"SIP/2.0 200 OK\r\n\r\n",
		"garbage", strings.Replace(request("bob", "1"), "Call-ID: 1\r\n", "", 1), // not answered
		strings.Replace(strings.ReplaceAll(request("bob", "1"), "OPTIONS", "ACK"), "1 ACK", "1 INVITE", 1), // nor is this
		strings.ReplaceAll(request("bob", "1"), "OPTIONS", "ACK"),                                          // nor this, which is handled
	} {
		write(t, conn, datagram)
	}
	write(t, conn, strings.Replace(request("bob", "1"), "1 OPTIONS", "1 INVITE", 1))
	wantStatus(t, receive(t, conn), 400)
	write(t, conn, strings.Replace(request("bob", "1"), "SIP/2.0", "SIP/7.0", 1))
	wantStatus(t, receive(t, conn), 505)
	write(t, conn, request("bob", "1"))
	wantStatus(t, receive(t, conn), 200)
	waitStats(t, server, sip.Stats{Requests: 2, Replies: 1, Replied: 3, Pings: 3, Malformed: 5})
}

// waitStats waits for the numbers, but that of bytes: other readers may still be at what
// came before, and a reply is counted once it is sent.
func waitStats(t *testing.T, server *sip.Server, want sip.Stats) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		stats := server.Stats()
		stats.Bytes = 0
		if stats == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(cmp.Diff(want, stats))
		}
	}
}

// Requests that wait hold up no others; beyond the limit they are dropped.
func TestSlowRoutes(t *testing.T) {
	const most = 20
	opts := options(sip.UDP)
	opts.Params.MaxHandlers = most
	slow, free := make(chan struct{}, 2*most), make(chan struct{})
	opts.Handler = func(ctx context.Context, r *sip.Request) {
		if r.URI().User() == "slow" {
			slow <- struct{}{}
			<-free
		}
		answer(ctx, r)
	}
	server, addr := start(t, opts)
	conn := dial(t, sip.UDP, addr)
	for i := range most - 1 {
		write(t, conn, request("slow", fmt.Sprint(i)))
		<-slow
	}
	write(t, conn, request("bob", "quick"))
	wantStatus(t, receive(t, conn), 200)
	for sent := false; !sent; { // it is dropped while the quick one, though answered, has not ended
		dropped := server.Stats().Dropped
		write(t, conn, request("slow", "last"))
		for !sent && server.Stats().Dropped == dropped {
			select {
			case <-slow:
				sent = true
			default:
				runtime.Gosched()
			}
		}
	}
	dropped := server.Stats().Dropped
	for server.Stats().Dropped == dropped {
		write(t, conn, request("bob", "dropped"))
		runtime.Gosched()
	}
	if n := server.Stats().Requests; n != most+1 {
		t.Errorf("%d requests, want %d", n, most+1)
	}
	close(free)
	for range most {
		wantStatus(t, receive(t, conn), 200)
	}
	write(t, conn, request("bob", "after"))
	for !strings.Contains(receive(t, conn), "Call-ID: after") { // before it those that were to be dropped, and had not come
	}
}

// What the kernel drops is counted as well, where it can be known.
func TestOverflow(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux counts it for each socket")
	}
	unread, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	_ = unread.SetReadBuffer(4096)
	conn := dial(t, sip.UDP, unread.LocalAddr().String())
	for sip.Overflowed(unread) == 0 {
		write(t, conn, request("bob", "1"))
	}
}

// The context of requests is done when that of Stop is.
func TestStopCutsShort(t *testing.T) {
	opts := options(sip.UDP)
	handling := make(chan struct{})
	opts.Handler = func(ctx context.Context, _ *sip.Request) {
		close(handling)
		<-ctx.Done()
	}
	server, err := sip.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	write(t, dial(t, sip.UDP, server.Sockets()[0].Addr.String()), request("bob", "1"))
	<-handling
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// A request that is being handled at Stop is answered.
func TestStopWaits(t *testing.T) {
	for _, proto := range []string{sip.UDP, sip.TCP} {
		opts := options(proto)
		handling, free := make(chan struct{}), make(chan struct{})
		opts.Handler = func(ctx context.Context, r *sip.Request) {
			close(handling)
			<-free
			answer(ctx, r)
		}
		server, err := sip.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		conn := dial(t, proto, server.Sockets()[0].Addr.String())
		write(t, conn, request("bob", "1"))
		<-handling
		var stopping sync.WaitGroup
		stopping.Go(func() { stop(t, server) })
		close(free)
		stopping.Wait()
		wantStatus(t, receive(t, conn), 200)
	}
}

func TestNewRefuses(t *testing.T) {
	for what, change := range map[string]func(*sip.Options){
		"set certificate and private_key": func(o *sip.Options) { o.Sockets[0].Proto = sip.TLS },
		"no such file": func(o *sip.Options) {
			o.Sockets[0].Proto, o.Params.Certificate, o.Params.PrivateKey = sip.TLS, "nowhere.pem", "nowhere.pem"
		},
		"limits and times above 0": func(o *sip.Options) { o.Params.MaxHandlers = 0 },
	} {
		opts := options(sip.UDP)
		change(&opts)
		if _, err := sip.New(opts); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("error %v, want %s", err, what)
		}
	}
}

// A socket that is taken is an error, and those before it are closed.
func TestStartRefuses(t *testing.T) {
	taken, _ := start(t, options(sip.UDP))
	free, err := sip.New(options(sip.TCP))
	if err != nil {
		t.Fatal(err)
	}
	if err := free.Start(); err != nil {
		t.Fatal(err)
	}
	tcp := free.Sockets()[0]
	stop(t, free)
	opts := options(sip.UDP)
	opts.Sockets = []sip.Socket{tcp, taken.Sockets()[0]}
	server, err := sip.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err == nil || !strings.Contains(err.Error(), taken.Sockets()[0].String()) {
		t.Errorf("error %v, want one with %v", err, taken.Sockets()[0])
	}
	opts.Sockets = opts.Sockets[:1]
	start(t, opts)
}

func TestIPv6(t *testing.T) {
	socket, err := sip.ParseSocket("udp:[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	opts := options(sip.UDP)
	opts.Sockets = []sip.Socket{socket}
	server, err := sip.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		give := t.Skipf
		if os.Getenv("CI") == "true" {
			give = t.Fatalf
		}
		give("no IPv6 here: %v", err)
	}
	defer stop(t, server)
	conn := dial(t, sip.UDP, server.Sockets()[0].Addr.String())
	write(t, conn, strings.Replace(request("bob", "1"), "client.example.com:5099", "[::1]:5099", 1))
	if reply := receive(t, conn); !strings.Contains(reply, "Via: SIP/2.0/UDP [::1]:5099;rport=") || !strings.Contains(reply, ";received=::1\r\n") {
		t.Errorf("reply %q", reply)
	}
}

// Nothing of a server is left after Stop, with slow requests and open connections as well.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		opts := options(sip.UDP)
		opts.Sockets = append(opts.Sockets, options(sip.TCP).Sockets...)
		var slow atomic.Int64
		opts.Handler = func(ctx context.Context, _ *sip.Request) {
			slow.Add(1)
			<-ctx.Done()
		}
		server, err := sip.New(opts)
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		for i, proto := range []string{sip.UDP, sip.TCP} {
			conn := dial(t, proto, server.Sockets()[i].Addr.String())
			write(t, conn, request("bob", "1"))
			write(t, conn, request("bob", "2"))
			dial(t, proto, server.Sockets()[i].Addr.String())
		}
		for slow.Load() < 3 {
			runtime.Gosched()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = server.Stop(ctx)
	}
	// One that has said that it ends takes a moment to be gone.
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
	}
}
