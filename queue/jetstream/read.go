package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/evid/evid/queue"
)

const (
	// readBytes is how many bytes a Read asks for, about, and readEntries how many entries
	// at a time. While the server collects them, an append waits.
	readBytes   = 4 << 20
	readEntries = 1024
	// unpackBytes is what a Read returns, about, when its entries are unpacked: the rest is
	// read again.
	unpackBytes = 4 * readBytes
	// maxReads is how many Reads are under way at a time: together they stay far below
	// maxPending.
	maxReads = 4
	// leaderReads is how many entries the leader of a cluster is asked for at a time.
	leaderReads = 64
)

// Read is that of [queue.Store].
func (s *Store) Read(j queue.Journal, from uint64, entries []queue.Entry) (int, error) {
	if len(entries) == 0 {
		return 0, nil
	}
	deadline := time.Now().Add(s.patience)
	timer := time.NewTimer(s.patience)
	defer timer.Stop()
	select {
	case s.reads <- struct{}{}:
	case <-timer.C:
		return 0, fmt.Errorf("read %s from %d: %d other reads took longer than %v", j, from, maxReads, s.patience)
	}
	// A read that is given up goes on until the disk answers, with memory of its own.
	var found []queue.Entry
	err := s.within(deadline, func() (err error) {
		defer func() { <-s.reads }()
		found, err = s.read(j, max(from, 1), len(entries), deadline)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read %s from %d: %w", j, from, err)
	}
	return copy(entries, found), nil
}

func (s *Store) read(j queue.Journal, from uint64, count int, deadline time.Time) ([]queue.Entry, error) {
	for {
		l, err := s.anyLink(deadline)
		if err != nil {
			return nil, err
		}
		entries := make([]queue.Entry, min(count, readEntries))
		var n int
		if l.replicas > 1 {
			n, err = s.readLeader(l, j, from, entries, deadline)
		} else {
			n, err = s.readDirect(l, j, from, entries, deadline)
		}
		// A server that was opened anew meanwhile has the answer.
		if err == nil || !s.replaced(l) {
			return unpackAll(entries[:n]), err
		}
	}
}

// unpackAll unpacks entries, and returns as many as take no more memory than they should.
func unpackAll(entries []queue.Entry) []queue.Entry {
	size := 0
	for i := range entries {
		e := &entries[i]
		e.Data, e.Err = unpack(e.Data)
		if size += len(e.Data); size >= unpackBytes {
			return entries[:i+1]
		}
	}
	return entries
}

// readDirect reads from a stream that one server keeps: there is no other that could lag
// behind it. To the server an entry is not there if it cannot open the file that has it.
func (s *Store) readDirect(l *link, j queue.Journal, from uint64, entries []queue.Entry, deadline time.Time) (int, error) {
	if l.server == nil {
		return s.readPresent(l, j, from, entries, deadline)
	}
	before := l.server.log.starved.Load()
	n, err := s.readPresent(l, j, from, entries, deadline)
	if err == nil && (n == 0 || entries[0].Pos != from) && l.server.log.starved.Load() != before {
		return 0, syscall.EMFILE
	}
	return n, err
}

func (s *Store) readPresent(l *link, j queue.Journal, from uint64, entries []queue.Entry, deadline time.Time) (int, error) {
	n, err := l.batch(j, from, entries, deadline)
	if n > 0 || err != nil || from > s.known[j].Load() {
		return n, err
	}
	// There should be something, unless it was deleted. The server says the same of an
	// entry that it finds damaged, and of all after it.
	a, err := l.callUntil(l.read[j], deadline, "STREAM.INFO."+l.stream(j), struct{}{})
	if err != nil {
		return 0, err
	}
	if a.State.Msgs == 0 || a.State.LastSeq < from {
		return 0, nil
	}
	for pos := max(from, a.State.FirstSeq); pos <= a.State.LastSeq; pos++ {
		if time.Now().After(deadline) {
			return 0, nats.ErrTimeout
		}
		if n, err := l.batch(j, pos, entries[:1], deadline); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// batch reads by the direct interface of a stream: one request, an answer for each entry.
func (l *link) batch(j queue.Journal, from uint64, entries []queue.Entry, deadline time.Time) (int, error) {
	replies, inbox, done, err := l.inbox(j, len(entries)+1)
	if err != nil {
		return 0, err
	}
	defer done()
	request, err := json.Marshal(server.JSApiMsgGetRequest{Seq: from, Batch: len(entries), MaxBytes: readBytes})
	if err != nil {
		return 0, err
	}
	if err := l.read[j].PublishRequest("$JS.API.DIRECT.GET."+l.stream(j), inbox, request); err != nil {
		return 0, err
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for n := 0; ; {
		var reply *nats.Msg
		select {
		case reply = <-replies:
		case <-l.gone:
			return 0, nats.ErrConnectionClosed
		case <-timer.C:
			return 0, nats.ErrTimeout
		}
		switch status := reply.Header.Get("Status"); status {
		case "":
			pos, err := strconv.ParseUint(reply.Header.Get(server.JSSequence), 10, 64)
			if err != nil || pos < from || n == len(entries) {
				return 0, fmt.Errorf("expected an entry from %d on, got one at %q", from, reply.Header.Get(server.JSSequence))
			}
			entries[n] = queue.Entry{Pos: pos, Data: reply.Data}
			n++
		case "204", "404": // the end
			return n, nil
		case "503":
			return 0, nats.ErrNoResponders
		default:
			return 0, fmt.Errorf("expected entries, got status %s %s", status, reply.Header.Get("Description"))
		}
	}
}

// inbox returns where up to so many replies can be received, until done is called.
func (l *link) inbox(j queue.Journal, replies int) (ch chan *nats.Msg, name string, done func(), err error) {
	ch = make(chan *nats.Msg, replies)
	name = l.read[j].NewInbox()
	sub, err := l.read[j].ChanSubscribe(name, ch)
	if err != nil {
		return nil, "", nil, err
	}
	return ch, name, func() { _ = sub.Unsubscribe() }, nil
}

// readLeader reads from a stream that several servers keep. The direct interface would
// be answered by any of them, and one that lags does not have what was acknowledged, and
// still has what was trimmed. Only the leader answers these requests, each for one entry;
// many are under way at a time.
func (s *Store) readLeader(l *link, j queue.Journal, from uint64, entries []queue.Entry, deadline time.Time) (int, error) {
	last := s.known[j].Load()
	if from > last {
		a, err := l.callUntil(l.read[j], deadline, "STREAM.INFO."+l.stream(j), struct{}{})
		if err != nil {
			return 0, err
		}
		last = a.State.LastSeq
		s.know(j, last)
	}
	n, size, window := 0, 0, 4
	for from <= last && n < len(entries) && size < readBytes {
		window = min(window, len(entries)-n)
		found, largest, err := l.window(j, from, min(last, from+uint64(window)-1), entries[n:], deadline)
		if err != nil && n > 0 {
			break // the next Read finds out
		}
		if err != nil {
			return 0, err
		}
		from += uint64(window)
		if found == 0 {
			from, err = l.nextAfter(j, from, deadline)
			if from == 0 || err != nil {
				return n, err
			}
			continue
		}
		for _, e := range entries[n : n+found] {
			size += len(e.Data)
		}
		n += found
		window = min(2*window, leaderReads, max(1, readBytes/max(1, largest)))
	}
	return n, nil
}

// window asks the leader for each position in a range, and puts those that there are into
// entries.
func (l *link) window(j queue.Journal, from, to uint64, entries []queue.Entry, deadline time.Time) (found, largest int, err error) {
	count := int(to - from + 1)
	got := make([]*server.StoredMsg, count)
	missing := count
	for missing > 0 {
		if time.Now().After(deadline) {
			return 0, 0, nats.ErrTimeout
		}
		missing, err = l.ask(j, from, got, min(time.Until(deadline), askAgain))
		if err != nil {
			return 0, 0, err
		}
		if missing > 0 {
			pause := time.NewTimer(min(retryPause, time.Until(deadline)))
			<-pause.C
		}
	}
	for _, m := range got {
		if m == notThere {
			continue
		}
		entries[found] = queue.Entry{Pos: m.Sequence, Data: m.Data}
		largest = max(largest, len(m.Data))
		found++
	}
	return found, largest, nil
}

// notThere stands for a position without an entry.
var notThere = new(server.StoredMsg)

// ask asks for the positions that got has nothing for, and returns how many are still
// missing when all answers have come, or the time is over.
func (l *link) ask(j queue.Journal, from uint64, got []*server.StoredMsg, limit time.Duration) (missing int, err error) {
	replies := make(chan *nats.Msg, len(got))
	inbox := l.read[j].NewInbox()
	sub, err := l.read[j].ChanSubscribe(inbox+".*", replies)
	if err != nil {
		return 0, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	waiting := 0
	for i := range got {
		if got[i] != nil {
			continue
		}
		request := `{"seq":` + strconv.FormatUint(from+uint64(i), 10) + `}`
		if err := l.read[j].PublishRequest("$JS.API.STREAM.MSG.GET."+l.stream(j), inbox+"."+strconv.Itoa(i), []byte(request)); err != nil {
			if mayPass(err) {
				break
			}
			return 0, err
		}
		waiting++
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for ; waiting > 0; waiting-- {
		select {
		case <-l.gone:
			return 0, nats.ErrConnectionClosed
		case reply := <-replies:
			i, err := strconv.Atoi(reply.Subject[len(inbox)+1:])
			if err != nil || i >= len(got) {
				return 0, fmt.Errorf("expected an answer, got one to %q", reply.Subject)
			}
			if got[i], err = parseGot(reply); err != nil {
				return 0, err
			}
		case <-timer.C:
			waiting = 1
		}
	}
	for _, m := range got {
		if m == nil {
			missing++
		}
	}
	return missing, nil
}

// parseGot returns what is at a position: notThere if nothing is, nil if it has to be
// asked for again.
func parseGot(reply *nats.Msg) (*server.StoredMsg, error) {
	if reply.Header.Get("Status") == "503" {
		return nil, nil
	}
	var a answer
	if err := json.Unmarshal(reply.Data, &a); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	switch {
	case a.Error == nil && a.Message != nil:
		return a.Message, nil
	case a.Error == nil:
		return nil, errors.New("expected an entry, got none")
	case a.Error.ErrCode == uint16(server.JSNoMessageFoundErr):
		return notThere, nil
	case mayPass(a.Error):
		return nil, nil
	}
	return nil, a.Error
}

// nextAfter is the position of the first entry from one on; 0: there is none.
func (l *link) nextAfter(j queue.Journal, from uint64, deadline time.Time) (uint64, error) {
	a, err := l.callUntil(l.read[j], deadline, "STREAM.MSG.GET."+l.stream(j), server.JSApiMsgGetRequest{Seq: from, NextFor: l.subject(j)})
	if isAPIError(err, server.JSNoMessageFoundErr) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if a.Message == nil {
		return 0, errors.New("expected an entry, got none")
	}
	return a.Message.Sequence, nil
}
