package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/evid/evid/internal/daemon"
)

type runCmd struct {
	File        string        `short:"f" xor:"config" placeholder:"FILE" help:"The configuration; without it, the built-in one."`
	PrintConfig bool          `xor:"config" help:"Print the built-in configuration and do nothing else."`
	Drain       time.Duration `default:"10s" placeholder:"DURATION" help:"When told to stop, go on delivering what waits for at most this long (default ${default})."`
}

// Help is what "evid run --help" adds.
func (*runCmd) Help() string {
	return "SIGTERM or SIGINT stops it once what waits has been delivered; a second one stops it at once."
}

// Validate checks what kong cannot.
func (cmd *runCmd) Validate() error {
	if cmd.Drain < 0 {
		return fmt.Errorf("--drain: expected 0 or more, got %v", cmd.Drain)
	}
	return nil
}

func (cmd *runCmd) Run(con *console) error {
	if cmd.PrintConfig {
		_, err := fmt.Fprint(con.stdout, daemon.DefaultConfig())
		return err
	}
	stop, abort, release := interrupts()
	defer release()
	d, err := daemon.New(daemon.Options{ConfigFile: cmd.File, Version: version, Revision: revision(), Stderr: con.stderr})
	if err != nil {
		return configError(con.stderr, cmd.File, err)
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
