package jetstream

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/highwayhash"
)

// The files of the server, as its filestore.go writes them. A stream's directory has
// meta.inf with the checksum in meta.sum, and msgs/ with the blocks 1.blk and so on and
// an index.db of what they have. A block is records in a row:
//
//	4 bytes  length of the record; highest bit: it has headers
//	8        position; highest bit: a mark, see below
//	8        time
//	2        length of the subject
//	         subject, [4: length of the headers, headers,] data
//	8        checksum of all but the lengths
//
// little-endian. A mark is of an entry that was deleted: one that was here, or elsewhere.
const (
	recordHead  = 22
	recordSum   = 8
	headersBit  = 1 << 31
	deletedHere = 1 << 63
	deletedAway = 1 << 62
	// A record of more than this is none.
	longestRecord = 32 << 20
)

// streamDir is where the server keeps a stream.
func streamDir(dir, stream string) string {
	return filepath.Join(dir, "jetstream", "$G", "streams", stream)
}

// A hole is a part of a block that is no record.
type hole struct {
	from, to int // bytes
	// The positions around it: the entries between them are lost. before 0: none in this
	// block; after 0: it goes to the end.
	before, after uint64
}

// A block is a file with entries.
type block struct {
	path        string
	number      int
	size        int
	first, last uint64 // positions; 0: none
	holes       []hole
}

// blockFiles lists the blocks of a stream in order.
func blockFiles(stream string) ([]block, error) {
	names, err := filepath.Glob(filepath.Join(escapeGlob(stream), "msgs", "*.blk"))
	if err != nil {
		return nil, err
	}
	var blocks []block
	for _, path := range names {
		n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".blk"))
		if err == nil {
			blocks = append(blocks, block{path: path, number: n})
		}
	}
	slices.SortFunc(blocks, func(a, b block) int { return a.number - b.number })
	return blocks, nil
}

// A cut is where a stream is to be trimmed.
type cut struct {
	first uint64 // position that the block with it begins with
	needs uint64 // bytes that the server may need to write for it
}

const (
	// rewritten is how large a block must be to be written anew when more than half of it
	// is trimmed.
	rewritten = 2 << 20
	// spareRoom is for the index, and for what has not reached the files yet.
	spareRoom = 256 << 10
)

// findCut finds the entry at a position, which is to become the first.
func findCut(stream string, before uint64) (cut, error) {
	blocks, err := blockFiles(stream)
	if err != nil {
		return cut{}, err
	}
	for _, b := range slices.Backward(blocks) {
		c, err := b.cut(before)
		if err != nil && !os.IsNotExist(err) || c.first > 0 && c.first <= before {
			return c, err
		}
	}
	return cut{}, nil // it was trimmed before
}

