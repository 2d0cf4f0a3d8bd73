package queue

import (
	"encoding/hex"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/evid/evid"
)

func testParams() []evid.Param {
	return []evid.Param{
		evid.String("ip", "192.168.2.11"), evid.Int("n", math.MinInt64), evid.Int("", math.MaxInt64), evid.String("", "\x00\xff"),
	}
}

// testChunk is an entry of three events under two names.
func testChunk() []byte {
	base := time.Unix(1_700_000_000, 5)
	a, b := &list{name: "E_A"}, &list{name: "E_B"}
	a.ring.tail, b.ring.tail = 7, 1<<40
	raises := []raising{
		{event: &evid.Event{Name: "E_A", Time: base, Params: testParams()}, name: 0},
		{event: &evid.Event{Name: "E_B", Time: base.Add(-time.Hour), Hops: 3}, name: 1},
		{event: &evid.Event{Name: "E_A", Time: base.Add(time.Second)}, name: 0},
	}
	entry := appendChunkHeader(nil, evid.ID{Epoch: math.MaxUint64, Seq: 41}, 1000, base)
	return seal(appendChunkEvents(appendChunkNames(entry, []*list{a, b}), raises, base))
}

func TestChunk(t *testing.T) {
	data := testChunk()
	got, err := readChunk(Entry{Pos: 9, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	base := time.Unix(1_700_000_000, 5)
	id := func(seq uint64) evid.ID { return evid.ID{Epoch: math.MaxUint64, Seq: seq} }
	want := &chunk{
		pos: 9, first: id(41), before: 1000, time: base, events: 3,
		names: []chunkName{
			{"E_A", 7, []*evid.Event{
				{ID: id(41), Name: "E_A", Time: base, Params: testParams(), Shared: true},
				{ID: id(43), Name: "E_A", Time: base.Add(time.Second), Shared: true},
			}},
			{"E_B", 1 << 40, []*evid.Event{{ID: id(42), Name: "E_B", Time: base.Add(-time.Hour), Hops: 3, Shared: true}}},
		},
	}
	options := cmp.Options{cmp.AllowUnexported(chunk{}, chunkName{}), cmpopts.IgnoreUnexported(evid.Event{})}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("read chunk (-want +got):\n%s", diff)
	}
	for i := range want.names {
		want.names[i].events = nil
	}
	header, err := readChunkHeader(Entry{Pos: 9, Data: data})
	if diff := cmp.Diff(want, header, options); err != nil || diff != "" {
		t.Errorf("read header: %v (-want +got):\n%s", err, diff)
	}
}

func testState() []byte {
	w := &stateWriter{save: 5}
	w.add(func(dst []byte) []byte { return append(dst, byte(checkpointRecord)) })
	w.add(func(dst []byte) []byte {
		return appendCursorState(dst, &cursorState{
			id: 1, event: "E_A", key: "k", text: "t", open: true, discarded: true, script: true, expire: time.Hour, expires: time.Unix(9, 9),
			accepted: math.MaxUint64 - 3, counts: evid.Counts{Dead: 1, Dropped: 2, Abandoned: 3, Unconfirmed: 4, Odd: 5, Retried: 6},
			end: endless, later: []span{{1, 2}, {3, endless}},
		})
	})
	w.add(func(dst []byte) []byte {
		return appendListState(dst, &listState{"E_A", 77, evid.Counts{Accepted: 8, Delivered: 9}})
	})
	w.add(func(dst []byte) []byte { return appendLag(dst, &lag{1, 70, 5, 1 << 60, evid.ID{Epoch: 1, Seq: 2}}) })
	w.numbers(goneRecord, []uint64{2, 3})
	w.numbers(lettersRecord, []uint64{4, math.MaxUint64})
	w.add(func(dst []byte) []byte {
		return appendMeta(dst, &meta{math.MaxUint64, 2, 3, 4, 5, 6, time.Unix(7, 0)})
	})
	w.end()
	return w.entries[0]
}

func TestState(t *testing.T) {
	got, err := readStateEntry(Entry{Pos: 1, Data: testState()})
	if err != nil {
		t.Fatal(err)
	}
	want := &stateEntry{save: 5, records: []any{
		checkpoint{},
		&cursorState{
			id: 1, event: "E_A", key: "k", text: "t", open: true, discarded: true, script: true, expire: time.Hour, expires: time.Unix(9, 9),
			accepted: math.MaxUint64 - 3, counts: evid.Counts{Dead: 1, Dropped: 2, Abandoned: 3, Unconfirmed: 4, Odd: 5, Retried: 6},
			end: endless, later: []span{{1, 2}, {3, endless}},
		},
		&listState{"E_A", 77, evid.Counts{Accepted: 8, Delivered: 9}},
		&lag{1, 70, 5, 1 << 60, evid.ID{Epoch: 1, Seq: 2}},
		gone{2, 3},
		removed{4, math.MaxUint64},
		&meta{math.MaxUint64, 2, 3, 4, 5, 6, time.Unix(7, 0)},
	}}
	options := cmp.AllowUnexported(stateEntry{}, cursorState{}, listState{}, lag{}, meta{}, span{})
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("read state (-want +got):\n%s", diff)
	}
}

