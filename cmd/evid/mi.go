package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

type miCmd struct {
	Command string   `arg:"" help:"The command, such as uptime; \"which\" lists all."`
	Args    []string `arg:"" optional:"" name:"arg" help:"NAME=VALUE for all parameters, or their VALUEs in order."`
	Params  string   `short:"j" placeholder:"JSON" help:"The parameters as a JSON array or object, in place of ARGs."`
	client
}

// Help is what "evid mi --help" adds.
func (*miCmd) Help() string {
	return `All values are sent as strings, which MI commands take for numbers, too. ` +
		`What needs an array is written as JSON: evid mi get_statistics -j '[["core:"]]'. ` +
		`Write = in front of a VALUE that looks like NAME=VALUE.`
}

func (cmd *miCmd) params() (any, error) {
	if cmd.Params == "" {
		return miParams(cmd.Args)
	}
	if len(cmd.Args) > 0 {
		return nil, errors.New("expected either ARGs or -j, got both")
	}
	text := strings.TrimSpace(cmd.Params)
	if !json.Valid([]byte(text)) || !strings.ContainsAny(text[:1], "[{") {
		return nil, fmt.Errorf("-j: expected a JSON array or object, got %q", cmd.Params)
	}
	return json.RawMessage(text), nil
}

// Validate checks what kong cannot.
func (cmd *miCmd) Validate() error {
	_, err := cmd.params()
	return err
}

func (cmd *miCmd) Run(con *console) error {
	params, err := cmd.params()
	if err != nil {
		return err
	}
	result, err := cmd.call(cmd.Command, params)
	if err != nil {
		return fmt.Errorf("%s: %w", cmd.Command, err)
	}
	return printResult(con.stdout, result, cmd.json())
}
