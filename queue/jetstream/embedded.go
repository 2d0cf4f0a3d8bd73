package jetstream

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/evid/evid/queue"
)

const (
	// healEvery is how often a store that is not healthy looks whether it could be.
	healEvery = 200 * time.Millisecond
	// enoughRoom is what must be free until appending is tried again: for the largest
	// entry of each journal.
	enoughRoom = uint64(queue.Journals) * queue.MaxEntry
	// leastRoom is what must be free to append to the other journals, without the reserve.
	leastRoom = queue.MaxEntry
)

// A shortage is why a store that has given up its reserve takes no events.
type shortage struct {
	wants, free uint64
}

func (s *shortage) Error() string {
	return fmt.Sprintf("the disk is full: expected %d bytes free, there are %d", s.wants, s.free)
}

var errStopped = errors.New("stopped")

func (s *Store) openEmbedded() (err error) {
	if s.lock, err = takeLock(s.dir); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.abandon()
		}
	}()
	if s.damage, err = examine(s.dir, s.names); err != nil {
		return err
	}
	if err = s.startEmbedded(); err != nil {
		return err
	}
	for _, n := range s.server.log.missing() {
		if !strings.Contains(strings.Join(s.damage, "\n"), fmt.Sprintf(" %s.blk is ", n.block)) {
			s.damage = append(s.damage, n.text)
		}
	}
	s.openReserve()
	return nil
}

// openReserve sees to the reserve. Without it the store works: until the disk is full.
func (s *Store) openReserve() {
	var err error
	if s.params.noReserve {
		s.reserve = &reserve{}
	} else if s.reserve, err = openReserve(s.dir); err != nil {
		s.log.Warn("queue "+s.name+" has no reserve: it may not heal by itself when the disk is full", "reason", err.Error())
	}
	if err := s.restock(); err != nil { // it was given up, and still is
		s.settle(err, time.Now())
		s.callHealer()
	}
}

// abandon undoes what an Open has done that failed.
func (s *Store) abandon() {
	if s.link != nil {
		s.link.close()
	}
	if s.server != nil {
		<-s.server.stop()
	}
	s.lock.release()
}

// startEmbedded starts a server. The one before has ended.
func (s *Store) startEmbedded() error {
	e, err := startServer(s.dir, s.params.Sync, s.log)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.server = e
	s.mu.Unlock()
	l, err := newLink(s.names, s.run, s.patience, func() (*nats.Conn, error) {
		conn, err := nats.Connect("", nats.InProcessServer(e), nats.NoReconnect(), nats.Timeout(s.patience))
		if err != nil {
			return nil, fmt.Errorf("connect to the NATS server: %w", err)
		}
		return conn, nil
	})
	if err != nil {
		return err
	}
	l.server = e
	states, err := l.ensureStreams()
	if err == nil {
		_, err = l.ensure(l.aliveConfig())
	}
	if err != nil {
		l.close()
		return err
	}
	for j := range queue.Journals {
		s.know(j, states[j].LastSeq)
	}
	s.setLink(l)
	return nil
}

// healEmbedded brings the store back. The server does not recover from a disk that was
// full, nor from other errors of it: its streams refuse all writes from then on. So it
// is opened again: at once, for reads and trims, and then each time a write has failed.
func (s *Store) healEmbedded() error {
	if s.isSound() {
		if err := s.restock(); err != nil {
			return err // nothing but room is missing
		}
	}
	err := s.waitForDisk()
	if err != nil && !isFull(err) {
		// It would not start, and the old one may still be read.
		return fmt.Errorf("write to %s: %w", s.dir, err)
	}
	if err := s.makeRoom(isFull(err)); err != nil {
		return err
	}
	if !s.isSound() {
		if err := s.reopen(); err != nil {
			return err
		}
	}
	if err := s.restock(); err != nil {
		return err
	}
	free, err := s.free()
	if err != nil {
		return err
	}
	if free < enoughRoom {
		return &shortage{enoughRoom, free}
	}
	return s.probe()
}

// isSound reports whether the server works, as far as is known.
func (s *Store) isSound() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.spoiled && s.link != nil
}

func (s *Store) free() (uint64, error) {
	free, err := freeBytes(s.dir)
	if err != nil {
		return 0, fmt.Errorf("ask for the room in %s: %w", s.dir, err)
	}
	return free, nil
}

// makeRoom gives up the reserve if the disk is full.
func (s *Store) makeRoom(full bool) error {
	free, err := s.free()
	if err != nil || !s.reserve.held.Load() || free >= enoughRoom && !full {
		return err
	}
	return s.reserve.giveUp()
}

// restock takes room for the reserve, if it was given up and there is enough: also for
// what comes after it, as it would be given up again else.
func (s *Store) restock() error {
	missing := s.reserve.missing()
	if missing == 0 {
		return nil
	}
	free, err := s.free()
	if err != nil {
		return err
	}
	wants := missing + enoughRoom
	if free < wants {
		return &shortage{wants, free}
	}
	if err = s.reserve.take(); isFull(err) {
		return &shortage{wants, free}
	}
	return err
}

// waitForDisk waits until the disk has taken something. A server on a disk that hangs is
// left as it is: what it can, it still reads.
func (s *Store) waitForDisk() error {
	done := make(chan error, 1)
	s.wg.Go(func() { done <- probeDisk(s.dir) })
	select {
	case err := <-done:
		return err
	case <-s.stop:
		return errStopped
	}
}

// reopen starts a new server once the old one has ended: two would write the same files.
func (s *Store) reopen() error {
	s.mu.Lock()
	old, server := s.link, s.server
	if !s.closed {
		s.setLinkLocked(nil)
	}
	s.mu.Unlock()
	if old != nil {
		old.close()
	}
	if server != nil {
		select {
		case <-server.stop():
		case <-s.stop:
			return errStopped
		}
	}
	if s.stopped() {
		return errStopped
	}
	return s.startEmbedded()
}

// probe writes to a stream of its own.
func (s *Store) probe() error {
	l, err := s.anyLink(time.Now())
	if err != nil {
		return err
	}
	if _, err := l.publishAlive(nil, nil, s.patience); err != nil {
		s.fail(l, err)
		return fmt.Errorf("write to a stream: %w", err)
	}
	return nil
}

func (s *Store) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}
