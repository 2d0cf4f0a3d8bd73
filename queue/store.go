package queue

import (
	"errors"
	"time"
)

// A Journal is one of the logs that a [Store] keeps. Its entries have positions:
// numbers from 1 that only grow, and are not given twice, even if entries or all of
// them are thrown away.
type Journal uint8

// The journals.
const (
	EventLog  Journal = iota // chunks of events
	LetterLog                // chunks of dead letters
	StateLog                 // what becomes of subscribers
	Journals                 // how many there are
)

func (j Journal) String() string {
	return [...]string{"events", "letters", "state"}[j]
}

// MaxEntry is the largest entry of a journal, in bytes.
const MaxEntry = 960 << 10

// An Entry is what was appended to a journal.
type Entry struct {
	Pos  uint64
	Data []byte
	Err  error // why there is no Data: what was appended is damaged; nil: there is
}

// A JournalInfo says what a journal has.
type JournalInfo struct {
	First   uint64 // position of the oldest entry; Last+1: there is none
	Last    uint64 // position of the newest entry that there ever was; 0: there was none
	Entries uint64
	Bytes   uint64    // on disk, about
	Oldest  time.Time // when the oldest entry was appended; zero: there is none
}

// A Store keeps journals where they outlive the process. Its methods may be called
// from several goroutines at once, Append by one at a time for each journal. None
// waits longer than the store's time limit, so that a disk that hangs does not hold up
// whoever asks.
type Store interface {
	// Append adds an entry after the one at position last, which is the newest that
	// the caller knows of (0: none), and returns its position once it is kept. The
	// error wraps
	//   - [ErrUnhealthy]: nothing was attempted. A store whose disk is full may say so of
	//     the event log alone, so that it can be saved what need not be kept any more;
	//   - [ErrUnconfirmed]: it may have been added, or not. Once the store is healthy
	//     again that is settled: it does not turn up later than an entry that is
	//     appended after it;
	//   - [ErrMoved]: the newest entry is another one, such as one that was
	//     unconfirmed. Nothing was added.
	Append(j Journal, last uint64, entry []byte) (pos uint64, err error)
	// Read returns the entries from the position on, in order: as many as entries has
	// room for, or fewer. 0 without an error says that there are none. Positions that
	// are missing were thrown away, or were lost to damage.
	Read(j Journal, from uint64, entries []Entry) (n int, err error)
	// Trim throws away all entries before a position; if it fails, maybe some of them.
	Trim(j Journal, before uint64) error
	// Delete throws away one entry; one that is gone is no error.
	Delete(j Journal, pos uint64) error
	// Info says what a journal has.
	Info(j Journal) (JournalInfo, error)
	// Health returns nil, or why the store takes no events now; it gets well by itself.
	Health() error
	// Free is how many bytes of entries there is room for; false: it does not know.
	Free() (bytes uint64, known bool)
	// Close ends the store. What was appended is kept.
	Close() error
}

// What the errors of a [Store] wrap.
var (
	ErrUnhealthy   = errors.New("the queue cannot write")
	ErrUnconfirmed = errors.New("not confirmed")
	ErrMoved       = errors.New("the newest entry is another one")
)
