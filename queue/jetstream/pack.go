package jetstream

import (
	"fmt"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/evid/evid/queue"
)

// What an entry is in its stream says the first byte. That is one of these, or the first
// of the entry itself: of one that is short, or hardly gets shorter by being compressed,
// or was written before entries were compressed.
const (
	packedForm = 0xfe // a block of S2 follows
	plainForm  = 0xff // the entry follows: it begins with one of these two itself
)

const (
	// packFrom is how long an entry must be to be compressed. A shorter one takes a page
	// of the disk either way.
	packFrom = 512
	// packGain: so many times what is saved by it must be as long as the entry, at least.
	packGain = 8
)

// A packer makes entries what they are in their stream.
type packer struct {
	buf []byte
}

// pack returns what an entry is in its stream, until the next one is packed.
func (p *packer) pack(entry []byte) []byte {
	if len(entry) >= packFrom {
		p.buf = slices.Grow(p.buf[:0], 1+s2.MaxEncodedLen(len(entry)))
		packed := p.buf[:1+len(s2.Encode(p.buf[1:cap(p.buf)], entry))]
		packed[0] = packedForm
		if len(packed) <= len(entry)-len(entry)/packGain {
			return packed
		}
	}
	if len(entry) > 0 && entry[0] >= packedForm {
		p.buf = append(append(p.buf[:0], plainForm), entry...)
		return p.buf
	}
	return entry
}

// unpack returns the entry that is data in its stream. It makes nothing that is
// longer than an entry can be, whatever the data says.
func unpack(data []byte) ([]byte, error) {
	switch {
	case len(data) == 0 || data[0] < packedForm:
		return data, nil
	case data[0] == plainForm:
		return data[1:], nil
	}
	n, err := s2.DecodedLen(data[1:])
	if err != nil {
		return nil, fmt.Errorf("unpack it: %w", err)
	}
	if n > queue.MaxEntry {
		return nil, fmt.Errorf("unpack it: expected at most %d bytes, it says that there are %d", queue.MaxEntry, n)
	}
	entry, err := s2.Decode(nil, data[1:])
	if err != nil {
		return nil, fmt.Errorf("unpack it: %w", err)
	}
	return entry, nil
}
