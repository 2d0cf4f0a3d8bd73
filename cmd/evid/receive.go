package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/evid/evid/internal/receiver"
)

type receiveCmd struct {
	Addr   string        `arg:"" optional:"" default:"127.0.0.1:8081" help:"Where to listen (default ${default}); port 0 takes a free one."`
	Fault  int           `xor:"answer" placeholder:"CODE" help:"Answer each call with this fault."`
	Status int           `xor:"answer" placeholder:"CODE" help:"Answer each call with this HTTP status, 200 to 599."`
	Silent bool          `xor:"answer,delay" help:"Read each call and never answer."`
	Delay  time.Duration `xor:"delay" placeholder:"DURATION" help:"Answer this much later: 500ms, 2s."`
	format
}

// Help is what "evid receive --help" adds.
func (*receiveCmd) Help() string {
	return `It prints one line for each call: the method, the event's name and its parameters, strings in quotes. ` +
		`It answers every method at every path, and system.multicall, until SIGINT or SIGTERM.`
}

// Validate checks what kong cannot.
func (cmd *receiveCmd) Validate() error {
	switch {
	case cmd.Status != 0 && (cmd.Status < 200 || cmd.Status > 599):
		return fmt.Errorf("--status: expected a status from 200 to 599, got %d", cmd.Status)
	case cmd.Delay < 0:
		return fmt.Errorf("--delay: expected 0 or more, got %v", cmd.Delay)
	default:
		return nil
	}
}

func (cmd *receiveCmd) Run(con *console) error {
	interrupted, _, release := interrupts()
	r := receiver.New(receiver.Options{
		Addr: cmd.Addr, Fault: cmd.Fault, Status: cmd.Status, Silent: cmd.Silent, Delay: cmd.Delay,
		OnCall:    func(c receiver.Call) { cmd.print(con, c) },
		OnRefused: func(err error) { fmt.Fprintf(con.stderr, "evid: %v\n", err) },
	})
	if err := r.Start(); err != nil {
		release()
		if errors.Is(err, syscall.EADDRINUSE) {
			return &failure{err, "listen elsewhere, such as: evid receive 127.0.0.1:8082", exitFailed}
		}
		return err
	}
	fmt.Fprintf(con.stderr, "listening on %s\n", r.Addr())
	<-interrupted.Done()
	release() // a second signal kills it, should Stop hang because nobody reads its output
	r.Stop()
	return nil
}

func (cmd *receiveCmd) print(con *console, c receiver.Call) {
	var err error
	if cmd.json() {
		enc := json.NewEncoder(con.stdout)
		enc.SetEscapeHTML(false)
		err = enc.Encode(c)
	} else {
		_, err = fmt.Fprintln(con.stdout, c)
	}
	if err != nil {
		fmt.Fprintf(con.stderr, "evid: print call: %v\n", err)
	}
}
