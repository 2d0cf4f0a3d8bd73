package queue

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/evid/evid"
)

// The state log says what has become of subscribers. A save is one entry of it or
// several: they count together once the last of them is there. It has records of these
// kinds.
type recordKind byte

const (
	checkpointRecord recordKind = iota + 1 // at the start of a save: it has all, what was before does not count
	cursorRecord                           // all of one subscriber but for its place
	listRecord                             // one list: all subscribers of it are at its tail, but for
	lagRecord                              // those of the same list that are behind
	goneRecord                             // subscribers that are no more
	lettersRecord                          // dead letters that are no more
	metaRecord                             // at the end of a save
)

// A cursorState is what is saved of a subscriber.
type cursorState struct {
	id        uint64
	event     string
	key, text string // the socket's
	open      bool
	discarded bool
	script    bool // in version 1: false
	expire    time.Duration
	expires   time.Time
	accepted  uint64 // as Cursor.accepted
	counts    evid.Counts
	end       uint64 // of the first span
	later     []span
}

// A listState is what is saved of a list.
type listState struct {
	name    string
	tail    uint64
	retired evid.Counts
}

// A lag is the place of a subscriber that is behind.
type lag struct {
	id, pos, ahead uint64
	readAt         uint64  // where in the event log pos is, or before that
	event          evid.ID // that is there, or one before it
}

// A meta is what is saved of the queue itself.
type meta struct {
	epoch      uint64
	nextID     uint64
	lastLetter uint64 // dead letters after it belong to what was not saved
	replayed   uint64
	purged     uint64
	applied    uint64 // what is in the event log up to there is in the lists
	time       time.Time
}

