package sip_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/evid/evid/source/sip"
)

var anyone = netip.MustParseAddrPort("192.0.2.1:5070")

func parse(t *testing.T, text string) *sip.Request {
	t.Helper()
	r, err := sip.ParseRequest([]byte(text), anyone, sip.TCP)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const invite = "\r\nINVITE sip:+4930:secret@[2001:db8::1]:5070;transport=tcp SIP/2.0\r\n" +
	"v: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1, SIP/2.0/UDP 192.0.2.9\r\n" +
	"f: \"Alice, \\\"A\\\" <x>\" <sip:alice@example.com;user=phone>;tag=a1\r\n" +
	"t: tel:+49301234;phone-context=example.com\r\n" +
	"i: call@1\r\n" +
	"CSEQ: 7\tINVITE\r\n" +
	"m: \"Bob, B\" <sip:bob@192.0.2.7;a=1,2>;q=0.5 , <sip:bob@192.0.2.8>\r\n" +
	"Contact: sip:carol@192.0.2.9\r\n" +
	"User-Agent:  Phone \r\n 1.0\r\n" +
	"c: application/sdp\r\n" +
	"l: 4\r\n\r\n" +
	"v=0\n and more"

func TestRequest(t *testing.T) {
	r := parse(t, invite)
	for _, test := range []struct{ what, got, want string }{
		{"method", r.Method(), "INVITE"},
		{"URI", r.URI().URI, "sip:+4930:secret@[2001:db8::1]:5070;transport=tcp"},
		{"its user", r.URI().User(), "+4930"},
		{"its domain", r.URI().Domain(), "[2001:db8::1]"},
		{"From", r.From().URI, "sip:alice@example.com;user=phone"},
		{"its user", r.From().User(), "alice"},
		{"its domain", r.From().Domain(), "example.com"},
		{"its tag", r.From().Tag, "a1"},
		{"To", r.To().URI, "tel:+49301234"},
		{"its user", r.To().User(), "+49301234"},
		{"its domain", r.To().Domain(), ""},
		{"its tag", r.To().Tag, ""},
		{"Call-ID", r.CallID(), "call@1"},
		{"CSeq", r.CSeq(), "7"},
		{"body", string(r.Body()), "v=0\n"},
		{"message", string(r.Raw()), strings.TrimPrefix(invite, "\r\n")},
		{"source", r.Source().String(), anyone.String()},
		{"protocol", r.Proto(), "tcp"},
	} {
		if test.got != test.want {
			t.Errorf("%s is %q, want %q", test.what, test.got, test.want)
		}
	}
	if r.SIP() != r {
		t.Error("SIP is another request")
	}
}

func TestHeader(t *testing.T) {
	r := parse(t, invite)
	for _, test := range []struct {
		name  string
		index int
		want  string // empty: none
	}{
		{"user-agent", 0, "Phone 1.0"},
		{"contact", 1, "sip:carol@192.0.2.9"},
		{"m", -1, "sip:carol@192.0.2.9"},
		{"Contact", -2, `"Bob, B" <sip:bob@192.0.2.7;a=1,2>;q=0.5 , <sip:bob@192.0.2.8>`},
		{"Contact", 2, ""},
		{"Contact", -3, ""},
		{"Route", 0, ""},
	} {
		got, found := r.Header(test.name, test.index)
		if got != test.want || found != (test.want != "") {
			t.Errorf("header %s[%d] is %q, want %q", test.name, test.index, got, test.want)
		}
	}
}

func TestContact(t *testing.T) {
	r := parse(t, invite)
	for index, want := range map[int]string{
		0:  `"Bob, B" <sip:bob@192.0.2.7;a=1,2>;q=0.5`,
		1:  "<sip:bob@192.0.2.8>",
		2:  "sip:carol@192.0.2.9",
		3:  "",
		-1: "sip:carol@192.0.2.9",
		-3: `"Bob, B" <sip:bob@192.0.2.7;a=1,2>;q=0.5`,
		-4: "",
	} {
		if got, found := r.Contact(index); got != want || found != (want != "") {
			t.Errorf("contact %d is %q, want %q", index, got, want)
		}
	}
}

func TestHasBody(t *testing.T) {
	multipart := "MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\n" +
		"Call-ID: 1\r\nCSeq: 1 MESSAGE\r\nContent-Type: Multipart/Mixed; boundary=\"cut\"\r\n\r\n" +
		"Content-Type: text/html\r\n\r\n--cut\r\nc: text/plain; charset=utf-8\r\n\r\nhello\r\n" +
		"--cut\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--cut--\r\n"
	for _, test := range []struct {
		message, mediaType string
		want               bool
	}{
		{invite, "", true},
		{invite, "Application/SDP", true},
		{invite, "text/plain", false},
		{multipart, "", true},
		{multipart, "multipart/mixed", true},
		{multipart, "text/plain", true},
		{multipart, "application/sdp", true},
		{multipart, "text/html", false},
		{request("bob", "1"), "", false},
		{request("bob", "1"), "text/plain", false},
	} {
		if got := parse(t, test.message).HasBody(test.mediaType); got != test.want {
			t.Errorf("body of type %q: %v, want %v", test.mediaType, got, test.want)
		}
	}
}

func TestCapturedRequestHasNobodyToReplyTo(t *testing.T) {
	if err := parse(t, invite).Reply(200, "OK", nil); !errors.Is(err, sip.ErrNobody) {
		t.Errorf("error %v, want %v", err, sip.ErrNobody)
	}
}

func TestParseRequestRefuses(t *testing.T) {
	good := request("bob", "1")
	for _, test := range []struct{ message, want string }{
		{"SIP/2.0 200 OK\r\n\r\n", "it is a reply"},
		{"", "expected a request line"},
		{"GET / HTTP/1.1\r\n\r\n", "expected a request line"},
		{strings.Replace(good, "sip:bob@example.com ", "sip:bob@example.com:x ", 1), "invalid syntax"},
		{strings.Replace(good, "OPTIONS sip", "OPTIONS  sip", 1), "one blank on each side"},
		{strings.Replace(good, "Call-ID: 1\r\n", "", 1), "expected the headers Via, From, To, Call-ID and CSeq"},
		{strings.Replace(good, "1 OPTIONS", "1 INVITE", 1), "and OPTIONS in CSeq"},
		{strings.Replace(good, "1 OPTIONS", "2147483648 OPTIONS", 1), "a number up to 2147483647"},
		{strings.Replace(good, "To: <sip:bob@example.com>", "To: bob", 1), "expected an address in To"},
		{strings.Replace(good, "Via: SIP/2.0/UDP ", "Via: ", 1), "expected protocol, host and parameters in Via"},
		{strings.Replace(good, "Length: 0", "Length: 1", 1), "Content-Length is 1, and the body has 0 bytes"},
		{strings.TrimSuffix(good, "\r\n"), "EOF"},
		{strings.Replace(good, "SIP/2.0", "SIP/3.0", 1), "the version is SIP/3.0"},
	} {
		_, err := sip.ParseRequest([]byte(test.message), anyone, sip.UDP)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %s", err, test.want)
		}
	}
}
