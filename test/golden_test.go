// Package test_test tests the whole daemon, over MI and against peers.
package test_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/daemon/daemontest"
)

// What event_xmlrpc of OpenSIPS sent, connection by connection, from connect to
// EOF. The files are named use_struct_param, then case.
const capturesDir = "../xmlrpc/testdata/event_xmlrpc"

// A raiser raises the event of one capture.
type raiser func(d *daemontest.Daemon)

// script raises what the script of the capture raised.
func script(params ...evid.Param) raiser {
	return func(d *daemontest.Daemon) { d.Raise("E_TEST", params...) }
}

// mi raises over MI, as the capture did.
func mi(params any) raiser {
	return func(d *daemontest.Daemon) { d.Call("raise_event", params) }
}

func body(value string) raiser { return script(evid.String("data", value)) }

// captures says what each capture raised. AVPs of the script are last in, first
// out, so the values of "several" are sent in reverse.
var captures = map[string]raiser{
	"noparams":        script(),
	"named_str":       script(evid.String("key", "one string")),
	"named_int":       script(evid.Int("num", 42)),
	"named_int0":      script(evid.Int("num", 0)),
	"named_intmax":    script(evid.Int("num", 2147483647)),
	"named_negint":    script(evid.Int("num", -5)),
	"unnamed_several": script(evid.String("", "third assigned"), evid.Int("", 2), evid.String("", "first assigned")),
	"named_several":   script(evid.String("c", "third assigned"), evid.Int("b", 2), evid.String("a", "first assigned")),
	"too_many_attrs":  script(evid.String("y", "v")),
	"body_xmlchars":   body("a<b&c>d\"e'f]]>&amp;"),
	"body_utf8":       body("Ünïcødé \u2603 \U0001F600"),
	"body_badutf8":    body("x\xff\xfe\xc3(y"),
	"body_nul":        body("ab\x00cd"),
	"body_crlfxml":    body("</string></value></param><param><value><string>injected"),
	"big-8124":        body(strings.Repeat("A", 8124)),
	"big-8073":        body(strings.Repeat("A", 8073)),
	"mi-noparams":     mi(map[string]any{"event": "E_TEST"}),
	"mi-array":        mi(map[string]any{"event": "E_TEST", "params": []any{"one", "two <&>", ""}}),
	"mi-array-int":    mi(map[string]any{"event": "E_TEST", "params": []any{"one", 2}}),
	"mi-arr-empty":    mi(map[string]any{"event": "E_TEST", "params": []any{}}),
	"mi-pos":          mi([]any{"E_TEST", []any{"x", "y"}}),
	"mi-objstr-utf8":  mi(map[string]any{"event": "E_TEST", "params": `{"u":"ü☃","c":"a\tb\nc\u0001"}`}),
}

// exceptions are the captures that evid does not reproduce, each with what it
// sends instead of a part of the body, and why.
var exceptions = map[string]struct{ why, captured, sent string }{
	"named_negint":   {"a negative integer", "18446744073709551611", "-5"},
	"mi-array":       {"markup", "two <&>", "two &lt;&amp;&gt;"},
	"body_xmlchars":  {"markup", "a<b&c>d\"e'f]]>&amp;", "a&lt;b&amp;c&gt;d\"e'f]]&gt;&amp;amp;"},
	"body_crlfxml":   {"markup", "</string></value></param><param><value><string>injected", "&lt;/string&gt;&lt;/value&gt;&lt;/param&gt;&lt;param&gt;&lt;value&gt;&lt;string&gt;injected"},
	"body_badutf8":   {"no UTF-8", "x\xff\xfe\xc3(y", "x\ufffd\ufffd\ufffd(y"},
	"body_nul":       {"a character that XML forbids", "ab\x00cd", "ab\ufffdcd"},
	"mi-objstr-utf8": {"a character that XML forbids", "c\x01", "c\ufffd"},
}

