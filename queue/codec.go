package queue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/evid/evid"
)

// What is in a journal is written with these: at the beginning of each entry the
// version of its format, whole numbers as varints, texts with their length before
// them, and at the end a checksum.

var errDamaged = errors.New("it is damaged")

const (
	// formatVersion is the first byte of each entry of events and of dead letters, and
	// was of those of the state.
	formatVersion = 1
	// stateVersion is that of the state: of each subscriber it says whether the script
	// has subscribed it.
	stateVersion = 2
	checksumSize = 4
)

func checksum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }

// seal ends an entry.
func seal(entry []byte) []byte {
	return binary.LittleEndian.AppendUint32(entry, checksum(entry))
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendTime writes a time; the zero time as 0.
func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(dst, 0)
	}
	return binary.AppendVarint(dst, t.UnixNano())
}

func appendID(dst []byte, id evid.ID) []byte {
	return binary.AppendUvarint(binary.BigEndian.AppendUint64(dst, id.Epoch), id.Seq)
}

// A scanner reads an entry. After the first thing that cannot be, all that it returns
// is zero, and err says so.
type scanner struct {
	version byte
	rest    string
	err     error
}

// scan checks an entry, of a version up to the newest, and returns what is in it. Its
// texts are parts of one copy.
func scan(e Entry, newest byte) (*scanner, error) {
	entry, body := e.Data, len(e.Data)-checksumSize
	switch {
	case e.Err != nil:
		return nil, fmt.Errorf("%w: %w", errDamaged, e.Err)
	case body < 1:
		return nil, fmt.Errorf("%w: %d bytes", errDamaged, len(entry))
	case binary.LittleEndian.Uint32(entry[body:]) != checksum(entry[:body]):
		return nil, fmt.Errorf("%w: wrong checksum", errDamaged)
	case entry[0] < formatVersion || entry[0] > newest:
		return nil, fmt.Errorf("it is of version %d: expected at most %d", entry[0], newest)
	}
	return &scanner{version: entry[0], rest: string(entry[1:body])}, nil
}

func (s *scanner) fail() {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %d bytes before its end", errDamaged, len(s.rest))
	}
	s.rest = ""
}

func (s *scanner) take(n int) string {
	if n > len(s.rest) {
		s.fail()
		return ""
	}
	text := s.rest[:n]
	s.rest = s.rest[n:]
	return text
}

func (s *scanner) uvarint() uint64 {
	var v uint64
	for i := 0; i < len(s.rest) && i < binary.MaxVarintLen64; i++ {
		b := s.rest[i]
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			s.rest = s.rest[i+1:]
			return v
		}
	}
	s.fail()
	return 0
}

func (s *scanner) varint() int64 {
	v := s.uvarint()
	return int64(v>>1) ^ -int64(v&1) // zigzag, as encoding/binary writes it
}

// count reads how many things follow, of which each takes at least so many bytes.
func (s *scanner) count(least int) int {
	n := s.uvarint()
	if n > uint64(len(s.rest)/least) {
		s.fail()
		return 0
	}
	return int(n)
}

func (s *scanner) text() string { return s.take(s.count(1)) }

func (s *scanner) byte() byte {
	text := s.take(1)
	if text == "" {
		return 0
	}
	return text[0]
}

func (s *scanner) bool() bool {
	b := s.byte()
	if b > 1 {
		s.fail()
	}
	return b == 1
}

func (s *scanner) time() time.Time {
	ns := s.varint()
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

func (s *scanner) duration() time.Duration { return time.Duration(s.varint()) }

func (s *scanner) id() evid.ID {
	epoch := s.take(8)
	if epoch == "" {
		return evid.ID{}
	}
	return evid.ID{Epoch: binary.BigEndian.Uint64([]byte(epoch)), Seq: s.uvarint()}
}

// int reads a count that fits an int.
func (s *scanner) int() int {
	v := s.uvarint()
	if v > math.MaxInt32 {
		s.fail()
		return 0
	}
	return int(v)
}

// end reports what was wrong; so is something left over.
func (s *scanner) end() error {
	if s.err == nil && s.rest != "" {
		s.fail()
	}
	return s.err
}

func appendParams(dst []byte, params []evid.Param) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(params)))
	for i := range params {
		p := &params[i]
		dst = append(dst, byte(p.Kind))
		dst = appendText(dst, p.Name)
		if p.Kind == evid.KindInt {
			dst = binary.AppendVarint(dst, p.Int)
		} else {
			dst = appendText(dst, p.Str)
		}
	}
	return dst
}

func (s *scanner) params() []evid.Param {
	n := s.count(3)
	if n == 0 {
		return nil
	}
	params := make([]evid.Param, n)
	for i := range params {
		p := &params[i]
		switch p.Kind = evid.Kind(s.byte()); p.Kind {
		case evid.KindString:
			p.Name, p.Str = s.text(), s.text()
		case evid.KindInt:
			p.Name, p.Int = s.text(), s.varint()
		default:
			s.fail()
		}
	}
	return params
}
