package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/queue/jetstream"
)

type runCmd struct {
	File        *string        `short:"f" xor:"config" placeholder:"FILE" help:"The configuration; without it, the built-in one."`
	PrintConfig bool           `xor:"config" help:"Print the built-in configuration and do nothing else."`
	Memory      int            `short:"m" placeholder:"MB" help:"The memory that it should do with, in megabytes: it frees more eagerly when it comes near, and event_shm_threshold and event_pkg_threshold are parts of it."`
	Drain       *time.Duration `placeholder:"DURATION" help:"When told to stop, go on delivering what waits for at most this long (default 2s; 10s if events are in memory only)."`
}

// Help is what "evid run --help" adds.
func (*runCmd) Help() string {
	return "SIGTERM, SIGINT or SIGHUP stops it once what waits has been delivered; a second one stops it at once."
}

// Validate checks what kong cannot.
func (cmd *runCmd) Validate() error {
	switch {
	case cmd.Memory < 0 || cmd.Memory > maxMemory:
		return fmt.Errorf("-m: expected 1 to %d MB, got %d", maxMemory, cmd.Memory)
	case cmd.Drain != nil && *cmd.Drain < 0:
		return fmt.Errorf("--drain: expected 0 or more, got %v", *cmd.Drain)
	case cmd.File != nil && *cmd.File == "":
		return errNoFile
	default:
		return nil
	}
}

// maxMemory is what nobody has, in megabytes.
const maxMemory = 1 << 24

// errNoFile is what a script with an unset variable is told.
var errNoFile = errors.New("--file: expected a file, got an empty name")

func (cmd *runCmd) Run(con *console) error {
	if cmd.PrintConfig {
		_, err := fmt.Fprint(con.stdout, daemon.DefaultConfig())
		return err
	}
	signal.Ignore(syscall.SIGPIPE) // who reads the log may go; what waits is delivered all the same
	stop, abort, release := interrupts()
	defer release()
	name := ""
	if cmd.File != nil {
		name = *cmd.File
	}
	d, err := daemon.New(daemon.Options{
		ConfigFile: name, Version: version, Revision: revision(), Memory: uint64(cmd.Memory) << 20, Stderr: con.stderr,
	})
	if err != nil {
		return startError(configError(con.stderr, name, err))
	}
	if err := d.Start(stop); err != nil {
		return startError(err)
	}
	<-stop.Done()
	limit := d.DrainTime()
	if cmd.Drain != nil {
		limit = *cmd.Drain
	}
	drain, cancel := context.WithTimeout(abort, limit)
	defer cancel()
	return d.Stop(drain)
}

// startError adds what can be done about an error of starting.
func startError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &failure{err, `stop what listens there, or choose another port: that of MI with modparam("httpd", "port", 8889), that of SIP with socket=`, exitFailed}
	case errors.Is(err, jetstream.ErrInUse):
		return &failure{
			err, `stop that one, or give this one a queue of its own: modparam("queue", "dir", "/another/directory")`, exitFailed,
		}
	default:
		return err
	}
}
