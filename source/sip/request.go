package sip

import (
	"bytes"
	"mime"
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// A Request is a SIP request. It may be used by one goroutine at a time, and that of a
// [Server] only until the handler returns: its texts may be kept, its bytes not.
type Request struct {
	source netip.AddrPort
	proto  string
	raw    []byte
	body   []byte

	method  string
	uri     string
	headers []sip.Header

	// What a reply needs, as it stands.
	via                                via
	fromText, toText, callID, cseqText string
	answerable                         bool // these are there

	from, to Address
	cseq     string

	server *Server // nil: there is nobody to reply to
	out    sender
	extra  []string // headers for all replies
}

// A sender sends a reply.
type sender interface {
	send(data []byte, to netip.AddrPort) error
}

// SIP returns the request itself: what has one embedded can be asked for it.
func (r *Request) SIP() *Request { return r }

// Source is where the request came from: the peer, not who is named in its headers.
func (r *Request) Source() netip.AddrPort { return r.source }

// Proto is what the request came over: [UDP], [TCP] or [TLS].
func (r *Request) Proto() string { return r.proto }

// Method is the method as it stands: letters of another case make it another method.
func (r *Request) Method() string { return r.method }

// URI is the Request-URI as it stands.
func (r *Request) URI() Address { return Address{URI: r.uri} }

// From is the address in the header From.
func (r *Request) From() Address { return r.from }

// To is the address in the header To.
func (r *Request) To() Address { return r.to }

// CallID is the value of the header Call-ID.
func (r *Request) CallID() string { return r.callID }

// CSeq is the number in the header CSeq, in decimal.
func (r *Request) CSeq() string { return r.cseq }

// Raw is the whole message, without line ends before it.
func (r *Request) Raw() []byte { return r.raw }

// Body is what follows the headers; empty if nothing does.
func (r *Request) Body() []byte { return r.body }

// Header returns the value of a header, with the lines that it was folded over joined by a
// blank. The name may be in its compact form, and in letters of any case. Of several
// headers of the name, index says which: from 0, or from the last one, -1, back. Values
// with commas between are one.
func (r *Request) Header(name string, index int) (text string, found bool) {
	name = longName(name)
	if index < 0 {
		for i := range r.headers {
			if h := r.headers[len(r.headers)-1-i]; strings.EqualFold(longName(h.Name()), name) {
				if index++; index == 0 {
					return h.Value(), true
				}
			}
		}
		return "", false
	}
	for _, h := range r.headers {
		if strings.EqualFold(longName(h.Name()), name) {
			if index == 0 {
				return h.Value(), true
			}
			index--
		}
	}
	return "", false
}

// Contact returns one address, with its name and parameters, of those in all headers
// Contact. Index is as for Header.
func (r *Request) Contact(index int) (text string, found bool) {
	var all []string
	for i := 0; ; i++ {
		rest, more := r.Header("Contact", i)
		if !more {
			break
		}
		for at := 0; at >= 0; {
			one := rest
			if at = indexOutside(rest, ','); at >= 0 {
				one, rest = rest[:at], rest[at+1:]
			}
			all = append(all, strings.Trim(one, blanks))
		}
		if index >= 0 && index < len(all) {
			return all[index], true
		}
	}
	if index += len(all); index >= 0 && index < len(all) {
		return all[index], true
	}
	return "", false
}

// HasBody reports whether there is a body: with a mediaType such as "application/sdp" one
// of this type, or one of several parts of which one has it.
func (r *Request) HasBody(mediaType string) bool {
	if len(r.body) == 0 || mediaType == "" {
		return len(r.body) > 0
	}
	header, _ := r.Header("Content-Type", 0)
	own, params, err := mime.ParseMediaType(header)
	if strings.EqualFold(own, mediaType) {
		return true
	}
	if err != nil || !strings.HasPrefix(own, "multipart/") || params["boundary"] == "" {
		return false
	}
	for i, part := range bytes.Split(r.body, []byte("--"+params["boundary"])) {
		if i == 0 { // what stands before the first part
			continue
		}
		head, _, _ := bytes.Cut(part, []byte("\r\n\r\n"))
		for line := range bytes.SplitSeq(head, []byte("\r\n")) {
			name, value, _ := strings.Cut(string(line), ":")
			if strings.EqualFold(longName(strings.Trim(name, blanks)), "Content-Type") &&
				strings.EqualFold(strings.Trim(before(value, ";"), blanks), mediaType) {
				return true
			}
		}
	}
	return false
}
