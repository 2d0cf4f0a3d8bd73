package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/evid/evid/internal/miclient"
)

// format says how commands print.
type format struct {
	Output string `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"text for people (the default), or json for programs."`
}

func (f format) json() bool { return f.Output == "json" }

// client are the flags of commands that talk to a daemon.
type client struct {
	URL   string `name:"mi" env:"EVID_MI" placeholder:"URL" help:"The daemon's MI, by default http://127.0.0.1:8888/mi."`
	Token string `env:"EVID_TOKEN" placeholder:"TOKEN" help:"The bearer token that the daemon asks for."`
	format
}

// call carries out one MI command. An empty params is none.
func (c client) call(command string, params any) (json.RawMessage, error) {
	url := c.URL
	if url == "" {
		url = miclient.DefaultURL
	}
	mi, err := miclient.New(url, c.Token)
	if err != nil {
		return nil, &failure{err, "", exitUsage}
	}
	defer mi.Close()
	return mi.Call(context.Background(), command, params)
}

type eventsCmd struct {
	client
}

func (cmd *eventsCmd) Run(con *console) error {
	result, err := cmd.call("events_list", nil)
	if err != nil {
		return fmt.Errorf("list events: %w", err)
	}
	if cmd.json() {
		return printJSON(con.stdout, result)
	}
	return printEvents(con.stdout, result)
}

type subscribersCmd struct {
	Event   string `arg:"" optional:"" help:"Only those of this event."`
	Socket  string `arg:"" optional:"" help:"Only this one of them."`
	Verbose bool   `short:"v" help:"Tell how each is doing."`
	client
}

// Help is what "evid subscribers --help" adds.
func (*subscribersCmd) Help() string {
	return `With -v, STATE is up, retrying (an event that it refused will be tried again) or down (it cannot be reached, ` +
		`or does not answer as it should); WAITING and DELIVERED are events, FAILED is attempts. Times are in UTC.`
}

func (cmd *subscribersCmd) Run(con *console) error {
	params := map[string]string{}
	if cmd.Event != "" {
		params["event"] = cmd.Event
	}
	if cmd.Socket != "" {
		params["socket"] = cmd.Socket
	}
	if cmd.Verbose {
		params["verbose"] = "1"
	}
	result, err := cmd.call("subscribers_list", params)
	if err != nil {
		return fmt.Errorf("list subscribers: %w", err)
	}
	if cmd.json() {
		return printJSON(con.stdout, result)
	}
	return printSubscribers(con.stdout, result, cmd.Verbose)
}

type subscribeCmd struct {
	Event  string `arg:"" help:"The event's name."`
	Socket string `arg:"" help:"Where to deliver: xmlrpc:HOST:PORT[/PATH]:METHOD[;OPTION=VALUE…]."`
	Expire string `default:"3600" placeholder:"N" help:"Expire in N seconds (default ${default}), or \"never\"."`
	client
}

// Validate checks what kong cannot.
func (cmd *subscribeCmd) Validate() error {
	if n, err := strconv.Atoi(cmd.Expire); cmd.Expire != "never" && (err != nil || n <= 0) {
		return fmt.Errorf(`--expire: expected seconds above 0 or "never", got %q`, cmd.Expire)
	}
	return nil
}

func (cmd *subscribeCmd) Run(con *console) error {
	result, err := cmd.call("event_subscribe", map[string]string{
		"event": cmd.Event, "socket": cmd.Socket, "expire": cmd.Expire,
	})
	if err != nil {
		return fmt.Errorf("subscribe %s to %s: %w", cmd.Socket, cmd.Event, err)
	}
	return printResult(con.stdout, result, cmd.json())
}

type unsubscribeCmd struct {
	Event  string `arg:"" help:"The event's name."`
	Socket string `arg:"" help:"The socket that was subscribed."`
	client
}

func (cmd *unsubscribeCmd) Run(con *console) error {
	result, err := cmd.call("event_unsubscribe", map[string]string{"event": cmd.Event, "socket": cmd.Socket})
	if err != nil {
		return fmt.Errorf("unsubscribe %s from %s: %w", cmd.Socket, cmd.Event, err)
	}
	return printResult(con.stdout, result, cmd.json())
}

type registerCmd struct {
	Events []string `arg:"" name:"event" help:"Names, each up to 64 bytes."`
	client
}

func (cmd *registerCmd) Run(con *console) error {
	var result json.RawMessage
	for _, event := range cmd.Events {
		var err error
		if result, err = cmd.call("event_register", map[string]string{"event": event}); err != nil {
			return fmt.Errorf("register %s: %w", event, err)
		}
	}
	return printResult(con.stdout, result, cmd.json())
}
