package main

import (
	"encoding/json"
	"fmt"
)

type runRouteCmd struct {
	Route string   `arg:"" help:"The name in route[name]."`
	Args  []string `arg:"" optional:"" name:"arg" help:"Its parameters: $param(1) and so on."`
	client
}

// Help is what "evid run-route --help" adds.
func (*runRouteCmd) Help() string {
	return "It waits until the route has ended and says what it returned: above 0 is true, below is false, and 0 has ended the script."
}

func (cmd *runRouteCmd) Run(con *console) error {
	args := cmd.Args
	if args == nil {
		args = []string{} // kong leaves nil, which is no array
	}
	result, err := cmd.call("run_route", map[string]any{"route": cmd.Route, "args": args})
	if err != nil {
		return fmt.Errorf("run route[%s]: %w", cmd.Route, err)
	}
	if cmd.json() {
		return printJSON(con.stdout, result)
	}
	var done struct{ Return int64 }
	if err := json.Unmarshal(result, &done); err != nil {
		return fmt.Errorf("read what route[%s] returned: %w", cmd.Route, err)
	}
	_, err = fmt.Fprintf(con.stdout, "returned %d\n", done.Return)
	return err
}

type reloadCmd struct {
	client
}

// Help is what "evid reload --help" adds.
func (*reloadCmd) Help() string {
	return "Globals, modules and their parameters stay as they are. If anything is wrong, the routes that run stay, too."
}

func (cmd *reloadCmd) Run(con *console) error {
	result, err := cmd.call("reload_routes", nil)
	if err != nil {
		return fmt.Errorf("reload routes: %w", err)
	}
	return printResult(con.stdout, result, cmd.json())
}
