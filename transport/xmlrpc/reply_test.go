package xmlrpc

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/evid/evid"
)

const methodResponse = `<?xml version="1.0"?><methodResponse><params><param><value>1</value></param></params></methodResponse>`

func TestReadReply(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       reply
		body       string
	}{
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", reply{status: 200, keepalive: true}, "hello"},
		{"HTTP/1.0 closes", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", reply{status: 200}, "hello"},
		{"HTTP/1.0 keeps", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 5\r\n\r\nhello", reply{status: 200, keepalive: true}, "hello"},
		{"closes", "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello", reply{status: 200}, "hello"},
		{"to EOF", "HTTP/1.1 200 OK\r\n\r\nhello", reply{status: 200}, "hello"},
		{"bare LF", "HTTP/1.0 200 OK\nContent-Length: 5\n\nhello", reply{status: 200}, "hello"},
		{"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", reply{status: 200, keepalive: true}, ""},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", reply{status: 204, keepalive: true}, ""},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", reply{status: 200, keepalive: true}, "hello"},
		{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", reply{status: 200, keepalive: true}, "hello"},
		{"chunked with trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n", reply{status: 200, keepalive: true}, "0123456789"},
		{"bytes behind the reply", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello?", reply{status: 200}, "hello"},
		{"retry after", "HTTP/1.1 503 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", reply{status: 503, keepalive: true, retryAfter: 7 * time.Second}, ""},
		{"long", "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + strings.Repeat("x", 2000000), reply{status: 200, cut: true}, strings.Repeat("x", maxBody)},
		{"long to EOF", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 2000000), reply{status: 200, cut: true}, strings.Repeat("x", maxBody)},
		{"endless extensions", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("x", 4000)+"\r\na\r\n", 2000), reply{status: 200, cut: true}, strings.Repeat("a", 524)},
		{"no content and a body", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nOK", reply{status: 204}, ""},
		{"long chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nfffff0\r\n", reply{status: 200, cut: true}, "abc"},
	} {
		for _, how := range []struct {
			name string
			read func(io.Reader) io.Reader
		}{{"whole", func(r io.Reader) io.Reader { return r }}, {"in halves", iotest.HalfReader}, {"byte by byte", iotest.OneByteReader}} {
			if how.name == "byte by byte" && len(test.text) > 10000 {
				continue
			}
			if how.name != "whole" && test.name == "bytes behind the reply" {
				continue // not seen when they have not come yet
			}
			t.Run(test.name+"/"+how.name, func(t *testing.T) {
				var r replyReader
				got, err := r.read(how.read(strings.NewReader(test.text)))
				if err != nil {
					t.Fatal(err)
				}
				if string(got.body) != test.body {
					t.Errorf("body is %.100q, want %.100q", got.body, test.body)
				}
				got.body = nil
				if got.status != test.want.status || got.keepalive != test.want.keepalive || got.cut != test.want.cut || got.retryAfter != test.want.retryAfter {
					t.Errorf("reply is %+v, want %+v", got, test.want)
				}
			})
		}
	}
}

func TestReadNoReply(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       error
	}{
		{"nothing", "", io.EOF},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-", io.EOF},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", io.EOF},
		{"half a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhello", io.EOF},
		{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", io.EOF},
		{"another protocol", "220 mail.example ESMTP\r\n", errNotHTTP},
		{"HTTP/2", "HTTP/2 200\r\n\r\n", errNotHTTP},
		{"no status", "HTTP/1.1 OK\r\n\r\n", errNotHTTP},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", errNotHTTP},
		{"no length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", errNotHTTP},
		{"no chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", errNotHTTP},
		{"endless line", strings.Repeat("x", 1<<20), errNotHTTP},
		{"endless head", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 1<<18), errNotHTTP},
		{"endless interim replies", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1<<14), errNotHTTP},
		{"endless trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: y\r\n", 1<<18), errNotHTTP},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r replyReader
			if rep, err := r.read(strings.NewReader(test.text)); !errors.Is(err, test.want) {
				t.Errorf("read: %+v, %v, want %v", rep, err, test.want)
			}
			if cap(r.buf) > 4*maxHead {
				t.Errorf("the buffer has grown to %d bytes", cap(r.buf))
			}
		})
	}
}

