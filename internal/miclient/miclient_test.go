package miclient

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// serve starts a server that answers every request with status and body, and
// returns its URL and what it was last sent.
func serve(t *testing.T, status int, body string) (url string, request func() (string, http.Header)) {
	t.Helper()
	type received struct {
		body   string
		header http.Header
	}
	requests := make(chan received, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests <- received{string(sent), r.Header}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/mi", func() (string, http.Header) {
		r := <-requests
		return r.body, r.header
	}
}

func newClient(t *testing.T, url, token string) *Client {
	t.Helper()
	c, err := New(url, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestCall(t *testing.T) {
	tests := []struct {
		name   string
		params any
		reply  string
		sent   string
		result string
	}{
		{
			name: "no parameters", params: nil,
			sent:  `{"jsonrpc":"2.0","id":1,"method":"cmd"}` + "\n",
			reply: `{"jsonrpc":"2.0","result":"OK","id":1}`, result: `"OK"`,
		},
		{
			name: "positional, nothing escaped for HTML", params: []any{"<a&b>", int64(1) << 53},
			sent:  `{"jsonrpc":"2.0","id":1,"method":"cmd","params":["<a&b>",9007199254740992]}` + "\n",
			reply: `{"jsonrpc":"2.0","result":{"n":9007199254740993.10},"id":1}`, result: `{"n":9007199254740993.10}`,
		},
		{
			name: "named", params: map[string]string{"event": "E_X"},
			sent:  `{"jsonrpc":"2.0","id":1,"method":"cmd","params":{"event":"E_X"}}` + "\n",
			reply: `{"jsonrpc":"2.0","result":null,"id":1}`, result: `null`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			url, request := serve(t, http.StatusOK, test.reply)
			result, err := newClient(t, url, "").Call(t.Context(), "cmd", test.params)
			if err != nil {
				t.Fatal(err)
			}
			sent, header := request()
			if diff := cmp.Diff(test.sent, sent); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if got := header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type: %q", got)
			}
			if got := header.Values("Authorization"); got != nil {
				t.Errorf("Authorization without a token: %q", got)
			}
			if string(result) != test.result {
				t.Errorf("result %s, want %s", result, test.result)
			}
		})
	}
}

func TestCallSendsToken(t *testing.T) {
	url, request := serve(t, http.StatusOK, `{"jsonrpc":"2.0","result":"OK","id":1}`)
	if _, err := newClient(t, url, "s3cret").Call(t.Context(), "uptime", nil); err != nil {
		t.Fatal(err)
	}
	if _, header := request(); header.Get("Authorization") != "Bearer s3cret" {
		t.Errorf("Authorization: %q", header.Get("Authorization"))
	}
}

func TestCallRefused(t *testing.T) {
	tests := []struct {
		name   string
		status int
		reply  string
		code   int
		text   string
	}{
		{
			"with a reason", http.StatusOK,
			`{"jsonrpc":"2.0","error":{"code":404,"message":"Event not registered","data":"did you mean E_X?"},"id":1}`,
			404, "event not registered (404): did you mean E_X?",
		},
		{
			"without", http.StatusOK,
			`{"jsonrpc":"2.0","error":{"code":480,"message":"Temporarily Unavailable"},"id":1}`,
			480, "temporarily unavailable (480)",
		},
		{
			"reason is no string", http.StatusOK,
			`{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error","data":{"at":5}},"id":null}`,
			-32700, `parse error (-32700): {"at":5}`,
		},
		{
			"by HTTP status, too", http.StatusUnauthorized,
			`{"jsonrpc":"2.0","error":{"code":401,"message":"Unauthorized","data":"expected a token"},"id":null}`,
			401, "unauthorized (401): expected a token",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			url, _ := serve(t, test.status, test.reply)
			_, err := newClient(t, url, "").Call(t.Context(), "cmd", nil)
			refused, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			if refused.Code != test.code || refused.Error() != test.text {
				t.Errorf("got %d, %q, want %d, %q", refused.Code, refused, test.code, test.text)
			}
		})
	}
}

func TestCallUnreachable(t *testing.T) {
	tests := []struct {
		name   string
		status int
		reply  string
		want   string
	}{
		{"other path", http.StatusNotFound, "not here", `expected a JSON-RPC 2.0 response, got 404 Not Found with "not here"`},
		{"redirect", http.StatusFound, "", `expected a JSON-RPC 2.0 response, got 302 Found with ""`},
		{"a web page", http.StatusOK, "<html>" + strings.Repeat("x", maxDetail), "xxx…\""},
		{"nothing", http.StatusOK, "", `got 200 OK with ""`},
		{"other JSON", http.StatusOK, `{"ok":true}`, "expected a JSON-RPC 2.0 response"},
		{"neither result nor error", http.StatusOK, `{"jsonrpc":"2.0","id":1}`, "expected a result of request 1"},
		{"reply to another request", http.StatusOK, `{"jsonrpc":"2.0","result":"OK","id":2}`, "expected a result of request 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			url, _ := serve(t, test.status, test.reply)
			_, err := newClient(t, url, "").Call(t.Context(), "cmd", nil)
			unreachable, ok := errors.AsType[*UnreachableError](err)
			if !ok {
				t.Fatalf("got %v, want an *UnreachableError", err)
			}
			if unreachable.URL != url || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %q of %s, want %q of %s", err, unreachable.URL, test.want, url)
			}
		})
	}
}

func TestCallNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, err = newClient(t, "http://joe:s3cret@"+addr+"/mi", "").Call(t.Context(), "cmd", nil)
	want := "reach the daemon at http://joe:xxxxx@" + addr + "/mi: dial tcp " + addr + ": connect: connection refused"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCallEndsWithContext(t *testing.T) {
	blocked := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // only then does the server notice that the client has gone
		close(blocked)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-blocked
		cancel()
	}()
	if _, err := newClient(t, server.URL, "").Call(ctx, "cmd", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestCallParamsThatCannotBeEncoded(t *testing.T) {
	_, err := newClient(t, DefaultURL, "").Call(t.Context(), "cmd", json.RawMessage("{"))
	if err == nil || !strings.HasPrefix(err.Error(), "encode the parameters of cmd: ") {
		t.Errorf("got %v", err)
	}
}

func TestNewRefusesURL(t *testing.T) {
	for _, url := range []string{"", "127.0.0.1:8888", "localhost:8888/mi", "ftp://host/mi", "http://", "http://:8888/mi", "http://a b/", "http://[::1/"} {
		if _, err := New(url, ""); err == nil {
			t.Errorf("New(%q) succeeded", url)
		}
	}
}
