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

// The bytes of a body that are not in a form, besides the method.
var (
	callStart      = len(new(xmlrpc.Encoder).CallStart(nil, ""))
	multicallFrame = len(new(xmlrpc.Encoder).MulticallEnd(new(xmlrpc.Encoder).MulticallStart(nil)))
	multicallItem  = len(new(xmlrpc.Encoder).MulticallItem(nil, "", nil))
)

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

// appendCall appends the whole request for an event.
func (s *socket) appendCall(dst []byte, e *evid.Event) []byte {
	params := e.Encoded(s.opts.params)
	dst = s.appendHead(dst, callStart+int(s.escaped)+len(params))
	if !s.opts.Captured {
		// The header of Standard Webhooks: a receiver that has seen the id has the event.
		dst = append(dst, "\r\nWebhook-Id: "...)
		dst = e.ID.AppendText(dst)
	}
	dst = append(dst, "\r\n\r\n"...)
	var enc xmlrpc.Encoder
	dst = enc.CallStart(dst, s.method())
	return append(dst, params...)
}

// appendMulticall appends the whole request for the first events of batch, as
// many as maxMulticallBody allows, and returns how many these are. Below 2 there is
// none.
func (s *socket) appendMulticall(dst []byte, batch []evid.Item) (_ []byte, n int) {
	var items [maxMulticall][]byte
	length := multicallFrame
	for n < len(batch) {
		items[n] = batch[n].Event.Encoded(s.opts.items)
		more := multicallItem + int(s.escaped) + len(items[n])
		if length+more > maxMulticallBody {
			break
		}
		length += more
		n++
	}
	if n < 2 {
		return dst, 0
	}
	dst = s.appendHead(dst, length)
	dst = append(dst, "\r\nEvid-Event-Ids: "...)
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = batch[i].Event.ID.AppendText(dst)
	}
	dst = append(dst, "\r\n\r\n"...)
	var enc xmlrpc.Encoder
	dst = enc.MulticallStart(dst)
	for i := range n {
		dst = enc.MulticallItem(dst, s.method(), items[i])
	}
	return enc.MulticallEnd(dst), n
}
