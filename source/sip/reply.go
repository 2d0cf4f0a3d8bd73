package sip

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strconv"
	"strings"
)

// ErrNobody is the error of replying to a request that somebody else has received.
var ErrNobody = errors.New("there is nobody to reply to: the request was captured elsewhere")

// Limits of a reply.
const (
	lowestCode  = 100
	highestCode = 699
)

// AppendToReply adds headers to the replies that are yet to come. Text is header lines,
// each with CRLF at its end.
func (r *Request) AppendToReply(text string) error {
	lines, found := strings.CutSuffix(text, "\r\n")
	if !found {
		return fmt.Errorf(`expected a header with \r\n at its end, got %q`, cut(text))
	}
	for line := range strings.SplitSeq(lines, "\r\n") {
		if err := checkHeader(line); err != nil {
			return err
		}
	}
	r.extra = append(r.extra, lines)
	return nil
}

func checkHeader(line string) error {
	name, _, found := strings.Cut(line, ":")
	if !found || !isToken(strings.TrimRight(name, " \t")) || strings.ContainsAny(line, "\r\n\x00") {
		return fmt.Errorf("expected a header such as Name: value, got %q", cut(line))
	}
	return nil
}

// Reply answers the request, without keeping any state, where it came from: over UDP its
// address, and the port that Via or rport names; else its connection. Extra are headers,
// "Name: value", beside those of AppendToReply. An ACK gets no reply, which is no error.
// Otherwise it is an error if the reply is no proper one or cannot be sent.
func (r *Request) Reply(code int, reason string, extra []string) error {
	switch {
	case r.server == nil:
		return ErrNobody
	case code < lowestCode || code > highestCode:
		return fmt.Errorf("reply: expected a code from %d to %d, got %d", lowestCode, highestCode, code)
	case strings.ContainsAny(reason, "\r\n\x00"):
		return fmt.Errorf("reply: expected a reason of one line, got %q", cut(reason))
	case r.method == "ACK":
		return nil
	}
	for _, line := range extra {
		if err := checkHeader(line); err != nil {
			return fmt.Errorf("reply: %w", err)
		}
	}
	s := r.server
	buf := s.replies.Get().(*[]byte)
	*buf = r.appendReply((*buf)[:0], code, reason, extra)
	err := r.out.send(*buf, r.replyAddr())
	s.replies.Put(buf)
	if err != nil {
		return fmt.Errorf("reply to %s: %w", r.source, err)
	}
	s.counts.replied.Add(1)
	return nil
}

// appendReply appends the reply of RFC 3261, 8.2.6.
func (r *Request) appendReply(b []byte, code int, reason string, extra []string) []byte {
	b = append(b, "SIP/2.0 "...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, ' ')
	b = append(b, reason...)
	b = append(b, "\r\n"...)
	first := true
	for _, h := range r.headers {
		if !strings.EqualFold(longName(h.Name()), "Via") {
			continue
		}
		text := h.Value()
		b = append(b, "Via: "...)
		if first {
			b = r.appendVia(b)
			text = text[strings.Index(text, r.via.text)+len(r.via.text):] // values after a comma
			first = false
		}
		b = append(b, text...)
		b = append(b, "\r\n"...)
	}
	b = appendHeader(b, "From", r.fromText)
	b = append(b, "To: "...)
	b = append(b, r.toText...)
	if code != lowestCode && r.to.Tag == "" {
		b = append(b, ";tag="...)
		b = appendTag(b, r.tag())
	}
	b = append(b, "\r\n"...)
	b = appendHeader(b, "Call-ID", r.callID)
	b = appendHeader(b, "CSeq", r.cseqText)
	if text, found := r.Header("Timestamp", 0); found && code == lowestCode {
		b = appendHeader(b, "Timestamp", text)
	}
	for _, lines := range r.extra {
		b = append(append(b, lines...), "\r\n"...)
	}
	for _, line := range extra {
		b = append(append(b, line...), "\r\n"...)
	}
	return append(b, "Content-Length: 0\r\n\r\n"...)
}

func appendHeader(b []byte, name, text string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, text...), "\r\n"...)
}

// appendVia appends the topmost Via with where the request came from (RFC 3261, 18.2.1,
// and RFC 3581, 4).
func (r *Request) appendVia(b []byte) []byte {
	text := r.via.text
	if r.via.rport {
		at := rportEnd(text)
		b = append(append(b, text[:at]...), '=')
		b = strconv.AppendUint(b, uint64(r.source.Port()), 10)
		text = text[at:]
	}
	b = append(b, text...)
	host := strings.Trim(r.via.host, "[]")
	if addr, err := netip.ParseAddr(host); r.via.rport || err != nil || addr.Unmap() != r.source.Addr() {
		b = append(b, ";received="...)
		b = r.source.Addr().AppendTo(b)
	}
	return b
}

// rportEnd is where the name of the parameter rport, which has no value, ends.
func rportEnd(text string) int {
	at := 0
	for {
		next := indexOutside(text[at:], ';')
		if next < 0 {
			return len(text) // there is one: it cannot be
		}
		at += next + 1
		rest := text[at:]
		blank := len(rest) - len(strings.TrimLeft(rest, blanks))
		const name = "rport"
		end := blank + len(name)
		if len(rest) >= end && strings.EqualFold(rest[blank:end], name) {
			after := strings.TrimLeft(rest[end:], blanks)
			if after == "" || after[0] == ';' {
				return at + end
			}
		}
	}
}

// replyAddr is where a reply over UDP goes: the port of the sender with rport, else that
// in Via (RFC 3261, 18.2.2). A maddr is not followed: who sends requests must not choose
// who gets the replies.
func (r *Request) replyAddr() netip.AddrPort {
	if r.via.rport {
		return r.source
	}
	port := uint64(defaultPort)
	if r.via.port != "" {
		var err error
		if port, err = strconv.ParseUint(r.via.port, 10, 16); err != nil || port == 0 {
			return r.source
		}
	}
	return netip.AddrPortFrom(r.source.Addr(), uint16(port))
}

// tag is the tag that replies to this request get in To: the same for a request that is
// sent again, and for the ACK to the reply.
func (r *Request) tag() uint64 {
	var h maphash.Hash
	h.SetSeed(r.server.seed)
	for _, text := range [...]string{r.callID, r.from.Tag, r.cseq} {
		_, _ = h.WriteString(text)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

func appendTag(b []byte, tag uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[tag>>shift&15])
	}
	return b
}

// isOwnACK reports whether the request is the ACK to a reply of this server.
func (r *Request) isOwnACK() bool {
	if r.method != "ACK" {
		return false
	}
	var own [16]byte
	return r.to.Tag == string(appendTag(own[:0], r.tag()))
}