func appendCounts(dst []byte, c *evid.Counts) []byte {
	for _, n := range [...]uint64{c.Accepted, c.Delivered, c.Dead, c.Dropped, c.Abandoned, c.Unconfirmed, c.Odd, c.Retried} {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

func (s *scanner) counts() (c evid.Counts) {
	for _, n := range [...]*uint64{&c.Accepted, &c.Delivered, &c.Dead, &c.Dropped, &c.Abandoned, &c.Unconfirmed, &c.Odd, &c.Retried} {
		*n = s.uvarint()
	}
	return c
}

// endless and nowhere take one byte this way.
func appendEnd(dst []byte, end uint64) []byte { return binary.AppendUvarint(dst, end+1) }

func (s *scanner) spanEnd() uint64 { return s.uvarint() - 1 }

func appendCursorState(dst []byte, c *cursorState) []byte {
	dst = binary.AppendUvarint(append(dst, byte(cursorRecord)), c.id)
	dst = appendText(appendText(appendText(dst, c.event), c.key), c.text)
	dst = appendBool(appendBool(appendBool(dst, c.open), c.discarded), c.script)
	dst = appendTime(binary.AppendVarint(dst, int64(c.expire)), c.expires)
	dst = binary.AppendVarint(dst, int64(c.accepted))
	dst = appendCounts(dst, &c.counts)
	dst = appendEnd(dst, c.end)
	dst = binary.AppendUvarint(dst, uint64(len(c.later)))
	for _, s := range c.later {
		dst = appendEnd(binary.AppendUvarint(dst, s.from), s.to)
	}
	return dst
}

func (s *scanner) cursorState() *cursorState {
	c := &cursorState{
		id: s.uvarint(), event: s.text(), key: s.text(), text: s.text(),
		open: s.bool(), discarded: s.bool(), script: s.version > 1 && s.bool(), expire: s.duration(), expires: s.time(),
		accepted: uint64(s.varint()), counts: s.counts(), end: s.spanEnd(),
	}
	for range s.count(2) {
		c.later = append(c.later, span{s.uvarint(), s.spanEnd()})
	}
	return c
}

func appendListState(dst []byte, l *listState) []byte {
	dst = appendText(append(dst, byte(listRecord)), l.name)
	return appendCounts(binary.AppendUvarint(dst, l.tail), &l.retired)
}

func (s *scanner) listState() *listState {
	return &listState{s.text(), s.uvarint(), s.counts()}
}

func appendLag(dst []byte, l *lag) []byte {
	dst = binary.AppendUvarint(append(dst, byte(lagRecord)), l.id)
	dst = binary.AppendUvarint(binary.AppendUvarint(dst, l.pos), l.ahead)
	return appendID(binary.AppendUvarint(dst, l.readAt), l.event)
}

func (s *scanner) lag() *lag { return &lag{s.uvarint(), s.uvarint(), s.uvarint(), s.uvarint(), s.id()} }

func appendNumbers(dst []byte, kind recordKind, numbers []uint64) []byte {
	dst = binary.AppendUvarint(append(dst, byte(kind)), uint64(len(numbers)))
	for _, n := range numbers {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

func (s *scanner) numbers() []uint64 {
	numbers := make([]uint64, s.count(1))
	for i := range numbers {
		numbers[i] = s.uvarint()
	}
	return numbers
}

func appendMeta(dst []byte, m *meta) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, byte(metaRecord)), m.epoch)
	for _, n := range [...]uint64{m.nextID, m.lastLetter, m.replayed, m.purged, m.applied} {
		dst = binary.AppendUvarint(dst, n)
	}
	return appendTime(dst, m.time)
}

func (s *scanner) meta() *meta {
	m := new(meta)
	if epoch := s.take(8); epoch != "" {
		m.epoch = binary.BigEndian.Uint64([]byte(epoch))
	}
	for _, n := range [...]*uint64{&m.nextID, &m.lastLetter, &m.replayed, &m.purged, &m.applied} {
		*n = s.uvarint()
	}
	m.time = s.time()
	return m
}

// A stateEntry is one entry of the state log.
type stateEntry struct {
	save, part uint64
	records    []any // *cursorState, *listState, *lag, gone, removed, *meta and checkpoint
}

type (
	checkpoint struct{}
	gone       []uint64 // ids of subscribers
	removed    []uint64 // numbers of dead letters
)

func readStateEntry(entry Entry) (*stateEntry, error) {
	s, err := scan(entry, stateVersion)
	if err == nil {
		e := &stateEntry{save: s.uvarint(), part: s.uvarint()}
		for s.rest != "" {
			e.records = append(e.records, s.record())
		}
		if err = s.end(); err == nil {
			return e, nil
		}
	}
	return nil, fmt.Errorf("read entry %d of the state: %w", entry.Pos, err)
}

func (s *scanner) record() any {
	switch recordKind(s.byte()) {
	case checkpointRecord:
		return checkpoint{}
	case cursorRecord:
		return s.cursorState()
	case listRecord:
		return s.listState()
	case lagRecord:
		return s.lag()
	case goneRecord:
		return gone(s.numbers())
	case lettersRecord:
		return removed(s.numbers())
	case metaRecord:
		return s.meta()
	default:
		s.fail()
		return nil
	}
}

// maxStateEntry bounds the entries of the state log.
const maxStateEntry = 480 << 10

// A stateWriter writes a save.
type stateWriter struct {
	save    uint64
	entries [][]byte
	current []byte // nil: none
}

// add adds a record.
func (w *stateWriter) add(write func(dst []byte) []byte) {
	if len(w.current) > maxStateEntry {
		w.end()
	}
	if w.current == nil {
		w.current = append(w.current, stateVersion)
		w.current = binary.AppendUvarint(binary.AppendUvarint(w.current, w.save), uint64(len(w.entries)))
	}
	w.current = write(w.current)
}

// numbers writes very many of them in several records.
func (w *stateWriter) numbers(kind recordKind, numbers []uint64) {
	const most = 4096
	for len(numbers) > 0 {
		n := min(len(numbers), most)
		w.add(func(dst []byte) []byte { return appendNumbers(dst, kind, numbers[:n]) })
		numbers = numbers[n:]
	}
}

func (w *stateWriter) end() {
	if w.current != nil {
		w.entries = append(w.entries, seal(w.current))
		w.current = nil
	}
}
