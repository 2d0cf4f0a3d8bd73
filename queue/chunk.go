package queue

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/evid/evid"
)

// A chunk is what one entry of the event log holds: events in the order in which they
// were raised, of one epoch and with one number after the other.
//
//	version, epoch, number of the first event, how many events were logged before it,
//	time; names: each with the ordinal of its first event here; events: each with its
//	name's place, its time after that of the chunk, its hops and its parameters
type chunk struct {
	pos    uint64
	first  evid.ID
	before uint64 // events that were logged before it
	time   time.Time
	names  []chunkName
	events int
}

// A chunkName is what a chunk has of one event name.
type chunkName struct {
	name    string
	ordinal uint64 // of the first
	events  []*evid.Event
}

// of returns what the chunk has of a name; nil: nothing.
func (c *chunk) of(name string) *chunkName {
	for i := range c.names {
		if c.names[i].name == name {
			return &c.names[i]
		}
	}
	return nil
}

// appendChunkHeader writes what stands before the names. There is at least one event.
func appendChunkHeader(dst []byte, first evid.ID, before uint64, base time.Time) []byte {
	dst = append(dst, formatVersion)
	dst = appendID(dst, first)
	dst = binary.AppendUvarint(dst, before)
	return appendTime(dst, base)
}

func appendChunkNames(dst []byte, lists []*list) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(lists)))
	for _, l := range lists {
		dst = binary.AppendUvarint(appendText(dst, l.name), l.ring.tail) // only who writes changes it
	}
	return dst
}

func appendChunkEvents(dst []byte, raises []raising, base time.Time) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(raises)))
	for i := range raises {
		e := raises[i].event
		dst = binary.AppendUvarint(dst, uint64(raises[i].name))
		dst = binary.AppendVarint(dst, int64(e.Time.Sub(base)))
		dst = append(dst, e.Hops)
		dst = appendParams(dst, e.Params)
	}
	return dst
}

// readHeader reads the first part of a chunk.
func (c *chunk) readHeader(s *scanner) {
	c.first, c.before, c.time = s.id(), s.uvarint(), s.time()
}

// readChunkHeader reads a chunk without its events.
func readChunkHeader(entry Entry) (*chunk, error) {
	s, err := scan(entry, formatVersion)
	if err != nil {
		return nil, fmt.Errorf("read chunk %d of events: %w", entry.Pos, err)
	}
	c := &chunk{pos: entry.Pos}
	c.readHeader(s)
	c.readNames(s)
	if c.events = s.count(4); s.err != nil {
		return nil, fmt.Errorf("read chunk %d of events: %w", entry.Pos, s.err)
	}
	return c, nil
}

// readNames reads the names, without their events.
func (c *chunk) readNames(s *scanner) {
	c.names = make([]chunkName, s.count(2))
	for i := range c.names {
		c.names[i].name, c.names[i].ordinal = s.text(), s.uvarint()
	}
}

// readChunk reads a chunk.
func readChunk(entry Entry) (*chunk, error) {
	s, err := scan(entry, formatVersion)
	if err == nil {
		c := &chunk{pos: entry.Pos}
		c.readHeader(s)
		c.readNames(s)
		c.readEvents(s)
		if err = s.end(); err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("read chunk %d of events: %w", entry.Pos, err)
}

func (c *chunk) readEvents(s *scanner) {
	c.events = s.count(4)
	events := make([]evid.Event, c.events)
	for i := range events {
		e := &events[i]
		at := s.uvarint()
		if at >= uint64(len(c.names)) {
			s.fail()
			return
		}
		name := &c.names[at]
		e.ID = evid.ID{Epoch: c.first.Epoch, Seq: c.first.Seq + uint64(i)}
		e.Name, e.Time, e.Hops, e.Params = name.name, c.time.Add(s.duration()), s.byte(), s.params()
		e.Shared = true // others that are behind may get it as well
		name.events = append(name.events, e)
	}
}