// stateOfVersion1 is a cursor and a meta as version 1 wrote them.
const stateOfVersion1 = "01050001020103455f41016b017401018080c58bc6d10192e888874307000001020304050600020103030007ffffffffffffffff02030405068098dc9334abf7b00d"

// Version 1 had no subscribers of the script. Later versions than ours are not guessed at.
func TestOldState(t *testing.T) {
	data, err := hex.DecodeString(stateOfVersion1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readStateEntry(Entry{Pos: 1, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	want := &stateEntry{save: 5, records: []any{
		checkpoint{},
		&cursorState{
			id: 1, event: "E_A", key: "k", text: "t", open: true, discarded: true, expire: time.Hour, expires: time.Unix(9, 9),
			accepted: math.MaxUint64 - 3, counts: evid.Counts{Dead: 1, Dropped: 2, Abandoned: 3, Unconfirmed: 4, Odd: 5, Retried: 6},
			end: endless, later: []span{{1, 2}, {3, endless}},
		},
		&meta{math.MaxUint64, 2, 3, 4, 5, 6, time.Unix(7, 0)},
	}}
	options := cmp.AllowUnexported(stateEntry{}, cursorState{}, meta{}, span{})
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("read state of version 1 (-want +got):\n%s", diff)
	}
	for version, text := range map[byte]string{0: "it is of version 0: expected at most 2", 3: "it is of version 3: expected at most 2"} {
		data[0] = version
		_, err = readStateEntry(Entry{Pos: 1, Data: seal(data[:len(data)-checksumSize])})
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("version %d: got %v, want %s", version, err, text)
		}
	}
}

func testLetters() []byte {
	at := time.Unix(1_700_000_000, 0)
	letters := []*letter{
		{DeadLetter: evid.DeadLetter{
			Number: 1, Event: "E_A", Socket: &savedSocket{"k", "t"}, Reason: "refused", Attempts: 8, First: at, Last: at.Add(1),
			Count: 1, FirstID: evid.ID{Epoch: 1, Seq: 2}, LastID: evid.ID{Epoch: 1, Seq: 2},
			Raised: &evid.Event{ID: evid.ID{Epoch: 1, Seq: 2}, Name: "E_A", Time: at, Hops: 1, Params: testParams()},
		}},
		{DeadLetter: evid.DeadLetter{Number: 2, Event: "E_B", Socket: &savedSocket{}, Count: 1 << 40}},
	}
	entry, _ := newUnsavedEntry(letters)
	return entry.data
}

func TestLetterEntry(t *testing.T) {
	got, err := readLetterEntry(Entry{Pos: 1, Data: testLetters()})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	want := []*letter{
		{DeadLetter: evid.DeadLetter{
			Number: 1, Event: "E_A", Socket: &savedSocket{"k", "t"}, Reason: "refused", Attempts: 8, First: at, Last: at.Add(1),
			Count: 1, FirstID: evid.ID{Epoch: 1, Seq: 2}, LastID: evid.ID{Epoch: 1, Seq: 2},
			Raised: &evid.Event{ID: evid.ID{Epoch: 1, Seq: 2}, Name: "E_A", Time: at, Hops: 1, Params: testParams()},
		}},
		{DeadLetter: evid.DeadLetter{Number: 2, Event: "E_B", Socket: &savedSocket{}, Count: 1 << 40}},
	}
	options := cmp.Options{cmp.AllowUnexported(letter{}, savedSocket{}), cmpopts.IgnoreUnexported(evid.Event{})}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("read letters (-want +got):\n%s", diff)
	}
}

