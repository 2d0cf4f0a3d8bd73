package httpd_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/mi"
	"github.com/evid/evid/mi/httpd"
	"github.com/evid/evid/modparam"
)

// startServer starts a server on a free port and stops it with the test.
func startServer(t *testing.T, params httpd.Params, table *mi.Table) *httpd.Server {
	t.Helper()
	params.Port = 0
	server, err := httpd.New(params, table, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return server
}

func newServerTable(t *testing.T, more ...mi.Command) *mi.Table {
	t.Helper()
	table, err := mi.NewTable(more...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

const whichRequest = `{"jsonrpc":"2.0","id":1,"method":"which"}`

// post sends a request and returns status and body.
func post(t *testing.T, client *http.Client, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestBodyLimit(t *testing.T) {
	server := startServer(t, httpd.DefaultParams(), newServerTable(t))
	url := "http://" + server.Addr().String() + "/mi"
	fill := strings.Repeat(" ", 1<<20-len(whichRequest))
	if resp, body := post(t, http.DefaultClient, url, whichRequest+fill); resp.StatusCode != http.StatusOK || !strings.Contains(body, "result") {
		t.Errorf("1 MiB: got %d %.200s", resp.StatusCode, body)
	}
	if resp, body := post(t, http.DefaultClient, url, whichRequest+fill+" "); resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(body, "1 MiB") {
		t.Errorf("1 MiB and a byte: got %d %.200s", resp.StatusCode, body)
	}
}

func TestPortInUse(t *testing.T) {
	first := startServer(t, httpd.DefaultParams(), newServerTable(t))
	params := httpd.DefaultParams()
	params.Port = first.Addr().(*net.TCPAddr).Port
	second, err := httpd.New(params, newServerTable(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = second.Start()
	if err == nil || !strings.Contains(err.Error(), first.Addr().String()) || !strings.Contains(err.Error(), "port") {
		t.Errorf("got %v", err)
	}
	if err := second.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestKeepAlive(t *testing.T) {
	server := startServer(t, httpd.DefaultParams(), newServerTable(t))
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	from := bufio.NewReader(conn)
	const notification = `{"jsonrpc":"2.0","method":"which"}`
	for _, test := range []struct {
		method, body string
		status       int
	}{{"POST", whichRequest, 200}, {"POST", notification, 202}, {"GET", "", 405}, {"POST", whichRequest, 200}} {
		fmt.Fprintf(conn, "%s /mi HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", test.method, len(test.body), test.body)
		if got := readAnswer(t, from, test.method); got.Status != test.status || got.Type != "application/json" {
			t.Errorf("%s %s: got %+v", test.method, test.body, got)
		}
	}
}

// waiting is a command that says when it began and ends when it is told to.
func waiting(began chan<- struct{}, end <-chan struct{}) mi.Command {
	return mi.Command{
		Name:   "wait",
		Params: [][]string{{}},
		Run: func(ctx context.Context, _ mi.Args) (any, error) {
			began <- struct{}{}
			select {
			case <-end:
			case <-ctx.Done():
			}
			return "OK", ctx.Err()
		},
	}
}

func startWaiting(t *testing.T, end <-chan struct{}) (*httpd.Server, <-chan string) {
	t.Helper()
	began, replies := make(chan struct{}), make(chan string, 1)
	params := httpd.DefaultParams()
	params.Port = 0
	server, err := httpd.New(params, newServerTable(t, waiting(began, end)), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		resp, err := http.Post("http://"+server.Addr().String()+"/mi", "application/json",
			strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"wait"}`))
		if err != nil {
			replies <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		replies <- string(body)
	}()
	<-began
	return server, replies
}

func TestStopWaitsForRequests(t *testing.T) {
	end := make(chan struct{})
	server, replies := startWaiting(t, end)
	stopped := make(chan error)
	go func() { stopped <- server.Stop(context.Background()) }()
	for { // until it does not listen any more
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			break
		}
		conn.Close()
	}
	close(end)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if reply := <-replies; !strings.Contains(reply, `"result":"OK"`) {
		t.Errorf("got %s", reply)
	}
}

// TestStopWaitsForNoOneElse has clients that connected and sent no more than a
// part of a request.
func TestStopWaitsForNoOneElse(t *testing.T) {
	end := make(chan struct{})
	server, replies := startWaiting(t, end)
	const whole = "POST /mi HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
	var conns []net.Conn
	for _, sent := range []string{"", whole[:20], whole[:len(whole)-1], whole, whole + whole[:20]} {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(sent, whole) {
			readAnswer(t, bufio.NewReader(conn), "POST")
		}
		conns = append(conns, conn)
	}
	stopped := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second) // not half of any time limit
		defer cancel()
		stopped <- server.Stop(ctx)
	}()
	for _, conn := range conns {
		io.Copy(io.Discard, conn) // until it is closed, whether in order or not
	}
	close(end)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if reply := <-replies; !strings.Contains(reply, `"result":"OK"`) {
		t.Errorf("got %s", reply)
	}
}

func TestStopCutsShort(t *testing.T) {
	server, replies := startWaiting(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := server.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-replies // an error, or a reply that came through
}

func TestConnectionLimit(t *testing.T) {
	const limit = 256
	server := startServer(t, httpd.DefaultParams(), newServerTable(t))
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for range limit + 1 {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		conns = append(conns, conn)
	}
	if n, err := conns[limit].Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the connection above the limit: read %d, %v", n, err)
	}
	fmt.Fprintf(conns[0], "GET /mi HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := readAnswer(t, bufio.NewReader(conns[0]), "GET"); got.Status != 405 {
		t.Errorf("a connection below the limit: got %+v", got)
	}
}

func TestSilentConnectionIsClosed(t *testing.T) {
	params := httpd.DefaultParams()
	params.ConnTimeout = 1
	server := startServer(t, params, newServerTable(t))
	requests := []string{"", "POST /mi HTTP/1.1\r\nHost:", "POST /mi HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"}
	conns := make([]net.Conn, len(requests))
	for i, sent := range requests {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, sent); err != nil {
			t.Fatal(err)
		}
		conns[i] = conn
	}
	for i, conn := range conns {
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Errorf("after %q: %v", requests[i], err)
		}
	}
}

func TestModparams(t *testing.T) {
	params := httpd.DefaultParams()
	all := append(params.HTTPD(), params.MIHTTP()...)
	for _, set := range []struct{ name, text string }{
		{"ip", "::1"},
		{"port", "0"},
		{"auth_token", "secret"},
		{"tls_cert_file", "c"},
		{"tls_key_file", "k"},
		{"tls_ca_file", "a"},
		{"conn_timeout", "5"},
		{"root", "/mi/json/"},
	} {
		if err := modparam.Assign(all, set.name, set.text, modparam.Either); err != nil {
			t.Error(err)
		}
	}
	want := httpd.Params{IP: "::1", AuthToken: "secret", TLSCert: "c", TLSKey: "k", TLSCA: "a", ConnTimeout: 5, Root: "mi/json"}
	if diff := cmp.Diff(want, params); diff != "" {
		t.Error(diff)
	}
	for _, set := range []struct{ name, text string }{
		{"ip", "localhost"},
		{"port", "65536"},
		{"port", "-1"},
		{"auth_token", ""},
		{"auth_token", "a b"},
		{"conn_timeout", "0"},
		{"root", "/"},
		{"root", "a b"},
	} {
		if err := modparam.Assign(all, set.name, set.text, modparam.Either); err == nil || !strings.Contains(err.Error(), "expected") {
			t.Errorf("%s=%q: got %v", set.name, set.text, err)
		}
	}
	for _, p := range all {
		if strings.Contains(p.Value.String(), "secret") {
			t.Errorf("%s shows the secret", p.Name)
		}
	}
}
