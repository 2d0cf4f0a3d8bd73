package xmlrpc

import (
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/evid/evid"
	"github.com/evid/evid/xmlrpc"
)

// A form is the part of a call's body that subscribers share: all but the
// method. It is the [evid.Encoder] of this transport.
type form struct {
	shape    xmlrpc.Shape
	bigInt   xmlrpc.BigInt
	eventID  bool
	items    bool           // of an array, inside a system.multicall
	replaced *atomic.Uint64 // counts the characters that XML cannot hold
}

// Append implements [evid.Encoder].
func (f form) Append(dst []byte, e *evid.Event) []byte {
	enc := xmlrpc.Encoder{Shape: f.shape, BigInt: f.bigInt}
	text, integer := enc.StringItem, enc.IntItem
	if !f.items {
		text, integer = enc.StringParam, enc.IntParam
		dst = enc.ParamsStart(dst)
	}
	dst = text(dst, "", e.Name)
	for i := range e.Params {
		if p := &e.Params[i]; p.Kind == evid.KindInt {
			dst = integer(dst, p.Name, p.Int)
		} else {
			dst = text(dst, p.Name, p.Str)
		}
	}
	if f.eventID {
		dst = text(dst, "event_id", e.ID.String())
	}
	if !f.items {
		dst = enc.CallEnd(dst)
	}
	f.replaced.Add(uint64(enc.Replaced))
	return dst
}

// appendHead appends the head of a request for a body of so many bytes, but for
// the header fields with the event's id: fields, order and letter case as
// captured (golden/xmlrpc).
func (s *socket) appendHead(dst []byte, length int) []byte {
	dst = append(dst, "POST "...)
	dst = append(dst, s.path()...)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	host, _, hasZone := strings.Cut(s.host(), "%")
	dst = append(dst, host...)
	if hasZone { // it means nothing elsewhere
		dst = append(dst, ']')
	}
	dst = append(append(dst, ':'), s.port()...)
	if !s.opts.Keepalive {
		dst = append(dst, "\r\nConnection: close"...)
	}
	dst = append(dst, "\r\nUser-Agent: "...)
	dst = append(dst, s.opts.UserAgent...)
	dst = append(dst, "\r\nContent-type: text/xml\r\nContent-length: "...)
	return strconv.AppendInt(dst, int64(length), 10)
}

// writeCall makes the request for an event.
func (b *buffers) writeCall(s *socket, e *evid.Event) {
	var enc xmlrpc.Encoder
	b.body = enc.CallStart(b.body[:0], s.method())
	b.body = e.AppendEncoded(b.body, s.opts.params)
	b.request = s.appendHead(b.request[:0], len(b.body))
	if !s.opts.Captured {
		// The header of Standard Webhooks: a receiver that has seen the id has the event.
		b.request = append(b.request, "\r\nWebhook-Id: "...)
		b.request = e.ID.AppendText(b.request)
	}
	b.endRequest()
}

// writeMulticall makes the request for the first events of batch, as many as
// maxMulticallBody allows, and returns how many these are. Below 2 it is of no use.
func (b *buffers) writeMulticall(s *socket, batch []evid.Item) (n int) {
	var enc xmlrpc.Encoder
	b.body = enc.MulticallStart(b.body[:0])
	for n < len(batch) {
		before := len(b.body)
		b.body = enc.MulticallItemStart(b.body, s.method())
		b.body = batch[n].Event.AppendEncoded(b.body, s.opts.items)
		b.body = enc.MulticallItemEnd(b.body)
		if len(b.body) > maxMulticallBody {
			b.body = b.body[:before]
			break
		}
		n++
	}
	if n < 2 {
		return n
	}
	b.body = enc.MulticallEnd(b.body)
	b.request = s.appendHead(b.request[:0], len(b.body))
	b.request = append(b.request, "\r\nEvid-Event-Ids: "...)
	for i := range n {
		if i > 0 {
			b.request = append(b.request, ',')
		}
		b.request = batch[i].Event.ID.AppendText(b.request)
	}
	b.endRequest()
	return n
}

// endRequest ends the head of a request and appends its body.
func (b *buffers) endRequest() {
	b.request = append(b.request, "\r\n\r\n"...)
	b.request = append(b.request, b.body...)
}
