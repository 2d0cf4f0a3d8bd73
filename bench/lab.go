package main

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

//go:embed ref interop
var programs embed.FS

// A lab is what the experiments work with: the compiled programs, ports and times.
type lab struct {
	dir     string // of the programs; removed at the end
	self    string // this program
	nodes   string // the npm packages
	evid    string // the program evid
	host    string // where sinks listen
	port    int    // their first one
	seconds time.Duration
}

// newLab unpacks and compiles the programs. It is to be closed.
func newLab(ctx context.Context, opts options) (*lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	nodes, err := filepath.Abs(opts.nodes)
	if err != nil {
		return nil, fmt.Errorf("find npm packages: %w", err)
	}
	dir, err := os.MkdirTemp("", "evid-bench-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	l := &lab{dir: dir, self: self, nodes: nodes, evid: opts.evid, host: ownHost(), port: opts.port, seconds: opts.seconds}
	if err := l.prepare(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *lab) prepare(ctx context.Context) error {
	if err := os.CopyFS(l.dir, programs); err != nil {
		return fmt.Errorf("unpack programs: %w", err)
	}
	sources, err := fs.Glob(programs, "ref/*.c")
	if err != nil {
		return fmt.Errorf("list programs: %w", err)
	}
	for _, source := range sources {
		binary := source[:len(source)-len(".c")]
		if err := l.compile(ctx, source, binary); err != nil {
			return err
		}
	}
	return nil
}

// compile compiles a C program; both paths are below the lab's directory.
func (l *lab) compile(ctx context.Context, source, binary string, flags ...string) error {
	args := append([]string{"-O2", "-Wall", "-Wextra", "-o", l.path(binary), l.path(source)}, flags...)
	if output, err := exec.CommandContext(ctx, "gcc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile %s: %w\n%s", source, err, output)
	}
	return nil
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

func (l *lab) close() { os.RemoveAll(l.dir) }

// ownHost returns an address of the loopback network that hardly anybody else uses, so that
// the ports of two who measure, or of others, are not in each other's way.
func ownHost() string {
	part := func() int { return 1 + rand.N(254) }
	return fmt.Sprintf("127.%d.%d.%d", part(), part(), part())
}
