package jetstream

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/evid/evid/queue"
)

// trimRoom is room for every trim: more than findCut can find that one needs.
const trimRoom = 16 << 20

// Trim is that of [queue.Store]. It is tried even while nothing can be appended, once the
// server was opened again: it may be what makes room.
func (s *Store) Trim(j queue.Journal, before uint64) error {
	if before <= 1 {
		return nil
	}
	err := s.askSound(func(l *link) error { return s.trim(l, j, before) })
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
	if l.server != nil && before <= s.known[j].Load() {
		if err := s.trimFiles(l, j, before); err != nil {
			return err
		}
	}
	return s.purge(l, j, before)
}

// trimFiles sees to it that there is room to trim into the middle of a file, where the
// server writes what is left of it anew, or a mark for each entry: if it cannot, it takes
// nothing any more until it is opened again. Whole files it removes without that.
func (s *Store) trimFiles(l *link, j queue.Journal, before uint64) error {
	free, err := s.free()
	if err != nil || free >= trimRoom {
		return err
	}
	c, err := findCut(streamDir(s.dir, l.stream(j)), before)
	if err != nil {
		return fmt.Errorf("find the file with it: %w", err)
	}
	if free < c.needs && c.first > 1 {
		if err := s.purge(l, j, c.first); err != nil {
			return err
		}
		if free, err = s.free(); err != nil {
			return err
		}
	}
	if free < c.needs {
		return fmt.Errorf("only whole files could be removed: expected %d bytes free, there are %d", c.needs, free)
	}
	return nil
}

func (s *Store) purge(l *link, j queue.Journal, before uint64) error {
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
	err := s.askSound(func(l *link) error { return s.remove(l, j, pos) })
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
