package sip_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/evid/evid/source/sip"
)

// Messages are found wherever they are cut.
func TestTCP(t *testing.T) {
	opts := options(sip.TCP)
	bodies := make(chan string, 10)
	opts.Handler = func(ctx context.Context, r *sip.Request) {
		bodies <- string(r.Body())
		answer(ctx, r)
	}
	server, addr := start(t, opts)
	conn := dial(t, sip.TCP, addr)
	replies := bufio.NewReader(conn)
	withBody := func(body string) string {
		return strings.Replace(request("bob", "1"), "Content-Length: 0\r\n", "l : "+itoa(len(body))+"\r\n", 1) + body
	}
	stream := withBody("first") + "\r\n" + withBody("") + "SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nOK" + withBody(strings.Repeat("x", 20000))
	for _, piece := range []int{1, 7, len(stream)} {
		for at := 0; at < len(stream); at += piece {
			write(t, conn, stream[at:min(at+piece, len(stream))])
		}
		for _, want := range []int{5, 0, 20000} {
			reply, err := readReply(replies)
			if err != nil {
				t.Fatal(err)
			}
			wantStatus(t, reply, 200)
			if got := len(<-bodies); got != want {
				t.Errorf("a body of %d bytes, want %d", got, want)
			}
		}
	}
	if stats := server.Stats(); stats.Requests != 9 || stats.Replies != 3 || stats.Malformed != 0 || stats.Bytes != uint64(3*len(stream)) {
		t.Errorf("%+v", stats)
	}
}

func itoa(n int) string { return big.NewInt(int64(n)).String() }

func TestPingOverTCP(t *testing.T) {
	server, addr := start(t, options(sip.TCP))
	conn := dial(t, sip.TCP, addr)
	write(t, conn, "\r\n\r\n")
	pong := make([]byte, 2)
	if _, err := io.ReadFull(conn, pong); err != nil || string(pong) != "\r\n" {
		t.Errorf("pong %q, %v", pong, err)
	}
	write(t, conn, "\r\n"+request("bob", "1")) // a pong, or a line end too many
	reply, err := readReply(bufio.NewReader(conn))
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, reply, 200)
	if n := server.Stats().Pings; n != 1 {
		t.Errorf("%d pings, want 1", n)
	}
}

// What does not say where it ends is answered if it can be, and ends the connection.
func TestBadFraming(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	for _, test := range []struct {
		name, message string
		code          int // 0: no answer
	}{
		{"no length", strings.Replace(request("bob", "1"), "Content-Length: 0\r\n", "", 1), 400},
		{"negative length", strings.Replace(request("bob", "1"), "Length: 0", "Length: -1", 1), 400},
		{"two lengths", strings.Replace(request("bob", "1"), "Length: 0", "Length: 0\r\nl: 1", 1), 400},
		{"too large a length", strings.Replace(request("bob", "1"), "Length: 0", "Length: 65536", 1), 513},
		{"no headers", "x\r\n\r\n", 0},
		{"too large headers", "OPTIONS " + long, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, addr := start(t, options(sip.TCP))
			conn := dial(t, sip.TCP, addr)
			write(t, conn, test.message)
			reply, err := readReply(bufio.NewReader(conn))
			if test.code != 0 {
				if err != nil {
					t.Fatal(err)
				}
				wantStatus(t, reply, test.code)
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("the connection stays open")
			}
			if n := server.Stats().Malformed; n != 1 {
				t.Errorf("%d malformed messages, want 1", n)
			}
		})
	}
}

// A message that ends with its connection, too early, is counted. A connection that ends
// between messages has done nothing wrong.
func TestCutOff(t *testing.T) {
	opts := options(sip.TCP)
	closed := make(chan sip.Disconnect, 1)
	opts.Disconnected = func(d sip.Disconnect) { closed <- d }
	server, addr := start(t, opts)
	for i, sent := range []string{"OPTIONS", strings.Replace(request("bob", "1"), "Length: 0", "Length: 1", 1), request("bob", "1"), ""} {
		conn := dial(t, sip.TCP, addr)
		write(t, conn, sent)
		_ = conn.(*net.TCPConn).CloseWrite()
		<-closed
		if n, want := server.Stats().Malformed, uint64(min(i+1, 2)); n != want {
			t.Errorf("after %q: %d malformed messages, want %d", sent, n, want)
		}
	}
}

// A malformed message whose end is known ends nothing.
func TestMalformedOverTCP(t *testing.T) {
	_, addr := start(t, options(sip.TCP))
	conn := dial(t, sip.TCP, addr)
	write(t, conn, strings.Replace(request("bob", "1"), "1 OPTIONS", "1 INVITE", 1)+request("bob", "2"))
	replies := bufio.NewReader(conn)
	for _, code := range []int{400, 200} {
		reply, err := readReply(replies)
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, reply, code)
	}
}

