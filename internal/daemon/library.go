package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/script/core"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/sipreq"
	"github.com/evid/evid/transport/route"
)

// Library returns all that routes can use when every module is loaded, to be described. What
// is bound to it has no daemon: routes that raise events or subscribe cannot be run.
func Library() (program.Library, error) {
	return new(Daemon).library(&config{settings: newSettings()}, nil)
}

// library builds the parts of the modules, and returns what the routes of the script can
// use.
func (d *Daemon) library(c *config, schemes []evid.Transport) (program.Library, error) {
	events := &scriptEvents{d: d, sockets: evid.New(evid.Options{Transports: schemes}), lenient: len(c.wrong) > 0}
	for _, t := range schemes {
		events.schemes = append(events.schemes, t.Scheme())
	}
	library := core.Library(events, &d.stats)
	requests := sipreq.Library()
	library.Functions = append(library.Functions, requests.Functions...)
	library.Variables = append(append(library.Variables, requests.Variables...), hepVariable())
	for _, m := range c.settings.modules {
		if m.parts == nil {
			continue
		}
		parts, err := m.parts(d)
		if err != nil {
			c.blame(m.name, err)
			return program.Library{}, fmt.Errorf("module %s: %w", m.name, err)
		}
		library.Functions = append(library.Functions, parts.functions...)
		library.Variables = append(library.Variables, parts.variables...)
		if c.settings.loaded[m.name] {
			d.parts = append(d.parts, parts)
		}
	}
	library.Missing = missing()
	return library, nil
}

// moduleEvents are the events that the modules raise.
func (d *Daemon) moduleEvents() []string {
	var events []string
	for _, parts := range d.parts {
		events = append(events, parts.events...)
	}
	return events
}

// scriptEvents is the Event Interface as scripts use it. They are compiled before it is
// there.
type scriptEvents struct {
	d       *Daemon
	sockets *evid.Interface // knows the sockets of the modules
	schemes []string
	lenient bool // something else is wrong: it may be why a transport or a route is not there
}

// Raise implements [core.Events].
func (s *scriptEvents) Raise(ctx context.Context, event string, params ...evid.Param) (evid.ID, error) {
	return s.d.raise(ctx, event, params...)
}

// SubscribeFromScript implements [core.Events].
func (s *scriptEvents) SubscribeFromScript(event, socket string, expire time.Duration) error {
	return s.d.events.SubscribeFromScript(event, socket, expire)
}

// Unsubscribe implements [core.Events].
func (s *scriptEvents) Unsubscribe(event, socket string) error {
	return s.d.events.Unsubscribe(event, socket)
}

// CheckSocket implements [core.Events].
func (s *scriptEvents) CheckSocket(socket string, hasEvent func(event string) bool) error {
	scheme, addr, _ := strings.Cut(socket, ":")
	if s.lenient && !slices.Contains(s.schemes, scheme) {
		return nil
	}
	if scheme == "route" {
		return route.Check(addr, hasEvent)
	}
	_, err := s.sockets.ParseSocket(socket)
	return err
}
