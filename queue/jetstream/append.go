package jetstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/evid/evid/queue"
)

const (
	// askAgain is the time after which an external server is asked again, if it has not
	// answered: its leader may have been lost with the question.
	askAgain = time.Second
	// maxHeader is above what the header of an entry takes.
	maxHeader = 1 << 10
	// spareReplies is how many late replies to earlier appends there may be.
	spareReplies = 64
)

// An appender adds entries to one journal. It has one subscription for all replies: one
// for each append would take longer than the append.
//
// That no entry turns up late: each is published with the position of the newest one
// that there may be (ExpectLastSequence), which the server checks in the same breath as
// it gives out the next position, and in a cluster before it proposes the entry, counting
// what was proposed. So of two entries that expect the same position one at most is
// kept, whichever comes first, and an entry that is still on its way when the next one is
// acknowledged is refused when it comes. A new leader of a cluster has applied, or has
// dropped for good, all that was proposed before it.
type appender struct {
	conn    *nats.Conn
	gone    <-chan struct{} // closed with the connection
	inbox   string
	replies chan *nats.Msg
	timer   *time.Timer

	mu  sync.Mutex // one append at a time
	msg nats.Msg
	packer
	run string // what the ids of entries begin with
	n   uint64 // entries
	ask uint64 // replies asked for
}

func newAppender(l *link, j queue.Journal, run string) (*appender, error) {
	a := &appender{
		conn: l.write, gone: l.gone, inbox: l.write.NewInbox() + ".", replies: make(chan *nats.Msg, spareReplies),
		timer: time.NewTimer(time.Hour), run: l.prefix + "-" + run + "-" + j.String() + "-",
	}
	a.timer.Stop()
	a.msg.Subject = l.subject(j)
	a.msg.Header = nats.Header{
		nats.MsgIdHdr:           []string{""},
		nats.ExpectedLastSeqHdr: []string{""},
	}
	if _, err := l.write.ChanSubscribe(a.inbox+"*", a.replies); err != nil {
		return nil, fmt.Errorf("subscribe to replies: %w", err)
	}
	return a, nil
}

// A published is what became of an append.
type published struct {
	pos   uint64
	err   error
	again bool // the question was asked more than once
	id    string
}

// publish adds an entry and waits for its position. It asks again every now and then, if
// told so; the id of the entry lets a cluster keep it once.
func (a *appender) publish(last uint64, entry []byte, limit time.Duration, askAgain time.Duration) published {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n++
	p := published{id: a.run + strconv.FormatUint(a.n, 10)}
	a.msg.Header[nats.MsgIdHdr][0] = p.id
	a.msg.Header[nats.ExpectedLastSeqHdr][0] = strconv.FormatUint(last, 10)
	a.msg.Data = a.pack(entry)
	defer func() { a.msg.Data = nil }()
	deadline := time.Now().Add(limit)
	for {
		var pause bool
		p.pos, pause, p.err = a.ask1(min(time.Until(deadline), askAgain))
		left := time.Until(deadline)
		if p.err == nil || !isOpen(p.err) || left <= retryPause {
			return p
		}
		if pause {
			a.timer.Reset(retryPause)
			<-a.timer.C
		}
		p.again = true
	}
}

// ask1 publishes once. Pause: the error came before the time was over.
func (a *appender) ask1(limit time.Duration) (pos uint64, pause bool, err error) {
	for len(a.replies) > 0 { // what came too late
		<-a.replies
	}
	a.ask++
	a.msg.Reply = a.inbox + strconv.FormatUint(a.ask, 36)
	if err := a.conn.PublishMsg(&a.msg); err != nil {
		return 0, true, err
	}
	a.timer.Reset(limit)
	defer a.timer.Stop()
	for {
		select {
		case <-a.gone:
			return 0, true, nats.ErrConnectionClosed
		case reply := <-a.replies:
			if reply.Subject != a.msg.Reply {
				continue
			}
			pos, err := parseAck(reply)
			return pos, true, err
		case <-a.timer.C:
			return 0, false, nats.ErrTimeout
		}
	}
}

// parseAck reads a reply by hand: an append waits for it.
func parseAck(reply *nats.Msg) (uint64, error) {
	if len(reply.Data) == 0 && reply.Header.Get("Status") == "503" {
		return 0, nats.ErrNoResponders
	}
	if !bytes.Contains(reply.Data, []byte(`"error"`)) {
		if _, tail, ok := bytes.Cut(reply.Data, []byte(`"seq":`)); ok {
			digits, _, _ := bytes.Cut(bytes.TrimRight(tail, "}"), []byte(","))
			if pos, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 10, 64); err == nil && pos > 0 {
				return pos, nil
			}
		}
	}
	var a answer
	if err := json.Unmarshal(reply.Data, &a); err != nil || a.Error == nil {
		return 0, fmt.Errorf("expected an acknowledgement, got %.200q", reply.Data)
	}
	return 0, a.Error
}