func TestTimeouts(t *testing.T) {
	opts := options(sip.TCP)
	opts.Params.IdleTimeout, opts.Params.MessageTimeout = 50*time.Millisecond, 50*time.Millisecond
	opts.Params.Certificate, opts.Params.PrivateKey = certificate(t)
	opts.Sockets = append(opts.Sockets, sip.Socket{Proto: sip.TLS, Addr: opts.Sockets[0].Addr})
	server, _ := start(t, opts)
	for _, test := range []struct {
		socket int
		sent   string
	}{{0, ""}, {0, "OPTIONS"}, {1, ""}} {
		conn := dial(t, sip.TCP, server.Sockets()[test.socket].Addr.String())
		write(t, conn, test.sent)
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q the connection is not closed: %v", test.sent, err)
		}
	}
	for server.Stats().TimedOut < 2 { // that of TLS is closed before it is counted
		runtime.Gosched()
	}
}

func TestTooManyConnections(t *testing.T) {
	opts := options(sip.TCP)
	opts.Params.MaxConnections = 1
	server, addr := start(t, opts)
	first := dial(t, sip.TCP, addr)
	write(t, first, request("bob", "1"))
	if _, err := readReply(bufio.NewReader(first)); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, sip.TCP, addr).Read(make([]byte, 1)); err == nil {
		t.Error("a second connection is served")
	}
	if stats := server.Stats(); stats.Connections != 1 || stats.Refused != 1 {
		t.Errorf("%+v", stats)
	}
	first.Close()
	for server.Stats().Connections > 0 {
		runtime.Gosched()
	}
	second := dial(t, sip.TCP, addr)
	write(t, second, request("bob", "2"))
	if _, err := readReply(bufio.NewReader(second)); err != nil {
		t.Errorf("a connection after the first one: %v", err)
	}
}

// A peer that does not read its replies holds up only itself.
func TestPeerThatDoesNotRead(t *testing.T) {
	opts := options(sip.TCP)
	opts.Params.SendTimeout = 50 * time.Millisecond
	closed := make(chan sip.Disconnect, 1)
	opts.Disconnected = func(d sip.Disconnect) { closed <- d }
	_, addr := start(t, opts)
	conn := dial(t, sip.TCP, addr)
	message := request(strings.Repeat("x", 1000), "1")
	for {
		if _, err := conn.Write([]byte(message)); err != nil {
			break // the server has closed the connection
		}
	}
	<-closed
}

func TestDisconnected(t *testing.T) {
	opts := options(sip.TCP)
	closed := make(chan sip.Disconnect, 1)
	opts.Disconnected = func(d sip.Disconnect) { closed <- d }
	_, addr := start(t, opts)
	conn := dial(t, sip.TCP, addr)
	want := sip.Disconnect{
		Proto: sip.TCP, Source: netip.MustParseAddrPort(conn.LocalAddr().String()), Dest: netip.MustParseAddrPort(addr),
	}
	conn.Close()
	if got := <-closed; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestTLS(t *testing.T) {
	opts := options(sip.TLS)
	opts.Params.Certificate, opts.Params.PrivateKey = certificate(t)
	opts.Handler = func(_ context.Context, r *sip.Request) { _ = r.Reply(200, r.Proto(), nil) }
	server, addr := start(t, opts)
	dial(t, sip.TCP, addr) // somebody who says nothing
	roots := x509.NewCertPool()
	pemCert, err := os.ReadFile(opts.Params.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots.AppendCertsFromPEM(pemCert)
	conn := tls.Client(dial(t, sip.TCP, addr), &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
	write(t, conn, request("bob", "1")+"\r\n\r\n")
	replies := bufio.NewReader(conn)
	reply, err := readReply(replies)
	if err != nil || !strings.HasPrefix(reply, "SIP/2.0 200 tls\r\n") {
		t.Errorf("reply %q, %v", reply, err)
	}
	if pong, err := replies.ReadString('\n'); pong != "\r\n" {
		t.Errorf("pong %q, %v", pong, err)
	}
	garbage := dial(t, sip.TCP, addr)
	write(t, garbage, request("bob", "2"))
	_, _ = io.ReadAll(garbage) // to the end of the connection
	if n := server.Stats().Requests; n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// certificate writes a certificate for 127.0.0.1 and its key to files.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		BasicConstraintsValid: true, IsCA: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert},
		keyFile:  {Type: "PRIVATE KEY", Bytes: rawKey},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
