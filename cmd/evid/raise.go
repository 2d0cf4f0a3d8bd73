package main

import (
	"fmt"

	"github.com/evid/evid"
)

type raiseCmd struct {
	Event  string   `arg:"" help:"The event's name."`
	Params []string `arg:"" optional:"" name:"param" help:"NAME=VALUE, or a VALUE without a name."`
	Text   bool     `short:"t" help:"Send integers as text, too."`
	client
}

// Help is what "evid raise --help" adds.
func (*raiseCmd) Help() string {
	return `A parameter is NAME=VALUE if what stands before its first = is a name: letters, digits, '_', '.' and '-'. ` +
		`Anything else is a value without a name, such as sip:bob@10.0.0.1;tag=a; ` +
		`write = in front of one that looks like NAME=VALUE. ` +
		`A decimal integer is sent as an integer if 64 bits hold it; 007 and 1.5 are texts. ` +
		`A value that begins with - comes after --, or with = in front: =-5.`
}

func (cmd *raiseCmd) params() ([]evid.Param, error) {
	params := make([]evid.Param, len(cmd.Params))
	for i, arg := range cmd.Params {
		var err error
		if params[i], err = eventParam(arg, cmd.Text); err != nil {
			return nil, err
		}
	}
	return params, nil
}

// Validate checks what kong cannot.
func (cmd *raiseCmd) Validate() error {
	_, err := cmd.params()
	return err
}

func (cmd *raiseCmd) Run(con *console) error {
	params, err := cmd.params()
	if err != nil {
		return err
	}
	args, err := raiseArgs(cmd.Event, params)
	if err != nil {
		return err
	}
	result, err := cmd.call("raise_event", args)
	if err != nil {
		return fmt.Errorf("raise %s: %w", cmd.Event, err)
	}
	return printResult(con.stdout, result, cmd.json())
}
