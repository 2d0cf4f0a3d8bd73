package jetstream_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/jetstream"
)

// A disk is a file system whose writes can be made to hang.
type disk struct {
	mu    sync.Mutex
	gate  chan struct{} // closed: writes go on
	hangs bool
}

func (d *disk) hang() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.hangs {
		d.hangs, d.gate = true, make(chan struct{})
	}
}

func (d *disk) answer() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hangs {
		d.hangs = false
		close(d.gate)
	}
}

func (d *disk) wait() {
	d.mu.Lock()
	gate := d.gate
	d.mu.Unlock()
	<-gate
}

// mountDisk mounts a disk, and makes sure that it answers in the end.
func mountDisk(t *testing.T) (*disk, string) {
	t.Helper()
	d := &disk{gate: make(chan struct{})}
	close(d.gate)
	root := &fs.LoopbackRoot{Path: t.TempDir()}
	node := &diskNode{LoopbackNode: &fs.LoopbackNode{RootData: root}, disk: d}
	root.RootNode = node
	dir := t.TempDir()
	server, err := fs.Mount(dir, node, &fs.Options{MountOptions: fuse.MountOptions{DirectMountStrict: true}})
	if err != nil {
		t.Fatalf("mount a FUSE file system: %v (run as root, with /dev/fuse)", err)
	}
	// A process with a file system in it that hangs cannot even be killed.
	rescue := time.AfterFunc(20*time.Second, d.answer)
	t.Cleanup(func() {
		rescue.Stop()
		d.answer()
		until(t, 10*time.Second, "the FUSE file system is unmounted", func() bool { return server.Unmount() == nil })
	})
	return d, dir
}

type diskNode struct {
	*fs.LoopbackNode
	disk *disk
}

// WrapChild makes what is found below the root one of these, too.
func (n *diskNode) WrapChild(_ context.Context, ops fs.InodeEmbedder) fs.InodeEmbedder {
	return &diskNode{LoopbackNode: ops.(*fs.LoopbackNode), disk: n.disk}
}

func (n *diskNode) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	h, f, errno := n.LoopbackNode.Open(ctx, flags)
	return n.wrap(h), f, errno
}

func (n *diskNode) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, h, f, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return inode, n.wrap(h), f, errno
}

func (n *diskNode) wrap(h fs.FileHandle) fs.FileHandle {
	if f, ok := h.(*fs.LoopbackFile); ok {
		return &diskFile{LoopbackFile: f, disk: n.disk}
	}
	return h
}

type diskFile struct {
	*fs.LoopbackFile
	disk *disk
}

// PassthroughFd keeps the kernel from writing past this file system.
func (f *diskFile) PassthroughFd() (int, bool) { return 0, false }

func (f *diskFile) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	f.disk.wait()
	return f.LoopbackFile.Write(ctx, data, off)
}

func (f *diskFile) Fsync(ctx context.Context, flags uint32) syscall.Errno {
	f.disk.wait()
	return f.LoopbackFile.Fsync(ctx, flags)
}

func hangingStore(t *testing.T) (*jetstream.Store, *disk, jetstream.Params) {
	t.Helper()
	d, dir := mountDisk(t)
	p := inDir(dir)
	p.CommitTimeout = time.Second
	s := open(t, p)
	for j := range queue.Journals {
		appendTo(t, s, j, 0, "one")
		appendTo(t, s, j, 1, "two")
	}
	return s, d, p
}

// within fails the test if something takes longer.
func within(t *testing.T, limit time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if d := time.Since(start); d > limit {
		t.Errorf("%s took %v, want at most %v", what, d, limit)
	}
}

// A disk that hangs holds up nobody longer than the time limit. When it answers, the store
// is well, and has what was acknowledged.
func TestDiskHangs(t *testing.T) {
	t.Parallel()
	s, d, _ := hangingStore(t)
	d.hang()
	within(t, 1500*time.Millisecond, "the append", func() {
		if _, err := s.Append(queue.EventLog, 2, []byte("three")); !errors.Is(err, queue.ErrUnconfirmed) {
			t.Errorf("got %v, want %v", err, queue.ErrUnconfirmed)
		}
	})
	within(t, 100*time.Millisecond, "the appends after it", func() {
		for j := range queue.Journals {
			if _, err := s.Append(j, 2, []byte("three")); !errors.Is(err, queue.ErrUnhealthy) {
				t.Errorf("got %v, want %v", err, queue.ErrUnhealthy)
			}
		}
		if err := s.Health(); err == nil || !strings.Contains(err.Error(), "an entry of events was not confirmed: no answer in 1s") {
			t.Errorf("health: got %v", err)
		}
	})
	// The journals that no write hangs in can be read.
	if all := readAll(t, s, queue.StateLog, 1); len(all) != 2 {
		t.Errorf("got %d entries, want 2", len(all))
	}
	within(t, 1500*time.Millisecond, "a read", func() { _, _ = s.Read(queue.EventLog, 1, make([]queue.Entry, 1)) })
	within(t, 1500*time.Millisecond, "a trim", func() {
		if err := s.Trim(queue.EventLog, 2); err == nil {
			t.Error("the disk hangs, and a trim succeeds")
		}
	})
	d.answer()
	until(t, 10*time.Second, "the store is well", func() bool { return s.Health() == nil })
	// The unconfirmed ones are settled.
	info, err := s.Info(queue.EventLog)
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, s, queue.EventLog, info.Last, "last")
	var got []string
	for _, e := range readAll(t, s, queue.EventLog, 1) {
		got = append(got, string(e.Data))
	}
	// The trim may have happened.
	if text := strings.TrimPrefix(strings.Join(got, " "), "one "); text != "two three last" && text != "two last" {
		t.Errorf("got %q", got)
	}
}

// A store on a disk that hangs is closed in time; until the disk answers, nobody else gets
// the directory.
func TestCloseOnDiskThatHangs(t *testing.T) {
	t.Parallel()
	s, d, p := hangingStore(t)
	d.hang()
	if _, err := s.Append(queue.EventLog, 2, []byte("three")); !errors.Is(err, queue.ErrUnconfirmed) {
		t.Errorf("got %v, want %v", err, queue.ErrUnconfirmed)
	}
	within(t, 2*time.Second, "Close", func() {
		err := s.Close()
		if err == nil || !strings.Contains(err.Error(), "the disk takes longer than 1.5s; the server is left behind") {
			t.Errorf("got %v", err)
		}
	})
	if _, err := jetstream.Open(p, nil); err == nil || !strings.Contains(err.Error(), "another evid uses it") {
		t.Errorf("open: got %v, want that another evid uses it", err)
	}
	d.answer()
	var again *jetstream.Store
	until(t, 10*time.Second, "the lock is released", func() (ok bool) {
		var err error
		again, err = jetstream.Open(p, nil)
		return err == nil
	})
	defer again.Close()
	if all := readAll(t, again, queue.EventLog, 1); len(all) < 2 || string(all[1].Data) != "two" {
		t.Errorf("got %d entries, want one and two at least", len(all))
	}
}
