package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/evid/evid/internal/miclient"
	"github.com/evid/evid/mi"
)

type miCmd struct {
	Command string   `arg:"" help:"The command, such as uptime; \"which\" lists all."`
	Args    []string `arg:"" optional:"" name:"arg" help:"NAME=VALUE for all parameters, or their VALUEs in order."`
	Params  string   `short:"j" placeholder:"JSON" help:"The parameters as a JSON array or object, in place of ARGs."`
	client
}

// Help is what "evid mi --help" adds.
func (*miCmd) Help() string {
	return `All values are sent as strings, which MI commands take for numbers, too; ` +
		`those of get_statistics, list_statistics and reset_statistics as the array that these need. ` +
		`Any other array is written as JSON: evid mi raise_event -j '["E_X", ["a", "b"]]'. ` +
		`Write = in front of a VALUE that looks like NAME=VALUE or begins with -: evid mi log_level =-1.`
}

func (cmd *miCmd) params() (any, error) {
	if cmd.Params == "" {
		params, err := miParams(cmd.Args)
		if values, positional := params.([]string); positional && takesArray(cmd.Command) {
			return [][]string{values}, err
		}
		return params, err
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

// takesArray reports whether a command has one parameter that is an array. As in
// opensips-cli, its values are then written one after the other.
func takesArray(command string) bool {
	switch command {
	case "get_statistics", "list_statistics", "reset_statistics",
		"statistics:get", "statistics:list", "statistics:reset":
		return true
	default:
		return false
	}
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
		err = fmt.Errorf("%s: %w", cmd.Command, err)
		if refused, ok := errors.AsType[*miclient.Error](err); ok && refused.Code == mi.CodeInvalidParams {
			return &failure{err, cmd.usage(), exitFailed}
		}
		return err
	}
	return printResult(con.stdout, result, cmd.json())
}

// usage says which parameters the command takes, empty if the daemon does not
// tell.
func (cmd *miCmd) usage() string {
	result, err := cmd.call("which", []string{cmd.Command})
	var lists [][]string
	if err != nil || json.Unmarshal(result, &lists) != nil || len(lists) == 0 {
		return ""
	}
	usages := make([]string, len(lists))
	for i, names := range lists {
		usages[i] = cmp.Or(strings.Join(names, " "), "none")
	}
	return "its parameters are: " + strings.Join(usages, "; or: ")
}
