package jetstream_test

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
	"github.com/evid/evid/queue/storetest"
)

const eventsDir = "jetstream/$G/streams/evid-events"

// A filled directory has 300 entries of 64 KB in three files: 1 to 127, 128 to 254, and
// the rest.
func filledDir(t *testing.T) string {
	t.Helper()
	dir := mountTmpfs(t, "100m")
	p := inDir(dir)
	p.Sync = jetstream.SyncNever
	s := open(t, p)
	for last := range uint64(300) {
		entry := storetest.Noise(64 << 10)
		copy(entry, fmt.Sprint(last+1, " "))
		if _, err := s.Append(queue.EventLog, last, entry); err != nil {
			t.Fatal(err)
		}
	}
	appendTo(t, s, queue.StateLog, 0, "state")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// change changes a file of the event log.
func change(t *testing.T, dir, name string, how func(data []byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, eventsDir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, how(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func flip(at int) func([]byte) []byte {
	return func(data []byte) []byte {
		if at < 0 {
			at += len(data)
		}
		data[at] ^= 1
		return data
	}
}

func cut(n int) func([]byte) []byte {
	return func(data []byte) []byte { return data[:len(data)-n] }
}

func empty([]byte) []byte { return nil }

func removeFile(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, eventsDir, name)); err != nil {
		t.Fatal(err)
	}
}

// ranges says what positions there are.
func ranges(entries []queue.Entry) string {
	var parts []string
	for i := 0; i < len(entries); {
		from := i
		for i++; i < len(entries) && entries[i].Pos == entries[i-1].Pos+1; i++ {
		}
		parts = append(parts, fmt.Sprintf("%d-%d", entries[from].Pos, entries[i-1].Pos))
	}
	return strings.Join(parts, " ")
}

// Whatever happens to the files, the store starts, keeps what there is, and says what was
// lost; what was damaged is not thrown away.
func TestDamage(t *testing.T) {
	const record = 65680 // bytes of an entry in a file
	filled := os.DirFS(filledDir(t))
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		have   string   // the positions that are left
		next   uint64   // the next position
		say    []string // what is said
		aside  []string // files in damaged-1
	}{
		{
			"nothing", func(*testing.T, string) {}, "1-300", 301, nil, nil,
		},
		{
			"bit in the oldest file", func(t *testing.T, dir string) { change(t, dir, "msgs/1.blk", flip(4<<20)) },
			"1-63 65-300", 301,
			[]string{"events: entry 64 is lost: 1.blk is damaged at byte "},
			[]string{"evid-events-1.blk-at-"},
		},
		{
			"bit in a length", func(t *testing.T, dir string) { change(t, dir, "msgs/1.blk", flip(2)) },
			"2-300", 301,
			[]string{"events: entries before 2 are lost: 1.blk is damaged at byte 0"},
			[]string{"evid-events-1.blk-at-0"},
		},
		{
			"two bits after a crash", func(t *testing.T, dir string) {
				change(t, dir, "msgs/2.blk", flip(1<<20))
				change(t, dir, "msgs/3.blk", flip(1<<20))
				removeFile(t, dir, "msgs/index.db")
				os.Remove(filepath.Join(dir, "clean"))
			},
			"1-142 144-269 271-300", 301,
			[]string{"events: entry 143 is lost: 2.blk", "events: entry 270 is lost: 3.blk"},
			[]string{"evid-events-2.blk-at-", "evid-events-3.blk-at-"},
		},
		{
			"the last bit", func(t *testing.T, dir string) { change(t, dir, "msgs/3.blk", flip(-1)) },
			"1-299", 301,
			[]string{"events: what was written last, after entry 299, is incomplete or damaged: 3.blk"},
			[]string{"evid-events-3.blk-at-"},
		},
		{
			"oldest file cut", func(t *testing.T, dir string) { change(t, dir, "msgs/1.blk", cut(100_000)) },
			"1-125 128-300", 301,
			[]string{"events: entries after 125 are lost: 1.blk is damaged at byte "},
			[]string{"evid-events-1.blk-at-"},
		},
		{
			"newest file cut", func(t *testing.T, dir string) { change(t, dir, "msgs/3.blk", cut(record/2)) },
			"1-299", 301, // the index knew of 300
			[]string{"events: what was written last, after entry 299, is incomplete or damaged: 3.blk"},
			[]string{"evid-events-3.blk-at-"},
		},
		{
			"oldest file empty", func(t *testing.T, dir string) { change(t, dir, "msgs/1.blk", empty) },
			"128-300", 301,
			[]string{"events: entries before those in 2.blk are lost: 1.blk is empty"},
			[]string{"evid-events-1.blk"},
		},
		{
			"oldest file gone", func(t *testing.T, dir string) { removeFile(t, dir, "msgs/1.blk") },
			"128-300", 301,
			[]string{"could not locate msg block 1"},
			nil,
		},
		{
			"middle file gone", func(t *testing.T, dir string) { removeFile(t, dir, "msgs/2.blk") },
			"1-127 255-300", 301,
			[]string{"events: 127 entries from 128 to 254 are lost: 2.blk is missing"},
			[]string{"evid-events-2.blk-is-missing"},
		},
		{
			"newest file gone", func(t *testing.T, dir string) { removeFile(t, dir, "msgs/3.blk") },
			"1-254", 301,
			[]string{"could not locate msg block 3"},
			nil,
		},
		{
			"index gone", func(t *testing.T, dir string) { removeFile(t, dir, "msgs/index.db") },
			"1-300", 301, nil, nil,
		},
		{
			"index damaged", func(t *testing.T, dir string) { change(t, dir, "msgs/index.db", flip(20)) },
			"1-300", 301, nil, nil,
		},
		{
			"index empty", func(t *testing.T, dir string) { change(t, dir, "msgs/index.db", empty) },
			"1-300", 301, nil, nil,
		},
		{
			"description damaged", func(t *testing.T, dir string) { change(t, dir, "meta.inf", flip(20)) },
			"1-300", 301,
			[]string{"events: its description was damaged"},
			[]string{"evid-events-meta.inf", "evid-events-meta.sum"},
		},
		{
			"description empty", func(t *testing.T, dir string) { change(t, dir, "meta.inf", empty) },
			"1-300", 301,
			[]string{"events: its description was damaged"},
			[]string{"evid-events-meta.inf", "evid-events-meta.sum"},
		},
		{
			"description gone", func(t *testing.T, dir string) { removeFile(t, dir, "meta.inf") },
			"1-300", 301, nil, nil,
		},
		{
			"sum gone", func(t *testing.T, dir string) { removeFile(t, dir, "meta.sum") },
			"1-300", 301,
			[]string{"events: its description was damaged"},
			[]string{"evid-events-meta.inf"},
		},
		{
			"files gone", func(t *testing.T, dir string) { removeFile(t, dir, "msgs") },
			"", 1,
			[]string{"events: all of it is lost: there are no files in evid-events/msgs"},
			nil,
		},
		{
			"all gone", func(t *testing.T, dir string) { removeFile(t, dir, "") },
			"", 1,
			[]string{"events: all of it is lost: there is no directory evid-events"},
			nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(mountTmpfs(t, "100m"), "queue")
			if err := os.CopyFS(dir, filled); err != nil {
				t.Fatal(err)
			}
			test.damage(t, dir)
			if strings.Contains(test.name, "bit") { // reading all is slow with the race detector
				wantVerified(t, dir, test.say)
			}
			log := &logBuffer{}
			p := inDir(dir)
			p.Sync = jetstream.SyncNever
			s := openLogged(t, p, log.logger())
			wantSaid(t, "open", s.Damage(), test.say)
			for _, say := range test.say {
				if !strings.Contains(log.String(), say) {
					t.Errorf("the log does not say %q:\n%s", say, log)
				}
			}
			all := readAll(t, s, queue.EventLog, 1)
			if got := ranges(all); got != test.have {
				t.Errorf("it has %s, want %s", got, test.have)
			}
			for _, e := range all {
				if len(e.Data) != 64<<10 || !strings.HasPrefix(string(e.Data), fmt.Sprint(e.Pos, " ")) {
					t.Fatalf("entry %d has %d bytes and begins with %q", e.Pos, len(e.Data), e.Data[:10])
				}
			}
			appendTo(t, s, queue.EventLog, test.next-1, "goes on")
			if all := readAll(t, s, queue.StateLog, 1); len(all) != 1 || string(all[0].Data) != "state" {
				t.Errorf("the other journal has %d entries, want its one", len(all))
			}
			wantAside(t, dir, test.aside)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, p)
			defer s.Close() // before it is unmounted
			if got := s.Damage(); len(got) > 0 {
				t.Errorf("opened again it says %q", got)
			}
			if info, err := s.Info(queue.EventLog); err != nil || info.Entries != uint64(len(all)+1) {
				t.Errorf("opened again it has %+v, %v; want %d entries", info, err, len(all)+1)
			}
		})
	}
}

