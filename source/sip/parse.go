package sip

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// What a malformed request is answered with.
const (
	badRequest          = 400
	versionNotSupported = 505
	messageTooLarge     = 513
)

// newLines returns what cuts a message into its lines. It knows no header by name: they
// all stay as they stand, and one that a route does not ask for costs nothing more.
func newLines() *sip.Parser {
	return sip.NewParser(sip.WithHeadersParsers(sip.HeadersParser{}))
}

// A malformed message is not handled. Code is what to answer.
type malformed struct {
	code   int
	reason string
}

func (e *malformed) Error() string { return "parse SIP request: " + e.reason }

func bad(format string, args ...any) error {
	return &malformed{badRequest, fmt.Sprintf(format, args...)}
}

// ParseRequest parses a SIP request that somebody else has received, from source over
// proto. Data must not be changed while the request is in use. Its Reply is an error. It
// is an error if data is no request, or malformed.
func ParseRequest(data []byte, source netip.AddrPort, proto string) (*Request, error) {
	if isReply(data) {
		return nil, errors.New("parse SIP request: it is a reply")
	}
	r := &Request{source: source, proto: proto}
	if err := r.parse(newLines(), data); err != nil {
		return nil, err
	}
	return r, nil
}

// isReply reports whether a message begins as a status line.
func isReply(data []byte) bool { return len(data) > 4 && bytes.EqualFold(data[:4], []byte("SIP/")) }

// parse fills the request. After an error it has all that could be read, for the answer.
func (r *Request) parse(lines *sip.Parser, data []byte) (err error) {
	defer func() { // a message must not stop anything, whatever the parser thinks of it
		if panicked := recover(); panicked != nil {
			err = bad("%v", panicked)
		}
	}()
	data = bytes.TrimLeft(data, "\r\n")
	r.raw = data
	line, rest, _ := bytes.Cut(data, []byte("\r\n"))
	method, version, err := r.parseLine(string(line))
	msg, size, errLines := lines.ParseHeaders(data, false)
	if request, ok := msg.(*sip.Request); ok {
		r.headers = request.Headers()
	} else if method != "" {
		// The request line is wrong. With another one the rest can be read, for the answer.
		if err == nil {
			err = bad("%v", errLines)
		}
		errLines = nil
		msg, _, _ = lines.ParseHeaders(append([]byte("BAD sip:bad SIP/2.0\r\n"), rest...), false)
		if request, ok := msg.(*sip.Request); ok {
			r.headers = request.Headers()
		}
	}
	r.method = method
	headersErr := r.parseHeaders()
	switch {
	case err != nil:
		return err
	case errLines != nil:
		return bad("%v", errLines)
	case headersErr != nil:
		return headersErr
	case !strings.EqualFold(version, "SIP/2.0"):
		return &malformed{versionNotSupported, "the version is " + version}
	}
	return r.parseBody(data[size:])
}

// parseLine takes the request line.
func (r *Request) parseLine(line string) (method, version string, err error) {
	method, rest, _ := strings.Cut(line, " ")
	uri, version, found := strings.Cut(rest, " ")
	line = strings.TrimRight(line, " \t")
	at := strings.LastIndexByte(line, ' ') + 1
	if !isToken(method) || len(line) < at+4 || !strings.EqualFold(line[at:at+4], "SIP/") {
		return "", "", bad("expected a request line, got %q", cut(line))
	}
	if !found || uri == "" || strings.ContainsAny(version, " \t") || strings.ContainsAny(uri, "<>\"\t") {
		return method, version, bad("expected one blank on each side of a URI without brackets in %q", cut(line))
	}
	r.uri = uri
	return method, version, nil
}

// parseHeaders checks the headers that a request must have, and keeps what a reply needs
// of them.
func (r *Request) parseHeaders() error {
	var err error
	hasVia := false
	wrong := func(format string, args ...any) {
		if err == nil {
			err = bad(format, args...)
		}
	}
	for _, h := range r.headers {
		name, text := longName(h.Name()), h.Value()
		var single *string
		switch {
		case strings.EqualFold(name, "Via"):
			if hasVia {
				continue
			}
			if r.via, hasVia = parseVia(text); !hasVia {
				return bad("expected protocol, host and parameters in Via, got %q", cut(text)) // nobody to answer
			}
		case strings.EqualFold(name, "From"):
			single = &r.fromText
		case strings.EqualFold(name, "To"):
			single = &r.toText
		case strings.EqualFold(name, "Call-ID"):
			single = &r.callID
		case strings.EqualFold(name, "CSeq"):
			single = &r.cseqText
		}
		switch {
		case single != nil && *single != "":
			wrong("expected one header %s, got a second", name)
		case single != nil:
			*single = text
		}
	}
	if !hasVia || r.fromText == "" || r.toText == "" || r.callID == "" || r.cseqText == "" {
		wrong("expected the headers Via, From, To, Call-ID and CSeq")
		return err
	}
	r.answerable = true
	var ok bool
	if r.from, ok = parseAddress(r.fromText); !ok {
		wrong("expected an address in From, got %q", cut(r.fromText))
	}
	if r.to, ok = parseAddress(r.toText); !ok {
		wrong("expected an address in To, got %q", cut(r.toText))
	}
	number := before(r.cseqText, blanks)
	method := r.cseqText[len(number):]
	_, numberErr := strconv.ParseUint(number, 10, 31)
	if numberErr != nil || strings.Trim(method, blanks) != r.method {
		wrong("expected a number up to 2147483647 and %s in CSeq, got %q", r.method, cut(r.cseqText))
	}
	r.cseq = number
	return err
}

// parseBody takes what follows the headers, up to Content-Length.
func (r *Request) parseBody(rest []byte) error {
	r.body = rest
	text, found := r.Header("Content-Length", 0)
	if !found {
		return nil
	}
	size, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return bad("expected a number in Content-Length, got %q", cut(text))
	}
	for i := 1; ; i++ {
		other, found := r.Header("Content-Length", i)
		if !found {
			break
		}
		if other != text {
			return bad("expected one Content-Length, got %q and %q", cut(text), cut(other))
		}
	}
	if size > uint64(len(rest)) {
		return bad("Content-Length is %d, and the body has %d bytes", size, len(rest))
	}
	r.body = rest[:size]
	return nil
}

// isToken reports whether a text is a token of RFC 3261, as a method is.
func isToken(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && strings.IndexByte("-.!%*_+`'~", c) < 0 {
			return false
		}
	}
	return text != ""
}

// cut makes a text short enough for a log.
func cut(text string) string {
	const most = 100
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// longName is the name of a header that may have been given in its compact form.
func longName(name string) string {
	if len(name) != 1 {
		return name
	}
	switch name[0] | 0x20 {
	case 'a':
		return "Accept-Contact"
	case 'b':
		return "Referred-By"
	case 'c':
		return "Content-Type"
	case 'd':
		return "Request-Disposition"
	case 'e':
		return "Content-Encoding"
	case 'f':
		return "From"
	case 'i':
		return "Call-ID"
	case 'j':
		return "Reject-Contact"
	case 'k':
		return "Supported"
	case 'l':
		return "Content-Length"
	case 'm':
		return "Contact"
	case 'n':
		return "Identity-Info"
	case 'o':
		return "Event"
	case 'r':
		return "Refer-To"
	case 's':
		return "Subject"
	case 't':
		return "To"
	case 'u':
		return "Allow-Events"
	case 'v':
		return "Via"
	case 'x':
		return "Session-Expires"
	case 'y':
		return "Identity"
	}
	return name
}
