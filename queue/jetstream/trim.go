package jetstream

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/evid/evid/queue"
)

// Trim is that of [queue.Store]. It is tried even while nothing can be appended: it may
// be what makes room.
func (s *Store) Trim(j queue.Journal, before uint64) error {
	if before <= 1 {
		return nil
	}
	err := s.ask(func(l *link) error { return s.trim(l, j, before) })
	if err != nil {
		return fmt.Errorf("trim %s before %d: %w", j, before, err)
	}
	return nil
}

func (s *Store) trim(l *link, j queue.Journal, before uint64) error {
	if before > s.known[j].Load()+1 {
		// The server would go on from there: the end of the journal would move.
		a, err := l.call(l.read[j], "STREAM.INFO."+l.stream(j), struct{}{})
		if err != nil {
			return err
		}
		s.know(j, a.State.LastSeq)
		if before = min(before, a.State.LastSeq+1); before == 1 {
			return nil
		}
	}
	_, err := l.call(l.read[j], "STREAM.PURGE."+l.stream(j), server.JSApiStreamPurgeRequest{Sequence: before})
	if err != nil {
		s.fail(l, fmt.Errorf("a trim of %s failed: %w", j, err))
	}
	return err
}

// Delete is that of [queue.Store].
func (s *Store) Delete(j queue.Journal, pos uint64) error {
	if pos == 0 {
		return nil
	}
	err := s.ask(func(l *link) error { return s.remove(l, j, pos) })
	if err != nil {
		return fmt.Errorf("delete entry %d of %s: %w", pos, j, err)
	}
	return nil
}

func (s *Store) remove(l *link, j queue.Journal, pos uint64) error {
	_, err := l.call(l.read[j], "STREAM.MSG.DELETE."+l.stream(j), server.JSApiMsgDeleteRequest{Seq: pos, NoErase: true})
	if _, ok := errors.AsType[*apiError](err); !ok {
		if err != nil {
			s.fail(l, fmt.Errorf("a deletion in %s failed: %w", j, err))
		}
		return err
	}
	// Which of its errors say that it was gone, the server leaves to their words.
	_, errGet := l.call(l.read[j], "STREAM.MSG.GET."+l.stream(j), server.JSApiMsgGetRequest{Seq: pos})
	if isAPIError(errGet, server.JSNoMessageFoundErr) {
		return nil
	}
	s.fail(l, fmt.Errorf("a deletion in %s failed: %w", j, err))
	return err
}