func TestCaptures(t *testing.T) {
	files, err := filepath.Glob(capturesDir + "/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures in %s: %v", capturesDir, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".http")
		t.Run(name, func(t *testing.T) {
			structParam, name, _ := strings.Cut(name, "-")
			d := daemontest.Start(t, fmt.Sprintf("modparam(\"event_xmlrpc\", \"use_struct_param\", %s)\n", strings.TrimPrefix(structParam, "struct")))
			l := listen(t)
			d.Subscribe("E_TEST", fmt.Sprintf("xmlrpc:%s:block_ip;captured=1", l.Addr()))
			if name == "mi-objstr" {
				// The reference sent freed memory for true, null and the object.
				refusal := d.Refused("raise_event", map[string]any{
					"event":  "E_TEST",
					"params": `{"s":"v","i":7,"neg":-3,"f":1.5,"t":true,"n":null,"o":{"a":[1,2]},"e":""}`,
				})
				if refusal.Code != 400 || refusal.Message != "Bad Params" {
					t.Errorf("refused with %v", refusal)
				}
				return
			}
			raise := captures[name]
			if raise == nil {
				t.Fatal("what did this capture raise?")
			}
			raise(d)
			want := readCapture(t, file)
			if e, ok := exceptions[name]; ok {
				want = strings.Replace(want, e.captured, e.sent, 1)
			}
			compareCapture(t, want, accept(t, l))
		})
	}
}

// TestSocketCaptures: the forms of a socket, as on the wire.
func TestSocketCaptures(t *testing.T) {
	for _, test := range []struct {
		file, socket   string
		captured, sent string // what differs, and why
		why            string
	}{
		{file: "hostname", socket: "xmlrpc:localhost:PORT:meth"},
		{file: "method-slash", socket: "xmlrpc:127.0.0.1:PORT:b/c"},
		{file: "method-xml", socket: "xmlrpc:127.0.0.1:PORT:m<&>", captured: "m<&>", sent: "m&lt;&amp;&gt;", why: "markup"},
		{file: "path", socket: "xmlrpc:127.0.0.1:PORT/some/path:meth", captured: "Host:", sent: "Host: ", why: "a server refused it without the blank"},
		{file: "path-method-colon", socket: "xmlrpc:127.0.0.1:PORT/a:b:c", captured: "Host:", sent: "Host: ", why: "as path"},
		{file: "path-query", socket: "xmlrpc:127.0.0.1:PORT/p?q=1&r=2:meth", captured: "Host:", sent: "Host: ", why: "as path"},
	} {
		t.Run(test.file, func(t *testing.T) {
			d := daemontest.Start(t, "")
			l := listen(t)
			_, port, _ := net.SplitHostPort(l.Addr().String())
			d.Subscribe("E_TEST", strings.ReplaceAll(test.socket, "PORT", port)+";captured=1")
			d.Call("raise_event", []any{"E_TEST", []any{"v"}})
			want := readCapture(t, "testdata/xmlrpc-sockets/"+test.file+".http")
			compareCapture(t, strings.Replace(want, test.captured, test.sent, 1), accept(t, l))
		})
	}
}

// The reference took blanks in methods and paths; evid does not: the request
// line of such a path cannot be understood.
func TestRefusedCaptures(t *testing.T) {
	d := daemontest.Start(t, "")
	for _, socket := range []string{"xmlrpc:127.0.0.1:1/p q:meth", "xmlrpc:127.0.0.1:1: m x"} {
		if refusal := d.Refused("event_subscribe", []any{"E_TEST", socket}); refusal.Code != 400 {
			t.Errorf("%s: %v", socket, refusal)
		}
	}
}

func readCapture(t *testing.T, file string) string {
	t.Helper()
	capture, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(capture)
}

var hostPort = regexp.MustCompile(`(?m)^(Host: ?[^:\r]+):\d+`)

// compareCapture compares two requests but for the port and, where the bodies
// differ on purpose, the length.
func compareCapture(t *testing.T, want, got string) {
	t.Helper()
	normal := func(request string) string {
		head, body, _ := strings.Cut(hostPort.ReplaceAllString(request, "$1:PORT"), "\r\n\r\n")
		i := strings.Index(head, "Content-length: ")
		return fmt.Sprintf("%sContent-length: %d\r\n\r\n%s", head[:max(i, 0)], len(body), body)
	}
	if !strings.Contains(got, fmt.Sprintf("\r\nContent-length: %d\r\n\r\n", len(got)-strings.Index(got, "\r\n\r\n")-4)) {
		t.Errorf("Content-length is wrong or not the last field:\n%s", got)
	}
	if diff := cmp.Diff(normal(want), normal(got)); diff != "" {
		t.Errorf("request (-captured +sent):\n%s", diff)
	}
}

// accept reads one connection from its beginning to EOF, as a receiver that
// never answers.
func accept(t *testing.T, l net.Listener) string {
	t.Helper()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(30 * time.Second))
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	var request bytes.Buffer
	if _, err := io.Copy(&request, conn); err != nil {
		t.Fatalf("read: %v after %q", err, request.String())
	}
	return request.String()
}
