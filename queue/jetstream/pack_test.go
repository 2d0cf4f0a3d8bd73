package jetstream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

// similar is like a chunk of events that are alike.
func similar(n int) []byte {
	var data []byte
	for i := 0; len(data) < n; i++ {
		data = fmt.Appendf(data, "\x00%d\x02ip\x0c192.168.2.%d", i*i, i%250)
	}
	return data[:n]
}

func TestPack(t *testing.T) {
	var p packer
	for _, test := range []struct {
		name     string
		entry    []byte
		form     int // first byte; -1: that of the entry
		atMost   int // bytes
		isItself bool
	}{
		{"nothing", nil, -1, 0, true},
		{"one byte", []byte{1}, -1, 1, true},
		{"short", similar(packFrom - 1), -1, packFrom - 1, true},
		{"long enough", similar(packFrom), packedForm, packFrom / 2, false},
		{"a chunk", similar(5000), packedForm, 2500, false},
		{"the largest", make([]byte, queue.MaxEntry), packedForm, queue.MaxEntry / 10, false},
		{"noise", storetest.Noise(5000), -1, 5000, true},
		{"the largest noise", storetest.Noise(queue.MaxEntry), -1, queue.MaxEntry, true},
		{"short, like one that is packed", []byte{packedForm, 1}, plainForm, 3, false},
		{"short, like one that is plain", []byte{plainForm}, plainForm, 2, false},
		{"noise, like one that is packed", append([]byte{packedForm}, storetest.Noise(5000)...), plainForm, 5002, false},
		{"long, like one that is plain", bytes.Repeat([]byte{plainForm}, 5000), packedForm, 500, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := slices.Clone(test.entry)
			data := p.pack(test.entry)
			if !bytes.Equal(test.entry, before) {
				t.Fatal("the entry was changed")
			}
			if len(data) > test.atMost {
				t.Errorf("it takes %d bytes, want at most %d", len(data), test.atMost)
			}
			if test.form >= 0 && int(data[0]) != test.form {
				t.Errorf("it begins with %#x, want %#x", data[0], test.form)
			}
			if test.isItself && !bytes.Equal(data, test.entry) {
				t.Error("it is not there as it is")
			}
			if got, err := unpack(data); err != nil || !bytes.Equal(got, test.entry) {
				t.Errorf("unpacked it has %d bytes, %v; want the %d of the entry", len(got), err, len(test.entry))
			}
		})
	}
}

// What says that it is large is an error, and takes no memory.
func TestUnpackTooLarge(t *testing.T) {
	for _, size := range []uint64{queue.MaxEntry + 1, 1 << 31, 1 << 32, 1 << 62} {
		bomb := binary.AppendUvarint([]byte{packedForm}, size)
		if got := testing.AllocsPerRun(10, func() { _, _ = unpack(bomb) }); got > 8 {
			t.Errorf("%d bytes: %.0f allocations", size, got)
		}
		if entry, err := unpack(bomb); err == nil || entry != nil {
			t.Errorf("%d bytes: got %d, want an error", size, len(entry))
		}
	}
	var p packer
	data := p.pack(make([]byte, queue.MaxEntry+1))
	want := fmt.Sprintf("unpack it: expected at most %d bytes, it says that there are %d", queue.MaxEntry, queue.MaxEntry+1)
	if _, err := unpack(data); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// Entries that get large are read a few at a time.
func TestReadUnpacksFew(t *testing.T) {
	params := DefaultParams()
	params.Dir, params.Sync = t.TempDir(), SyncNever
	s, err := Open(params, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const count = 2 * unpackBytes / queue.MaxEntry
	for last := range uint64(count) {
		if _, err := s.Append(queue.EventLog, last, make([]byte, queue.MaxEntry)); err != nil {
			t.Fatal(err)
		}
	}
	entries := make([]queue.Entry, count)
	for from := uint64(1); from <= count; {
		n, err := s.Read(queue.EventLog, from, entries)
		if err != nil || n == 0 || n > unpackBytes/queue.MaxEntry+1 {
			t.Fatalf("read from %d: got %d, %v; want some", from, n, err)
		}
		for _, e := range entries[:n] {
			if e.Pos != from || len(e.Data) != queue.MaxEntry || e.Err != nil {
				t.Fatalf("got %d bytes at %d, %v; want the entry at %d", len(e.Data), e.Pos, e.Err, from)
			}
			from++
		}
	}
}

// An entry that cannot be unpacked is there, with the reason, and so are those around it.
func TestReadDamagedPack(t *testing.T) {
	params := DefaultParams()
	params.Dir, params.Sync = t.TempDir(), SyncNever
	s, err := Open(params, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, data := range []string{"one", "\xfe\x05ab", "three"} {
		if _, err := s.link.write.Request(s.names.subject(queue.EventLog), []byte(data), s.patience); err != nil {
			t.Fatal(err)
		}
	}
	entries := make([]queue.Entry, 3)
	if n, err := s.Read(queue.EventLog, 1, entries); n != 3 || err != nil {
		t.Fatalf("got %d entries, %v", n, err)
	}
	if e := entries[1]; e.Pos != 2 || e.Data != nil || e.Err == nil || !strings.HasPrefix(e.Err.Error(), "unpack it: ") {
		t.Errorf("got %+v, want why it cannot be unpacked", e)
	}
	check := queue.NewCheck()
	if err := check.Add(queue.EventLog, entries[1]); err != nil {
		t.Fatal(err)
	}
	want := "read chunk 2 of events: it is damaged: " + entries[1].Err.Error()
	if got := check.Report().Problems; !slices.Contains(got, want) {
		t.Errorf("its check says %q, want %q", got, want)
	}
	if string(entries[0].Data) != "one" || string(entries[2].Data) != "three" {
		t.Errorf("got %q and %q around it", entries[0].Data, entries[2].Data)
	}
}

func FuzzUnpack(f *testing.F) {
	var p packer
	for _, entry := range [][]byte{nil, {1}, {packedForm}, {plainForm}, similar(5000), storetest.Noise(600), make([]byte, queue.MaxEntry+1)} {
		f.Add(slices.Clone(entry))
		f.Add(slices.Clone(p.pack(entry)))
	}
	f.Add(s2.Encode(nil, similar(600)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if entry, err := unpack(data); err == nil && len(entry) > max(queue.MaxEntry, len(data)) {
			t.Errorf("unpacked it has %d bytes", len(entry))
		}
		// What is packed comes out again, whatever it is.
		var p packer
		if got, err := unpack(p.pack(data)); len(data) <= queue.MaxEntry && (err != nil || !bytes.Equal(got, data)) {
			t.Errorf("packed and unpacked it has %d bytes, %v; want %d", len(got), err, len(data))
		}
	})
}