func FuzzReadReply(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 500 X\nConnection: keep-alive\nRetry-After: Mon, 23 Nov 2026 01:53:16 GMT\n\n" + methodResponse))
	f.Fuzz(func(t *testing.T, text []byte) {
		var whole, slow replyReader
		rep, err := whole.read(strings.NewReader(string(text)))
		again, errAgain := slow.read(iotest.OneByteReader(strings.NewReader(string(text))))
		if (err == nil) != (errAgain == nil) || rep.status != again.status || string(rep.body) != string(again.body) {
			t.Errorf("whole: %+v, %v; byte by byte: %+v, %v", rep, err, again, errAgain)
		}
		if err == nil {
			parseSocket(t, "h:1:m").judge(&rep)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 1, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"120":                           2 * time.Minute,
		"99999":                         time.Hour,
		"99999999999":                   time.Hour,
		"99999999999999999999":          time.Hour,
		"99999999999999999999s":         0,
		"-5":                            0,
		"soon":                          0,
		"Mon, 23 Nov 2026 01:00:30 GMT": 30 * time.Second,
		"Mon, 23 Nov 2026 00:00:00 GMT": 0,
		"Tue, 24 Nov 2026 01:00:00 GMT": time.Hour,
	} {
		if got := parseRetryAfter(value, now); got != want {
			t.Errorf("Retry-After %q is %v, want %v", value, got, want)
		}
	}
}

// The whole table of verdicts.
func TestJudge(t *testing.T) {
	fault := func(code string) string {
		return `<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>` + code +
			`</int></value></member><member><name>faultString</name><value>why</value></member></struct></value></fault></methodResponse>`
	}
	for _, test := range []struct {
		status  int
		body    string
		verdict evid.Verdict
		blame   evid.Blame
		odd     bool
		code    int
		detail  string
	}{
		{200, methodResponse, evid.Delivered, evid.NoOne, false, 200, ""},
		{202, methodResponse, evid.Delivered, evid.NoOne, false, 202, ""},
		{200, "", evid.Delivered, evid.NoOne, true, 200, "the reply is no methodResponse"},
		{204, "", evid.Delivered, evid.NoOne, true, 204, "the reply is no methodResponse"},
		{200, "<html>", evid.Delivered, evid.NoOne, true, 200, "the reply is no methodResponse"},
		{200, fault("-32300"), evid.Retry, evid.TheEvent, false, -32300, "fault -32300: why"},
		{200, fault("-32400"), evid.Retry, evid.TheEvent, false, -32400, "fault -32400: why"},
		{200, fault("-32500"), evid.Retry, evid.TheEvent, false, -32500, "fault -32500: why"},
		{200, fault("-32603"), evid.Retry, evid.TheEvent, false, -32603, "fault -32603: why"},
		{200, fault("-32601"), evid.Rejected, evid.NoOne, false, -32601, "fault -32601: why"},
		{200, fault("4"), evid.Rejected, evid.NoOne, false, 4, "fault 4: why"},
		{200, "<methodResponse><!-- <fault> --><params><param><value>1</value></param></params></methodResponse>", evid.Delivered, evid.NoOne, false, 200, ""},
		{500, fault("4"), evid.Retry, evid.TheEvent, false, 500, "HTTP status 500 Internal Server Error"},
		{400, "", evid.Rejected, evid.NoOne, false, 400, "HTTP status 400 Bad Request"},
		{411, "", evid.Rejected, evid.NoOne, false, 411, "HTTP status 411 Length Required"},
		{413, "", evid.Rejected, evid.NoOne, false, 413, "HTTP status 413 Request Entity Too Large"},
		{414, "", evid.Rejected, evid.NoOne, false, 414, "HTTP status 414 Request URI Too Long"},
		{422, "", evid.Rejected, evid.NoOne, false, 422, "HTTP status 422 Unprocessable Entity"},
		{401, "", evid.Retry, evid.TheSubscriber, false, 401, "HTTP status 401 Unauthorized"},
		{403, "", evid.Retry, evid.TheSubscriber, false, 403, "HTTP status 403 Forbidden"},
		{404, "", evid.Retry, evid.TheSubscriber, false, 404, "HTTP status 404 Not Found"},
		{405, "", evid.Retry, evid.TheSubscriber, false, 405, "HTTP status 405 Method Not Allowed"},
		{407, "", evid.Retry, evid.TheSubscriber, false, 407, "HTTP status 407 Proxy Authentication Required"},
		{408, "", evid.Retry, evid.TheSubscriber, false, 408, "HTTP status 408 Request Timeout"},
		{425, "", evid.Retry, evid.TheSubscriber, false, 425, "HTTP status 425 Too Early"},
		{429, "", evid.Retry, evid.TheSubscriber, false, 429, "HTTP status 429 Too Many Requests"},
		{502, "", evid.Retry, evid.TheSubscriber, false, 502, "HTTP status 502 Bad Gateway"},
		{503, "", evid.Retry, evid.TheSubscriber, false, 503, "HTTP status 503 Service Unavailable"},
		{504, "", evid.Retry, evid.TheSubscriber, false, 504, "HTTP status 504 Gateway Timeout"},
		{301, "", evid.Retry, evid.TheSubscriber, false, 301, "HTTP status 301 Moved Permanently"},
		{302, "", evid.Retry, evid.TheSubscriber, false, 302, "HTTP status 302 Found"},
		{410, "", evid.Gone, evid.NoOne, false, 410, "HTTP status 410 Gone"},
	} {
		got := parseSocket(t, "h:1:m").judge(&reply{status: test.status, body: []byte(test.body)})
		want := evid.Result{Verdict: test.verdict, Blame: test.blame, Sent: true, Answered: true, Code: test.code, Detail: test.detail, Odd: test.odd}
		if got != want {
			t.Errorf("%d %.60q\n got %+v\nwant %+v", test.status, test.body, got, want)
		}
	}
	// A fault that cannot be read is one all the same.
	got := parseSocket(t, "h:1:m").judge(&reply{status: 200, body: []byte("<methodResponse><fault><value>?</value></fault></methodResponse>")})
	if got.Verdict != evid.Rejected || !strings.HasPrefix(got.Detail, "a fault that cannot be read: ") {
		t.Errorf("unreadable fault: %+v", got)
	}
	// But one that was cut may be no fault at all.
	got = parseSocket(t, "h:1:m").judge(&reply{status: 200, cut: true, body: []byte("<methodResponse><params><param><value><![CDATA[<fault>")})
	if got.Verdict != evid.Delivered || !got.Odd {
		t.Errorf("reply that was cut: %+v", got)
	}
	// What a server says is made short and harmless before it goes into a log.
	long := strings.Replace(fault("4"), "why", strings.Repeat("\x1b\r\n", 1000), 1)
	if got := parseSocket(t, "h:1:m").judge(&reply{status: 200, body: []byte(long)}); len(got.Detail) > 256 || strings.ContainsAny(got.Detail, "\x1b\r\n") {
		t.Errorf("detail: %q", got.Detail)
	}
	if got := parseSocket(t, "h:1:m;retry_faults=4").judge(&reply{status: 200, body: []byte(fault("4"))}); got.Verdict != evid.Retry {
		t.Errorf("fault 4 with retry_faults=4: %+v", got)
	}
}

func BenchmarkReply(b *testing.B) {
	text := "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 103\r\n\r\n" + methodResponse
	s := parseSocket(b, "h:1:m")
	var r replyReader
	text = strings.Replace(text, "103", "102", 1)
	source := strings.NewReader(text)
	b.ReportAllocs()
	for b.Loop() {
		source.Reset(text)
		r.reset()
		rep, err := r.read(source)
		if err != nil || s.judge(&rep).Verdict != evid.Delivered {
			b.Fatal(rep, err)
		}
	}
}
