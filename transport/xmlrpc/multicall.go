package xmlrpc

import (
	"bytes"
	"errors"
	"net/http"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/xmlrpc"
)

// Limits of a system.multicall.
const (
	firstMulticall   = 2         // calls
	maxMulticall     = 64        // calls
	maxMulticallBody = 256 << 10 // bytes

	// A multicall may take up to this share of the timeout, by the mean time of a call.
	multicallShare = 4

	// singleMemory is how long a path that did not answer a multicall as it should
	// gets none.
	singleMemory = time.Hour

	// meanWeight is how many calls the mean time of a call looks back, about.
	meanWeight = 8
)

// multicall sends the first events of batch in one call of system.multicall, if
// there are enough that may go in one. It reports whether that settled what there
// is to say about the first; then the results are set. Else nothing is: it was not
// tried, or (sent) the server has not answered as it should, and the first goes
// singly.
func (l *lane) multicall(s *socket, b *buffers, batch []evid.Item) (settled, sent bool) {
	n := 0
	if batch = s.sameForm(batch); len(batch) >= 2 {
		n = l.dest.multicallSize(s.path(), len(batch), s.opts.Timeout, l.dest.t.now())
	}
	if n >= 2 {
		n = b.writeMulticall(s, batch[:n])
	}
	if n < 2 {
		return false, false
	}
	o := l.exchange(s, b)
	var faults [maxMulticall]*xmlrpc.Fault
	switch {
	case o.dial != nil:
		batch[0].Result = l.unlessClosed(o.judgeDial(s))
		return true, o.sent
	case o.isMulticall(faults[:n]):
		l.dest.multicallWorked(s.path(), n, o.took)
		for i := range n {
			batch[i].Result = s.judgeResult(&o.reply, faults[i])
		}
		return true, true
	case o.isBusy():
		batch[0].Result = s.judge(&o.reply)
		return true, true
	case l.isClosed():
		return true, true
	}
	l.dest.multicallFailed(s.path(), l.dest.t.now())
	return false, true
}

// sameForm returns the first items of batch that are for this socket and can be
// said in a multicall: it has no place for a name beside a value.
func (s *socket) sameForm(batch []evid.Item) []evid.Item {
	if !s.opts.Multicall {
		return nil
	}
	for i := range batch {
		if batch[i].Socket.(*socket) != s || !s.opts.UseStructParam && hasNames(batch[i].Event) {
			return batch[:i]
		}
	}
	return batch
}

func hasNames(e *evid.Event) bool {
	for i := range e.Params {
		if e.Params[i].Name != "" {
			return true
		}
	}
	return false
}

// isMulticall reports whether the answer is right for a multicall of so many
// calls, and sets their faults.
func (o *outcome) isMulticall(faults []*xmlrpc.Fault) bool {
	return o.err == nil && o.reply.status/100 == 2 && !o.reply.cut &&
		xmlrpc.CheckMulticallResponse(o.reply.body, faults, xmlrpc.Limits{Bytes: maxBody}) == nil
}

// isBusy reports whether the answer is from one who has no time just now, and says
// for how long: nothing about multicalls.
func (o *outcome) isBusy() bool {
	status := o.reply.status
	return (status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable) && o.reply.retryAfter > 0
}

// isXMLRPC reports whether the answer to a single call is from one who speaks
// XML-RPC.
func (o *outcome) isXMLRPC() bool {
	if o.err != nil || o.reply.status/100 != 2 || o.reply.cut || !bytes.Contains(o.reply.body, []byte(responseTag)) {
		return false
	}
	_, err := xmlrpc.DecodeResponse(o.reply.body, xmlrpc.Limits{Bytes: maxBody})
	_, isFault := errors.AsType[*xmlrpc.Fault](err)
	return err == nil || isFault
}

// multicallSize returns how many of the calls that wait may go in one multicall;
// 0: none.
func (d *destination) multicallSize(name string, waiting int, timeout, now time.Duration) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pathLocked(name)
	if !p.proven || now < p.single {
		return 0
	}
	n := min(waiting, max(int(p.size), firstMulticall))
	if p.mean > 0 {
		n = int(min(time.Duration(n), timeout/multicallShare/p.mean))
	}
	if n < 2 {
		return 0
	}
	return n
}

// multicallWorked notes that a multicall of n calls was answered as it should.
func (d *destination) multicallWorked(name string, n int, took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pathLocked(name)
	p.tookLocked(took / time.Duration(n))
	p.size = max(p.size, uint8(min(2*n, maxMulticall)))
}

// multicallFailed notes that a multicall was not answered as it should.
func (d *destination) multicallFailed(name string, now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pathLocked(name)
	p.size = 0
	p.single = now + singleMemory
}

// called notes what came of a single call: how long it took, and whether it proves
// that XML-RPC is spoken.
func (d *destination) called(name string, o *outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pathLocked(name)
	p.tookLocked(o.took)
	p.proven = p.proven || o.isXMLRPC()
}

// tookLocked takes the time of a call into the mean.
func (p *path) tookLocked(took time.Duration) {
	took = max(took, 1)
	if p.mean == 0 {
		p.mean = took
		return
	}
	p.mean = max(1, p.mean+(took-p.mean)/meanWeight)
}
