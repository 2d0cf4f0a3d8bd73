package jetstream_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/evid/evid/modparam"
	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
	"github.com/evid/evid/queue/storetest"
)

func TestEmbedded(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Opener {
		p := inDir(filepath.Join(t.TempDir(), "new", "queue"))
		return func(t *testing.T) queue.Store { return open(t, p) }
	})
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	readOnly := mountTmpfs(t, "1m")
	if err := unix.Mount("", readOnly, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	used := filepath.Join(dir, "used")
	open(t, inDir(used))
	wrong := inDir(dir)
	wrong.Sync = "sometimes"
	for _, test := range []struct {
		p    jetstream.Params
		want string
	}{
		{inDir(used), fmt.Sprintf("open queue %s: another evid uses it (process %d)", used, os.Getpid())},
		{inDir(file), fmt.Sprintf("open queue %s: expected a directory, it is a file", file)},
		{inDir(file + "/queue"), fmt.Sprintf("open queue %s/queue: make its parent: mkdir %s: not a directory", file, file)},
		{inDir(readOnly), fmt.Sprintf("open queue %s: lock the directory: open %s/lock: read-only file system", readOnly, readOnly)},
		{inDir(readOnly + "/queue"), fmt.Sprintf("open queue %s/queue: make the directory: mkdir %s/queue: read-only file system", readOnly, readOnly)},
		{wrong, `open queue: sync: expected always, never, or a time from 10ms to 1h0m0s such as 1s, got "sometimes"`},
	} {
		_, err := jetstream.Open(test.p, nil)
		if err == nil || err.Error() != test.want {
			t.Errorf("got %v\nwant %s", err, test.want)
		}
	}
	info, err := os.Stat(used)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v, %v; want 0700", info.Mode(), err)
	}
}

func TestNoListener(t *testing.T) {
	open(t, inDir(t.TempDir()))
	// Sockets of this process, and the listeners there are.
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	mine := map[string]bool{}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && strings.HasPrefix(to, "socket:[") {
			mine[strings.Trim(to, "socket:[]")] = true
		}
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue // no IPv6
		}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && mine[f[9]] {
				t.Errorf("a port is listened on: %s", line)
			}
		}
	}
}

func TestModparams(t *testing.T) {
	t.Parallel()
	p := jetstream.DefaultParams()
	for _, test := range []struct{ name, text, want string }{
		{"sync", "always", "always"},
		{"sync", "never", "never"},
		{"sync", "1s", "1s"},
		{"commit_timeout", "2s", "2000"},
		{"nats_url", "nats://me:secret@host:4222,tls://other:4222", "nats://xxxxx@host:4222,tls://other:4222"},
		{"nats_prefix", "evid_2", "evid_2"},
		{"dir", "/var/lib/evid", "/var/lib/evid"},
	} {
		if err := modparam.Assign(p.Modparams(), test.name, test.text, modparam.Text); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		param, err := modparam.Find(p.Modparams(), test.name)
		if err != nil {
			t.Fatal(err)
		}
		if got := param.Value.String(); got != test.want {
			t.Errorf("%s is %q, want %q", test.name, got, test.want)
		}
	}
	for _, test := range []struct{ name, text, want string }{
		{"sync", "1", "expected always, never, or a time"},
		{"sync", "1ns", "expected always, never, or a time"},
		{"nats_url", "host:4222", "expected nats://host:port"},
		{"nats_url", "nats://me:secret@", `expected nats://host:port or tls://host:port, got "nats://xxxxx@"`},
		{"nats_prefix", "a.b", "expected up to 64 letters"},
		{"commit_timeout", "1h", ""},
	} {
		err := modparam.Assign(p.Modparams(), test.name, test.text, modparam.Text)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s %q: got %v, want %q", test.name, test.text, err, test.want)
		}
	}
}

func TestDirectory(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("STATE_DIRECTORY", "")
	p := jetstream.DefaultParams()
	want := func(want string) {
		t.Helper()
		if got, err := p.Directory(); err != nil || got != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
	want(home + "/.local/state/evid")
	t.Setenv("XDG_STATE_HOME", "/state")
	want("/state/evid")
	t.Setenv("STATE_DIRECTORY", "/var/lib/evid:/var/lib/other")
	want("/var/lib/evid")
	p.Dir = "/here"
	want("/here")
}

func TestFree(t *testing.T) {
	t.Parallel()
	s := open(t, inDir(mountTmpfs(t, "4m")))
	free, known := s.Free()
	if !known || free == 0 || free > 4<<20 {
		t.Errorf("got %d, %t; want up to 4 MB", free, known)
	}
	s.Close() // before it is unmounted
}

func TestVerify(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "queue")
	s := open(t, inDir(dir))
	for last := range uint64(5) {
		appendTo(t, s, queue.EventLog, last, fmt.Sprint("event ", last+1))
	}
	appendTo(t, s, queue.LetterLog, 0, "letter")
	if err := s.Trim(queue.EventLog, 3); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(queue.EventLog, 4); err != nil {
		t.Fatal(err)
	}
	var got []string
	each := func(j queue.Journal, e queue.Entry) error {
		got = append(got, fmt.Sprintf("%s %d %s", j, e.Pos, e.Data))
		return nil
	}
	_, err := jetstream.Verify(dir, each)
	if want := fmt.Sprintf("verify queue %s: an evid uses it (process %d): stop that first", dir, os.Getpid()); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	reports, err := jetstream.Verify(dir, each)
	if err != nil {
		t.Fatal(err)
	}
	if want := "events 3 event 3, events 5 event 5, letters 1 letter"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %s", got, want)
	}
	r := reports[queue.EventLog]
	if len(reports) != int(queue.Journals) || r.Info.First != 3 || r.Info.Last != 5 || r.Info.Entries != 2 || len(r.Damage) != 0 {
		t.Errorf("got %+v", reports)
	}
	if _, err := jetstream.Verify(dir, func(queue.Journal, queue.Entry) error { return errors.New("bad chunk") }); err == nil ||
		!strings.Contains(err.Error(), "entry 3 of events: bad chunk") {
		t.Errorf("got %v, want the callback's error", err)
	}
	if after := snapshot(t, dir); after != before {
		t.Errorf("something has changed:\n%s\nnow\n%s", before, after)
	}
	if files, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(files) != 1 {
		t.Errorf("the copy is still there: %v, %v", files, err)
	}
	if _, err := jetstream.Verify(t.TempDir(), each); err == nil || !strings.Contains(err.Error(), "expected the directory of a queue") {
		t.Errorf("got %v, want that this is no queue", err)
	}
}
