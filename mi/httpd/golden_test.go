package httpd_test

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
	"github.com/evid/evid/mi"
	"github.com/evid/evid/mi/httpd"
	"github.com/evid/evid/mi/internal/mitest"
)

// answer is what is compared of a reply. The zero value: the connection was
// closed without one.
type answer struct {
	Status int
	Type   string
	Body   string
}

// TestGolden sends the requests of the captures of OpenSIPS, in their order and
// byte for byte, and compares what comes back with what came back there.
func TestGolden(t *testing.T) {
	iface, keeper := mitest.New(false)
	registerAsCaptured(t, iface)
	server := startServer(t, httpd.DefaultParams(), newTable(t, iface, keeper))
	requests, err := filepath.Glob("testdata/golden/*.req")
	if err != nil || len(requests) == 0 {
		t.Fatal("no captures", err)
	}
	for _, file := range requests {
		name := strings.TrimSuffix(filepath.Base(file), ".req")
		if why, outside := outsideCommands[name]; outside {
			t.Logf("%s is not compared: %s", name, why)
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, step := range before[name] {
				step(t, iface)
			}
			want := capturedAnswer(t, strings.TrimSuffix(file, ".req")+".resp")
			if d, differs := differences[name]; differs {
				if d.answer == want {
					t.Fatal("this is no difference")
				}
				t.Log(d.why)
				want = d.answer
			} else if data, added := addedData[name]; added {
				want.Body = strings.Replace(want.Body, `"},"id"`, `","data":`+data+`},"id"`, 1)
			}
			request, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, ask(t, server, request)); diff != "" {
				t.Errorf("OpenSIPS (-), evid (+):\n%s", diff)
			}
		})
	}
}

// TestDifferencesNameCaptures finds differences that no capture stands behind.
func TestDifferencesNameCaptures(t *testing.T) {
	names := slices.Concat(slices.Collect(maps.Keys(differences)), slices.Collect(maps.Keys(addedData)),
		slices.Collect(maps.Keys(outsideCommands)), slices.Collect(maps.Keys(before)))
	for _, name := range names {
		if _, err := os.Stat(filepath.Join("testdata/golden", name+".req")); err != nil {
			t.Error(err)
		}
	}
}

func capturedAnswer(t *testing.T, file string) answer {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// The reference sends chunked replies without a chunk and without an end.
	if head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n")); bytes.Contains(head, []byte("chunked")) {
		raw = append(raw, "0\r\n\r\n"...)
	}
	method := http.MethodPost
	if strings.Contains(file, "-head") {
		method = http.MethodHead
	}
	return readAnswer(t, bufio.NewReader(bytes.NewReader(raw)), method)
}

// ask sends raw bytes on a connection of their own and reads the reply, which
// must have an end although the connection stays open.
func ask(t *testing.T, server *httpd.Server, request []byte) answer {
	t.Helper()
	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(string(request), " ")
	return readAnswer(t, bufio.NewReader(conn), method)
}

func readAnswer(t *testing.T, from *bufio.Reader, method string) answer {
	t.Helper()
	if _, err := from.Peek(1); err == io.EOF {
		return answer{}
	}
	for {
		resp, err := http.ReadResponse(from, &http.Request{Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusContinue {
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer{resp.StatusCode, resp.Header.Get("Content-Type"), normalise(string(body))}
	}
}

// normalise replaces what differs from run to run.
func normalise(body string) string {
	for _, r := range []struct{ pattern, with string }{
		{`"Now":"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}"`, `"Now":"TIME"`},
		{`"Up since":"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}"`, `"Up since":"TIME"`},
		{`"Up time":"\d+ \[sec\]"`, `"Up time":"N [sec]"`},
		{`"ttl":\d+`, `"ttl":N`},
		{`OpenSIPS \(4\.1\.0[- ][^()]+ \(\w+/linux\)\)`, `OpenSIPS (4.1.0 VERSION)`},
		{`"git":"\w+"`, `"git":"REVISION"`},
		{`"(\w+:\w+)":\d+`, `"$1":N`}, // statistics
		// One process here, many there: as if the first were all.
		{`\{("ID":)?\d*(,?"PID":)\d+(,"Log level":\d)?(,"Type":)"[^"]+"\}`, `{$1$2$3$4}`},
		{`(\{[^{}]*"PID":[^{}]*\})(,\{[^{}]*"PID":[^{}]*\})+`, `$1`},
	} {
		body = regexp.MustCompile(r.pattern).ReplaceAllString(body, r.with)
	}
	return body
}

func newTable(t *testing.T, iface *evid.Interface, keeper *mitest.Keeper) *mi.Table {
	t.Helper()
	var statistics mi.Statistics
	statistics.AddProcess(time.Now())
	table, err := mi.NewTable(mi.EventCommands(iface, keeper)...)
	if err != nil {
		t.Fatal(err)
	}
	info := mi.Info{Version: "1.0.0", Revision: "0123abcd", Started: time.Now(), LogLevel: new(level)}
	if err := table.Add(mi.CoreCommands(info)...); err != nil {
		t.Fatal(err)
	}
	if err := table.Add(statistics.Commands()...); err != nil {
		t.Fatal(err)
	}
	return table
}

// level is the log level of the captures at first.
type level struct{ set int }

func (l *level) Level() int      { return 3 + l.set }
func (l *level) SetLevel(to int) { l.set = to - 3 }