// cut goes through the heads of the records.
func (b *block) cut(before uint64) (c cut, err error) {
	f, err := os.Open(b.path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return c, err
	}
	size, at, marks := info.Size(), int64(0), int64(0)
	for r := bufio.NewReaderSize(f, 64<<10); ; {
		head, err := r.Peek(recordHead)
		if err != nil {
			break // the end, or what is being written
		}
		length := int64(binary.LittleEndian.Uint32(head) &^ headersBit)
		pos := binary.LittleEndian.Uint64(head[4:])
		if length < recordHead+recordSum || length > longestRecord {
			break
		}
		if pos&deletedAway == 0 {
			pos &^= deletedHere
			if c.first == 0 {
				c.first = pos
			}
			if pos >= before {
				break
			}
			marks++
		}
		if _, err := r.Discard(int(length)); err != nil {
			break
		}
		at += length
	}
	switch rest := size - at; {
	case c.first >= before: // nothing of it goes
	case size > rewritten && 2*rest < size:
		c.needs = uint64(rest) + spareRoom
	default:
		c.needs = uint64(marks*(recordHead+recordSum)) + spareRoom
	}
	return c, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// A scanner finds records. Its key is the name of the stream and the number of the block.
type scanner struct {
	hash *highwayhash.Digest64
}

func newScanner(stream string, number int) (*scanner, error) {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", stream, number))
	hash, err := highwayhash.NewDigest64(key[:])
	return &scanner{hash}, err
}

// record returns the length and the position, with its marks, of the record that data
// begins with; 0: it begins with none.
func (s *scanner) record(data []byte) (length int, pos uint64) {
	if len(data) < recordHead+recordSum {
		return 0, 0
	}
	word := binary.LittleEndian.Uint32(data)
	length = int(word &^ headersBit)
	subject := int(binary.LittleEndian.Uint16(data[20:]))
	start := recordHead + subject
	if word&headersBit != 0 {
		start += 4
	}
	if length > longestRecord || length > len(data) || start > length-recordSum {
		return 0, 0
	}
	s.sum(data[4:20], data[recordHead:recordHead+subject], data[start:length-recordSum])
	var sum [recordSum]byte
	if !bytes.Equal(s.hash.Sum(sum[:0]), data[length-recordSum:length]) {
		return 0, 0
	}
	return length, binary.LittleEndian.Uint64(data[4:])
}

// sum hashes the parts; a hash takes everything.
func (s *scanner) sum(parts ...[]byte) {
	s.hash.Reset()
	for _, part := range parts {
		_, _ = s.hash.Write(part)
	}
}

// scan reads the block from its bytes.
func (b *block) scan(s *scanner, data []byte) {
	b.size = len(data)
	for at := 0; at < len(data); {
		length, pos := s.record(data[at:])
		if length == 0 {
			h := hole{from: at, to: at + s.skip(data[at:], b.last), before: b.last}
			if h.to < len(data) {
				_, next := s.record(data[h.to:])
				h.after = next &^ (deletedHere | deletedAway)
			}
			b.holes = append(b.holes, h)
			at = h.to
			continue
		}
		at += length
		if pos&deletedAway == 0 {
			if pos &^= deletedHere; pos > b.last {
				if b.first == 0 {
					b.first = pos
				}
				b.last = pos
			}
		}
	}
}

// skip returns the length of what is no record at the beginning of data, which follows
// the entry at position last.
func (s *scanner) skip(data []byte, last uint64) int {
	// Mostly the lengths are right.
	if len(data) >= 4 {
		if n := int(binary.LittleEndian.Uint32(data) &^ headersBit); n >= recordHead+recordSum && n <= len(data) {
			if length, _ := s.record(data[n:]); length > 0 || n == len(data) {
				return n
			}
		}
	}
	for at := recordHead + recordSum; at+recordHead < len(data); at++ {
		// A sum takes long, and hardly any bytes look like a position that is near.
		pos := binary.LittleEndian.Uint64(data[at+4:]) &^ (deletedHere | deletedAway)
		if pos <= last || last > 0 && pos-last > mostPositions || pos > 1<<48 {
			continue
		}
		if length, _ := s.record(data[at:]); length > 0 {
			return at
		}
	}
	return len(data)
}

// fill makes a hole a record that says that an entry was deleted here, so that the server
// does not take it for the end of the block. The positions between those around it are
// missing then.
func (s *scanner) fill(data []byte, h hole) {
	record := data[h.from:h.to]
	clear(record)
	binary.LittleEndian.PutUint32(record, uint32(len(record)))
	pos := h.before + 1
	if h.before == 0 {
		pos = h.after - 1
	}
	binary.LittleEndian.PutUint64(record[4:], pos|deletedHere)
	s.sum(record[4:20], record[recordHead:len(record)-recordSum])
	copy(record[len(record)-recordSum:], s.hash.Sum(nil))
}

// metaDamaged reports whether the description of a stream is not the one that was
// written, if there is one.
func metaDamaged(dir, stream string) bool {
	meta, err := os.ReadFile(filepath.Join(dir, "meta.inf"))
	if err != nil {
		return !os.IsNotExist(err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, "meta.sum"))
	if err != nil {
		return true
	}
	key := sha256.Sum256([]byte(stream))
	hash, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return true
	}
	_, _ = hash.Write(meta)
	return hex.EncodeToString(hash.Sum(nil)) != string(sum)
}