// isOpen reports whether the error of a publish leaves open what became of it, or says
// that it may be tried again.
func isOpen(err error) bool {
	api, ok := errors.AsType[*apiError](err)
	if !ok {
		return !errors.Is(err, nats.ErrMaxPayload) && !errors.Is(err, nats.ErrConnectionClosed)
	}
	switch server.ErrorIdentifier(api.ErrCode) {
	case server.JSStreamWrongLastSequenceErrF,
		server.JSStreamMessageExceedsMaximumErr, server.JSStreamHeaderExceedsMaximumErr,
		server.JSAccountResourcesExceededErr, server.JSInsufficientResourcesErr,
		server.JSStorageResourcesExceededErr, server.JSStreamSealedErr:
		return false
	}
	return true
}

// Append is that of [queue.Store].
func (s *Store) Append(j queue.Journal, last uint64, entry []byte) (uint64, error) {
	if len(entry) > queue.MaxEntry {
		return 0, fmt.Errorf("append to %s: expected at most %d bytes, got %d", j, queue.MaxEntry, len(entry))
	}
	l, err := s.healthyLink(j)
	if err != nil {
		return 0, fmt.Errorf("append to %s: %w", j, err)
	}
	again := askAgain
	if l.server != nil {
		again = s.patience // what it has been asked for does not get lost
	}
	p := l.appenders[j].publish(last, entry, s.patience, again)
	if p.err == nil {
		s.know(j, p.pos)
		return p.pos, nil
	}
	if isAPIError(p.err, server.JSStreamWrongLastSequenceErrF) {
		return s.moved(l, j, last, p)
	}
	if errors.Is(p.err, nats.ErrMaxPayload) {
		return 0, fmt.Errorf("append %d bytes to %s: %w", len(entry), j, p.err)
	}
	if _, ok := errors.AsType[*apiError](p.err); ok && !isOpen(p.err) {
		return 0, fmt.Errorf("append to %s: %w", j, p.err)
	}
	return 0, s.unconfirmed(l, j, p.err)
}

func (s *Store) unconfirmed(l *link, j queue.Journal, err error) error {
	if errors.Is(err, nats.ErrTimeout) {
		err = fmt.Errorf("no answer in %v", s.patience)
	}
	s.fail(l, fmt.Errorf("an entry of %s was not confirmed: %w", j, err))
	return fmt.Errorf("append to %s: %w: %w", j, queue.ErrUnconfirmed, err)
}

// moved finds out what a server means that has another entry as its newest one. A server
// alone says that, too, if the entry was kept when it was asked first, and the answer
// was lost: it looks at the position before it looks at the id. (A cluster looks at the
// id first, and answers with the position that the entry has.)
func (s *Store) moved(l *link, j queue.Journal, last uint64, p published) (uint64, error) {
	if p.again {
		id, err := l.idAt(j, last+1)
		if err != nil {
			return 0, s.unconfirmed(l, j, fmt.Errorf("asked again: %w; look at what is there: %w", p.err, err))
		}
		if id == p.id {
			s.know(j, last+1)
			return last + 1, nil
		}
	}
	// Another evid may have taken over.
	if s.lease != nil {
		if err := s.lease.beat(l); errors.Is(err, ErrInUse) {
			s.lose(err)
			return 0, fmt.Errorf("append to %s: %w: %w", j, queue.ErrUnhealthy, err)
		}
	}
	return 0, fmt.Errorf("append to %s: %w: expected %d, the server says: %w", j, queue.ErrMoved, last, p.err)
}

// idAt is the id of the entry at a position; empty: there is none.
func (l *link) idAt(j queue.Journal, pos uint64) (string, error) {
	a, err := l.call(l.read[j], "STREAM.MSG.GET."+l.stream(j), server.JSApiMsgGetRequest{Seq: pos})
	if isAPIError(err, server.JSNoMessageFoundErr) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if a.Message == nil {
		return "", errors.New("expected an entry, got none")
	}
	for line := range bytes.Lines(a.Message.Header) {
		if id, ok := bytes.CutPrefix(line, []byte(nats.MsgIdHdr+":")); ok {
			return string(bytes.TrimSpace(id)), nil
		}
	}
	return "", nil
}
