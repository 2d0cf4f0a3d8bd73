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
	replaced *atomic.Uint64 // counts the characters that XML cannot hold
}

// Append implements [evid.Encoder].
func (f form) Append(dst []byte, e *evid.Event) []byte {
	enc := xmlrpc.Encoder{Shape: f.shape, BigInt: f.bigInt}
	dst = enc.ParamsStart(dst)
	dst = enc.StringParam(dst, "", e.Name)
	for i := range e.Params {
		if p := &e.Params[i]; p.Kind == evid.KindInt {
			dst = enc.IntParam(dst, p.Name, p.Int)
		} else {
			dst = enc.StringParam(dst, p.Name, p.Str)
		}
	}
	if f.eventID {
		dst = enc.StringParam(dst, "event_id", e.ID.String())
	}
	dst = enc.CallEnd(dst)
	f.replaced.Add(uint64(enc.Replaced))
	return dst
}

// requestHead is a request up to the value of Content-length: fields, order and
// letter case as captured (golden/xmlrpc).
func requestHead(a address, opts Options) string {
	a.host, _, _ = strings.Cut(a.host, "%") // the zone of an IPv6 address means nothing elsewhere
	head := "POST " + a.path + " HTTP/1.1\r\nHost: " + a.hostText() + ":" + a.port + "\r\n"
	if !opts.Keepalive {
		head += "Connection: close\r\n"
	}
	return head + "User-Agent: " + opts.UserAgent + "\r\nContent-type: text/xml\r\nContent-length: "
}

// appendRequest appends the whole request for an event.
func (s *socket) appendRequest(dst []byte, e *evid.Event) []byte {
	params := e.Encoded(s.encoder)
	dst = append(dst, s.head...)
	dst = strconv.AppendInt(dst, int64(len(s.prolog)+len(params)), 10)
	if !s.opts.Captured {
		// The header of Standard Webhooks: a receiver that has seen the id has the event.
		dst = append(dst, "\r\nWebhook-Id: "...)
		dst = e.ID.AppendText(dst)
	}
	dst = append(dst, "\r\n\r\n"...)
	dst = append(dst, s.prolog...)
	return append(dst, params...)
}
