package evid

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// An ID numbers an event. IDs are unique, and sort in raise order within one
// event name; across restarts as far as the clock does not go back. The text form
// is 32 hexadecimal digits.
type ID struct {
	Epoch uint64 // of the daemon's start, see [NewEpoch]
	Seq   uint64 // counts from 1 within an epoch
}

// NewEpoch returns the epoch of a daemon started at now: the Unix time in
// milliseconds in the upper 48 bits, random bits in the lower 16, so that two
// starts within one millisecond differ.
func NewEpoch(now time.Time) uint64 {
	var random [2]byte
	rand.Read(random[:]) // never fails: crypto/rand
	return uint64(now.UnixMilli())<<16 | uint64(binary.BigEndian.Uint16(random[:]))
}

// String returns the ID as 32 hexadecimal digits.
func (id ID) String() string {
	var text [32]byte
	return string(id.AppendText(text[:0]))
}

// AppendText appends the 32 hexadecimal digits of the ID to dst.
func (id ID) AppendText(dst []byte) []byte {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], id.Epoch)
	binary.BigEndian.PutUint64(raw[8:], id.Seq)
	return hex.AppendEncode(dst, raw[:])
}

// ParseID reads what [ID.String] wrote.
func ParseID(text string) (ID, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 16 {
		return ID{}, fmt.Errorf("parse event id %q: expected 32 hexadecimal digits", text)
	}
	return ID{binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])}, nil
}

// Compare returns -1, 0 or 1 as id was given before, is, or was given after other.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Epoch, other.Epoch), cmp.Compare(id.Seq, other.Seq))
}

// Kind is the type of a parameter's value.
type Kind uint8

// OpenSIPS knows these two types of event parameters.
const (
	KindString Kind = iota
	KindInt
)

// A Param is one parameter of an event. The zero value is unnamed and holds the
// empty string.
type Param struct {
	Name string // empty: unnamed
	Str  string // the value, if Kind is KindString: any bytes
	Int  int64  // the value, if Kind is KindInt
	Kind Kind
}

// String returns a parameter that holds a string. An empty name makes it unnamed.
func String(name, value string) Param { return Param{Name: name, Str: value} }

// Int returns a parameter that holds an integer. An empty name makes it unnamed.
func Int(name string, value int64) Param { return Param{Name: name, Int: value, Kind: KindInt} }

// Text returns the value as text, an integer in decimal.
func (p Param) Text() string {
	if p.Kind == KindInt {
		return strconv.FormatInt(p.Int, 10)
	}
	return p.Str
}

// An Event is what was raised. It is immutable once raised and shared by all
// who deliver it.
type Event struct {
	ID     ID
	Name   string
	Time   time.Time // when it was raised
	Hops   uint8     // how many events led to this one, see [CausedBy]
	Shared bool      // it was kept for more than one subscriber: see [Event.AppendEncoded]
	Params []Param   // in the order in which they were raised

	encoding sync.Mutex // held to add to shared
	shared   atomic.Pointer[sharedEncoding]
}

// Limits of an event.
const (
	MaxEventName = 64        // bytes, as OpenSIPS
	MaxEventSize = 512 << 10 // bytes of the name and of all names and values before escaping, and 8 for each parameter
	MaxHops      = 16        // events that lead to one another
)

// Size returns the bytes of the event's name and of its parameters' names and
// values, and 8 for each parameter: what [MaxEventSize] bounds.
func (e *Event) Size() int {
	size := len(e.Name)
	for i := range e.Params {
		size += len(e.Params[i].Name) + len(e.Params[i].Str) + 8
	}
	return size
}

// An Encoder turns an event into what a transport sends. Encoders are compared
// with ==: two equal ones must append equal bytes. What differs from subscriber
// to subscriber (an XML-RPC method) is no part of it, so that subscribers share
// one encoding.
type Encoder interface {
	Append(dst []byte, e *Event) []byte
}

type sharedEncoding struct {
	by   Encoder
	data []byte
	next *sharedEncoding
	kept int // of this and those after it
}

// An event keeps the encodings of this many encoders, and none that is larger:
// what waits for a subscriber that is behind must not take many times the memory
// of its events. Others are encoded anew for each subscriber.
const (
	maxSharedEncodings = 4
	maxSharedSize      = 16 << 10 // bytes
)

// AppendEncoded appends the event as by encodes it. The subscribers of a shared event
// share its encodings as well: the first to ask for one encodes, the others copy.
func (e *Event) AppendEncoded(dst []byte, by Encoder) []byte {
	if !e.Shared || e.Size() > maxSharedSize {
		return by.Append(dst, e)
	}
	return append(dst, e.encoded(by)...)
}

// encoded returns the event as by encodes it. The first to ask for a form encodes it
// and the others share the bytes.
func (e *Event) encoded(by Encoder) []byte {
	if enc := e.findEncoding(by); enc != nil {
		return enc.data
	}
	e.encoding.Lock()
	defer e.encoding.Unlock()
	if enc := e.findEncoding(by); enc != nil {
		return enc.data
	}
	const perEvent, perParam = 192, 128 // what XML-RPC writes around them, so that the bytes need not grow
	data := by.Append(make([]byte, 0, e.Size()+perEvent+perParam*len(e.Params)), e)
	enc := &sharedEncoding{by: by, data: data, next: e.shared.Load(), kept: 1}
	if len(enc.data) > maxSharedSize {
		return enc.data
	}
	if enc.next != nil {
		enc.kept += enc.next.kept
	}
	if enc.kept <= maxSharedEncodings {
		e.shared.Store(enc)
	}
	return enc.data
}

func (e *Event) findEncoding(by Encoder) *sharedEncoding {
	for enc := e.shared.Load(); enc != nil; enc = enc.next {
		if enc.by == by {
			return enc
		}
	}
	return nil
}
