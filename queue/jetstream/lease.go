package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	beatEvery = time.Second
	// silence is how long nothing must have come from an evid until it counts as dead.
	silence    = 5 * time.Second
	watchEvery = 250 * time.Millisecond
)

// ErrInUse is wrapped by the error of [Open] if another process has the queue.
var ErrInUse = errors.New("another evid uses it")

// An owner is who has the lease.
type owner struct {
	ID       string `json:"id"`
	Host     string `json:"host"`
	PID      int    `json:"pid"`
	Released bool   `json:"released,omitempty"`
}

// A lease is the right to use the streams of an external server: the newest message in a
// stream of its own is of who has it, and one is written every second after the last,
// never beside another's. Nobody compares clocks: who wants the lease watches that there
// is no new one for a while.
//
// What was taken over cannot be written to by its old owner unnoticed: the new one has
// another newest position, and whoever finds that his is not the newest looks who has the
// lease.
type lease struct {
	me owner

	mu  sync.Mutex
	seq uint64 // of the newest message
}

// takeLease returns the lease, or who has it.
func takeLease(l *link, id string, log *slog.Logger, name string) (*lease, error) {
	host, _ := os.Hostname()
	le := &lease{me: owner{ID: id, Host: host, PID: os.Getpid()}}
	for {
		has, seq, err := l.leaseOwner()
		if err != nil {
			return nil, fmt.Errorf("ask who uses it: %w", err)
		}
		if has != nil && has.ID == id {
			le.seq = seq // the answer was lost
			return le, nil
		}
		if has != nil && !has.Released {
			log.Info("queue "+name+": waiting whether the evid that used it still runs", "host", has.Host, "process", has.PID)
			if seq, err = l.watch(seq); err != nil {
				return nil, err
			}
		}
		if le.seq, err = l.publishAlive(le.me, &seq, l.patience); err == nil {
			return le, nil
		}
		if !isAPIError(err, server.JSStreamWrongLastSequenceErrF) {
			return nil, fmt.Errorf("note who uses it: %w", err)
		}
		// Somebody was faster, or it was we.
	}
}

// watch waits until nothing has come from the owner for long enough.
func (l *link) watch(seq uint64) (uint64, error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for since := time.Now(); time.Since(since) < silence; {
		<-tick.C
		now, newest, err := l.leaseOwner()
		switch {
		case err != nil:
			return 0, fmt.Errorf("ask who uses it: %w", err)
		case now == nil || now.Released:
			return newest, nil
		case newest != seq:
			return 0, fmt.Errorf("%w (%s, process %d)", ErrInUse, now.Host, now.PID)
		}
	}
	return seq, nil
}

// leaseOwner is who has the lease, nil: nobody, and the position that says so.
func (l *link) leaseOwner() (*owner, uint64, error) {
	a, err := l.call(l.write, "STREAM.MSG.GET."+l.aliveStream(), server.JSApiMsgGetRequest{LastFor: l.aliveSubject()})
	if isAPIError(err, server.JSNoMessageFoundErr) {
		if a, err = l.call(l.write, "STREAM.INFO."+l.aliveStream(), struct{}{}); err != nil {
			return nil, 0, err
		}
		return nil, a.State.LastSeq, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if a.Message == nil {
		return nil, 0, errors.New("expected a message, got none")
	}
	o := new(owner)
	if err := json.Unmarshal(a.Message.Data, o); err != nil {
		return nil, 0, fmt.Errorf("read who has stream %s: %w", l.aliveStream(), err)
	}
	return o, a.Message.Sequence, nil
}

// publishAlive writes to the lease's stream, after the message at position last if one
// is given.
func (l *link) publishAlive(body any, last *uint64, patience time.Duration) (uint64, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	m := &nats.Msg{Subject: l.aliveSubject(), Data: data}
	if last != nil {
		m.Header = nats.Header{nats.ExpectedLastSeqHdr: []string{strconv.FormatUint(*last, 10)}}
	}
	var seq uint64
	err = l.insist(l.write, time.Now().Add(patience), m, func(reply *nats.Msg) (err error) {
		seq, err = parseAck(reply)
		return err
	})
	return seq, err
}

// beat says that this evid is there. The error is ErrInUse if another one is.
func (le *lease) beat(l *link) error {
	le.mu.Lock()
	defer le.mu.Unlock()
	seq, err := l.publishAlive(le.me, &le.seq, askAgain)
	if err == nil {
		le.seq = seq
		return nil
	}
	if !isAPIError(err, server.JSStreamWrongLastSequenceErrF) {
		return fmt.Errorf("note who uses it: %w", err)
	}
	has, seq, err := l.leaseOwner()
	if err != nil {
		return fmt.Errorf("ask who uses it: %w", err)
	}
	if has != nil && has.ID != le.me.ID {
		return fmt.Errorf("%w (%s, process %d)", ErrInUse, has.Host, has.PID)
	}
	le.seq = seq // the answer to the beat before was lost
	return nil
}

// release lets the next evid start at once. If it fails, that one has to wait.
func (le *lease) release(l *link) {
	le.mu.Lock()
	defer le.mu.Unlock()
	gone := le.me
	gone.Released = true
	_, _ = l.publishAlive(gone, &le.seq, closeTime/2)
}

// keepLease writes to the lease until the store is closed. That it cannot be written for a
// while is no harm: appends fail by themselves then.
func (s *Store) keepLease() {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		l, err := s.anyLink(time.Now())
		if err != nil {
			return
		}
		if err := s.lease.beat(l); errors.Is(err, ErrInUse) {
			s.lose(err)
			return
		}
	}
}
