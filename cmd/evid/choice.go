package main

import (
	"errors"
	"strconv"
)

// choice says which dead letters a command is about: all, if nothing is given. What
// is given and empty, by a script with an unset variable, does not mean all.
type choice struct {
	Event  *string `arg:"" optional:"" help:"Only those of this event."`
	Socket *string `arg:"" optional:"" help:"Of these, only those of this subscriber."`
	Letter *uint64 `placeholder:"N" help:"Only dead letter N."`
}

// Validate checks what kong cannot.
func (c *choice) Validate() error {
	switch {
	case c.Letter != nil && c.Event != nil:
		return errors.New("expected either EVENT or --letter, got both")
	case c.Event != nil && *c.Event == "":
		return errors.New("<event>: expected an event, got an empty name")
	case c.Socket != nil && *c.Socket == "":
		return errors.New("<socket>: expected a socket, got an empty one")
	default:
		return nil
	}
}

// params are those of an MI command about dead letters.
func (c *choice) params() map[string]string {
	params := map[string]string{}
	if c.Letter != nil {
		params["letter"] = strconv.FormatUint(*c.Letter, 10)
	}
	if c.Event != nil {
		params["event"] = *c.Event
	}
	if c.Socket != nil {
		params["socket"] = *c.Socket
	}
	return params
}