// wantVerified sees that Verify finds the same, and changes nothing.
func wantVerified(t *testing.T, dir string, say []string) {
	t.Helper()
	before := snapshot(t, dir)
	reports, err := jetstream.Verify(dir, func(queue.Journal, queue.Entry) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	wantSaid(t, "verify", reports[queue.EventLog].Damage, say)
	if after := snapshot(t, dir); after != before {
		t.Errorf("verify has changed the directory:\n%s\nnow\n%s", before, after)
	}
}

func wantSaid(t *testing.T, who string, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %q, want %q", who, got, want)
		return
	}
	for i := range want {
		if !strings.Contains(who+": events: "+got[i], strings.TrimPrefix(want[i], "events: ")) {
			t.Errorf("%s: got %q, want %q", who, got[i], want[i])
		}
	}
}

func wantAside(t *testing.T, dir string, want []string) {
	t.Helper()
	files, _ := os.ReadDir(filepath.Join(dir, "damaged-1"))
	if len(files) != len(want) {
		t.Errorf("%d files are set aside, want %q", len(files), want)
		return
	}
	for i, f := range files {
		if info, err := f.Info(); err != nil || !strings.HasPrefix(f.Name(), want[i]) {
			t.Errorf("%v is set aside, want %q", info, want[i])
		}
	}
}

// snapshot says what files there are, and what is in them, about.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		var sum uint32
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = crc32.ChecksumIEEE(data)
		}
		lines = append(lines, fmt.Sprintf("%s %v %d %v %x", path, info.Mode(), info.Size(), info.ModTime(), sum))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
