package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/evid/evid/internal/daemon"
)

type runCmd struct {
	File        *string       `short:"f" xor:"config" placeholder:"FILE" help:"The configuration; without it, the built-in one."`
	PrintConfig bool          `xor:"config" help:"Print the built-in configuration and do nothing else."`
	Drain       time.Duration `default:"10s" placeholder:"DURATION" help:"When told to stop, go on delivering what waits for at most this long (default ${default})."`
}

// Help is what "evid run --help" adds.
func (*runCmd) Help() string {
	return "SIGTERM, SIGINT or SIGHUP stops it once what waits has been delivered; a second one stops it at once."
}

// Validate checks what kong cannot.
func (cmd *runCmd) Validate() error {
	switch {
	case cmd.Drain < 0:
		return fmt.Errorf("--drain: expected 0 or more, got %v", cmd.Drain)
	case cmd.File != nil && *cmd.File == "":
		return errNoFile
	default:
		return nil
	}
}

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
	d, err := daemon.New(daemon.Options{ConfigFile: name, Version: version, Revision: revision(), Stderr: con.stderr})
	if err != nil {
		return configError(con.stderr, name, err)
	}
	if err := d.Start(); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return &failure{err, `stop what listens there, or choose another port: modparam("httpd", "port", 8889)`, exitFailed}
		}
		return err
	}
	<-stop.Done()
	drain, cancel := context.WithTimeout(abort, cmd.Drain)
	defer cancel()
	return d.Stop(drain)
}