// An entry of which any part is missing or any bit is wrong is not taken for another one.
func TestDamagedEntries(t *testing.T) {
	readers := map[string]struct {
		entry []byte
		read  func(Entry) error
	}{
		"events":  {testChunk(), func(e Entry) error { _, err := readChunk(e); return err }},
		"header":  {testChunk(), func(e Entry) error { _, err := readChunkHeader(e); return err }},
		"state":   {testState(), func(e Entry) error { _, err := readStateEntry(e); return err }},
		"letters": {testLetters(), func(e Entry) error { _, err := readLetterEntry(e); return err }},
	}
	for name, r := range readers {
		for n := range r.entry {
			if r.read(Entry{Data: r.entry[:n]}) == nil {
				t.Errorf("%s: the first %d of %d bytes are taken for all", name, n, len(r.entry))
			}
		}
		for bit := range len(r.entry) * 8 {
			flipped := append([]byte(nil), r.entry...)
			flipped[bit/8] ^= 1 << (bit % 8)
			if r.read(Entry{Data: flipped}) == nil {
				t.Errorf("%s: bit %d may be wrong", name, bit)
			}
		}
	}
}

// No entry, whatever it has under a right checksum, does more than fail to be read.
func fuzzEntries(f *testing.F, seed []byte, read func(Entry) error) {
	f.Add(seed[:len(seed)-checksumSize])
	f.Add([]byte{formatVersion})
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, body []byte) {
		_ = read(Entry{Pos: 1, Data: seal(body)})
		_ = read(Entry{Pos: 1, Data: body})
	})
}

func FuzzChunk(f *testing.F) {
	fuzzEntries(f, testChunk(), func(e Entry) error {
		_, _ = readChunkHeader(e)
		_, err := readChunk(e)
		return err
	})
}

func FuzzStateEntry(f *testing.F) {
	fuzzEntries(f, testState(), func(e Entry) error { _, err := readStateEntry(e); return err })
}

func FuzzLetterEntry(f *testing.F) {
	fuzzEntries(f, testLetters(), func(e Entry) error { _, err := readLetterEntry(e); return err })
}

// A save counts once its end is there; one without it is counted as unfinished.
func TestCheckUnfinished(t *testing.T) {
	check := NewCheck()
	pos := uint64(0)
	add := func(save uint64, ends bool, records ...func([]byte) []byte) {
		w := &stateWriter{save: save}
		for _, record := range records {
			w.add(record)
		}
		if ends {
			w.add(func(dst []byte) []byte { return appendMeta(dst, &meta{epoch: 1, time: time.Unix(1, 0)}) })
		}
		w.end()
		for _, entry := range w.entries {
			pos++
			if err := check.Add(StateLog, Entry{Pos: pos, Data: entry}); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := func(dst []byte) []byte { return append(dst, byte(checkpointRecord)) }
	cursor := func(id uint64) func([]byte) []byte {
		return func(dst []byte) []byte {
			return appendCursorState(dst, &cursorState{id: id, event: "E_X", key: "x", end: endless})
		}
	}
	add(1, true, all, cursor(1))
	add(2, false, cursor(2)) // killed
	add(3, true, all, cursor(1), cursor(3))
	add(4, false, cursor(4))
	r := check.Report()
	if r.Subscribers != 2 || r.Unfinished != 2 || r.Problems != nil || r.Notes != nil {
		t.Errorf("%+v", r)
	}
}

// A save of which a part is missing does not count, though its end is there. What the lists
// have is then only what they had in the save before, also with the saves after it.
func TestSaveWithoutPart(t *testing.T) {
	l := newLoading(&disk{log: slog.New(slog.DiscardHandler)})
	pos := uint64(0)
	add := func(save uint64, missing int, parts ...func([]byte) []byte) {
		w := &stateWriter{save: save}
		for _, part := range append(parts, func(dst []byte) []byte { return appendMeta(dst, &meta{applied: 10 * save}) }) {
			w.add(part)
			w.end()
		}
		for i, entry := range w.entries {
			if pos++; i != missing {
				l.addState(Entry{Pos: pos, Data: entry})
			}
		}
	}
	cursor := func(id uint64) func([]byte) []byte {
		return func(dst []byte) []byte {
			return appendCursorState(dst, &cursorState{id: id, event: "E_X", end: endless})
		}
	}
	add(1, -1, func(dst []byte) []byte { return append(dst, byte(checkpointRecord)) }, cursor(1))
	add(2, 1, cursor(2), cursor(3))
	add(3, -1, cursor(4))
	if got, want := slices.Sorted(maps.Keys(l.cursors)), []uint64{1, 4}; !slices.Equal(got, want) {
		t.Errorf("cursors %d, want %d", got, want)
	}
	if l.meta.applied != 10 {
		t.Errorf("the lists have the log up to %d, want 10", l.meta.applied)
	}
}
