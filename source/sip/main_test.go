package sip_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid/source/sip"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// options are those of a server on one free port of loopback, which answers 200.
func options(proto string) sip.Options {
	socket, err := sip.ParseSocket(proto + ":127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return sip.Options{
		Params: sip.DefaultParams(), Sockets: []sip.Socket{socket}, Handler: answer, Log: slog.New(slog.DiscardHandler),
	}
}

func answer(_ context.Context, r *sip.Request) { _ = r.Reply(200, "OK", nil) }

// start starts a server and returns where it listens. It is stopped with the test.
func start(tb testing.TB, opts sip.Options) (*sip.Server, string) {
	tb.Helper()
	server, err := sip.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	if err := server.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { stop(tb, server) })
	return server, server.Sockets()[0].Addr.String()
}

func stop(tb testing.TB, server *sip.Server) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := server.Stop(ctx); err != nil {
		tb.Error(err)
	}
}

// request is an OPTIONS for a user, as the one from the port with rport, and of this
// Call-ID.
func request(user, callID string) string {
	return lines(
		"OPTIONS sip:"+user+"@example.com SIP/2.0",
		"Via: SIP/2.0/UDP client.example.com:5099;rport;branch=z9hG4bK"+callID,
		"Max-Forwards: 70",
		"From: <sip:alice@example.com>;tag=a1",
		"To: <sip:"+user+"@example.com>",
		"Call-ID: "+callID,
		"CSeq: 1 OPTIONS",
		"Content-Length: 0", "",
	)
}

// lines ends each line as SIP does.
func lines(all ...string) string { return strings.Join(all, "\r\n") + "\r\n" }

// dial connects to the server.
func dial(tb testing.TB, proto, addr string) net.Conn {
	tb.Helper()
	conn, err := net.Dial(proto, addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func write(tb testing.TB, conn net.Conn, text string) {
	tb.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		tb.Fatal(err)
	}
}

// receive reads one datagram.
func receive(tb testing.TB, conn net.Conn) string {
	tb.Helper()
	buf := make([]byte, 64<<10)
	n, err := conn.Read(buf)
	if err != nil {
		tb.Fatal(err)
	}
	return string(buf[:n])
}

// readReply reads a reply without a body from a stream.
func readReply(r *bufio.Reader) (string, error) {
	var reply bytes.Buffer
	for {
		line, err := r.ReadString('\n')
		reply.WriteString(line)
		if err != nil {
			return reply.String(), err
		}
		if line == "\r\n" {
			return reply.String(), nil
		}
	}
}

// wantStatus checks the status line of a reply.
func wantStatus(tb testing.TB, reply string, code int) {
	tb.Helper()
	if !strings.HasPrefix(reply, fmt.Sprintf("SIP/2.0 %d ", code)) {
		tb.Errorf("reply %q, want %d", reply, code)
	}
}
