package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/evid/evid/mi"
	"github.com/evid/evid/modparam"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
	"github.com/evid/evid/source/hep"
	"github.com/evid/evid/source/pike"
	"github.com/evid/evid/source/sip"
)

// sourceParams are the parameters of what receives SIP, and of pike.
type sourceParams struct {
	sockets []string // as the global has them, without what OpenSIPS allows after the address
	sip     sip.Params
	hep     hep.Params
	pike    pike.Params
}

func defaultSourceParams() sourceParams {
	return sourceParams{sip: sip.DefaultParams(), hep: hep.DefaultParams(), pike: pike.DefaultParams()}
}

func (p *sourceParams) globals() []modparam.Param {
	return append([]modparam.Param{{
		Name: "socket", Value: modparam.Func(modparam.Text, func() string { return strings.Join(p.sockets, " ") }, p.addSocket),
		Usage: "udp:IP:PORT, tcp:IP:PORT, tls:IP:PORT, hep_udp:IP:PORT or hep_tcp:IP:PORT to receive SIP at; can be given more than once",
	}}, p.sip.Globals()...)
}

// addSocket takes a socket. What OpenSIPS allows after it is about workers and the address
// that others see, and has no meaning here.
func (p *sourceParams) addSocket(text string) error {
	words := strings.Fields(text)
	if len(words) == 0 {
		return errors.New("expected a socket")
	}
	_, err := p.socketModule(words[0])
	if err == nil {
		p.sockets = append(p.sockets, words[0])
	}
	return err
}

// socketModule returns the module that a socket needs.
func (p *sourceParams) socketModule(text string) (string, error) {
	if isHEP(text) {
		_, err := hep.ParseSocket(text, uint16(p.hep.Port))
		return "proto_hep", err
	}
	if scheme, _, _ := strings.Cut(text, ":"); scheme != sip.UDP && scheme != sip.TCP && scheme != sip.TLS {
		return "", fmt.Errorf("socket %q: expected udp:IP:PORT, tcp:IP:PORT, tls:IP:PORT, hep_udp:IP:PORT or hep_tcp:IP:PORT", text)
	}
	s, err := sip.ParseSocket(text)
	return "proto_" + s.Proto, err
}

func isHEP(socket string) bool { return strings.HasPrefix(socket, "hep_") }

// checkSources says what is missing for the sockets that are to receive.
func (c *config) checkSources() {
	s := c.settings
	at := c.file.GlobalPos("socket")
	for i, socket := range s.source.sockets {
		module, _ := s.source.socketModule(socket) // it was read before
		if !s.loaded[module] {
			c.errorf(at[i], `socket %s needs module %s: add loadmodule "%s.so"`, socket, module, module)
		}
		if module == "proto_tls" && (s.source.sip.Certificate == "" || s.source.sip.PrivateKey == "") {
			c.errorf(at[i], "socket %s needs a certificate and its key: set certificate and private_key of module tls_mgm", socket)
		}
	}
}

// checkRoutes says what the script does not have and something else needs, or would need.
func (d *Daemon) checkRoutes(c *config, p *program.Program) {
	if name := d.sources.checkRoute; name != "" && !p.HasRoute(name) {
		c.errorf(c.file.ParamPos("pike", "check_route"), "check_route of module pike: the script has no route[%s]", name)
	}
	if at := c.file.GlobalPos("socket"); len(at) > 0 && !p.HasMain() {
		c.warnf(at[0], "nothing is done with the SIP that is received: add route {…}")
	}
}

// sources are what receives SIP messages, and lets the main route run for each.
type sources struct {
	sip *sip.Server // nil: there is no socket for it
	hep *hep.Server // nil: there is no socket for it

	checkRoute string     // of module pike: see pike.Params; empty: pike is not asked
	pike       *pike.Pike // that is asked
	keptOut    atomic.Uint64
	unusable   atomic.Uint64
}

// buildSources builds what the sockets ask for.
func (d *Daemon) buildSources(c *config) {
	s := c.settings
	var overSIP []sip.Socket
	var overHEP []hep.Socket
	for _, text := range s.source.sockets { // they were read before
		if isHEP(text) {
			socket, _ := hep.ParseSocket(text, uint16(s.source.hep.Port))
			overHEP = append(overHEP, socket)
			continue
		}
		socket, _ := sip.ParseSocket(text)
		overSIP = append(overSIP, socket)
	}
	var err error
	if overSIP != nil {
		d.sources.sip, err = sip.New(sip.Options{
			Params: s.source.sip, Sockets: overSIP, Log: d.log,
			Handler: func(ctx context.Context, r *sip.Request) { d.request(ctx, r) },
			Disconnected: func(gone sip.Disconnect) {
				d.core.Disconnected(gone.Source, gone.Dest, gone.Proto)
			},
		})
		if err != nil {
			c.blame("tls_mgm", err)
		}
	}
	if overHEP != nil {
		d.sources.hep, err = hep.New(s.source.hep, overHEP, d.captured, d.log)
		if err != nil {
			c.blame("proto_hep", err)
		}
	}
}

// startSources begins to receive.
func (d *Daemon) startSources() error {
	for _, parts := range d.parts {
		if parts.start != nil {
			parts.start()
		}
	}
	if d.sources.sip != nil {
		if err := d.sources.sip.Start(); err != nil {
			return err
		}
		for _, socket := range d.sources.sip.Sockets() {
			d.notice("SIP is received", "socket", socket)
		}
	}
	if d.sources.hep != nil {
		if err := d.sources.hep.Start(); err != nil {
			return err
		}
		for _, socket := range d.sources.hep.Sockets() {
			d.notice("HEP is received", "socket", socket)
		}
	}
	return nil
}

// Sockets are where SIP and HEP are received, after [Daemon.Start], with the ports that they
// have got.
func (d *Daemon) Sockets() []string {
	var sockets []string
	if d.sources.sip != nil {
		for _, socket := range d.sources.sip.Sockets() {
			sockets = append(sockets, socket.String())
		}
	}
	if d.sources.hep != nil {
		for _, socket := range d.sources.hep.Sockets() {
			sockets = append(sockets, socket.String())
		}
	}
	return sockets
}

// stopSources takes no more messages and waits for the routes that run for those that came.
func (d *Daemon) stopSources(ctx context.Context) error {
	var errs []error
	if d.sources.sip != nil {
		errs = append(errs, d.sources.sip.Stop(ctx))
	}
	if d.sources.hep != nil {
		errs = append(errs, d.sources.hep.Stop(ctx))
	}
	for _, parts := range d.parts {
		if parts.stop != nil {
			parts.stop()
		}
	}
	return errors.Join(errs...)
}

// request runs the main route for a request, unless pike keeps it from that.
func (d *Daemon) request(ctx context.Context, r program.Request) {
	began := time.Now()
	defer func() {
		if long := time.Since(began); d.core.Slow(long) {
			d.core.Took("route", long, r.Source().String())
		}
	}()
	p := d.routes.current.Load()
	if !d.pass(ctx, p, r) {
		d.sources.keptOut.Add(1)
		return
	}
	if !p.HasMain() {
		return
	}
	if err := p.RunRequest(ctx, r); err != nil {
		d.routeFailed(ctx, err)
	}
}

// routeFailed logs why a route failed. When evid stops, the routes of all requests may be cut
// short, which is said once.
func (d *Daemon) routeFailed(ctx context.Context, err error) {
	if ctx.Err() == nil {
		d.log.Error("route failed", "err", err)
	}
}

// pass says whether a packet goes on to the main route: in automatic mode pike has to let
// it, but for one that its route has dropped, which is trusted.
func (d *Daemon) pass(ctx context.Context, p *program.Program, r program.Request) bool {
	s := &d.sources
	if s.checkRoute == "" {
		return true
	}
	dropped, err := p.RunRequestRoute(ctx, s.checkRoute, r)
	if err != nil {
		d.routeFailed(ctx, err)
	}
	return dropped || s.pike.Check(r.Source().Addr()) == pike.Pass
}

// A captured request came in a packet of HEP: nobody waits for an answer.
type captured struct {
	*sip.Request
	packet *hep.Packet
}

// captured runs the main route for the request in a packet. A reply in it, and what is no
// SIP, is counted only.
func (d *Daemon) captured(ctx context.Context, packet *hep.Packet) {
	if len(packet.Payload) > 4 && bytes.EqualFold(packet.Payload[:4], []byte("SIP/")) {
		return
	}
	r, err := sip.ParseRequest(packet.Payload, packet.Source, packet.Transport())
	if err != nil {
		d.sources.unusable.Add(1)
		d.log.Debug("malformed SIP message in HEP", "from", packet.Source, "err", err)
		return
	}
	d.request(ctx, captured{r, packet})
}

// hepVariable is $hep(chunk).
func hepVariable() program.Variable {
	return program.Variable{
		Name: "hep", Module: "proto_hep", Subname: "name or number of a chunk",
		Bind: func(chunk string) (func(r *program.Run) value.Value, error) {
			field, err := hep.ParseField(chunk)
			if err != nil {
				return nil, err
			}
			return func(r *program.Run) value.Value {
				if of, ok := r.Request().(captured); ok {
					return of.packet.Value(field)
				}
				return value.Value{}
			}, nil
		},
	}
}

// sourceStatistics adds the groups of what receives.
func (d *Daemon) sourceStatistics() {
	if d.sources.sip != nil {
		d.stats.Add("sip", func() []mi.Statistic {
			s := d.sources.sip.Stats()
			return []mi.Statistic{
				{Name: "requests", Value: s.Requests, Incremental: true},
				{Name: "acks", Value: s.ACKs, Incremental: true},
				{Name: "replies", Value: s.Replies, Incremental: true},
				{Name: "replied", Value: s.Replied, Incremental: true},
				{Name: "pings", Value: s.Pings, Incremental: true},
				{Name: "malformed", Value: s.Malformed, Incremental: true},
				{Name: "overload", Value: s.Dropped, Incremental: true},
				{Name: "overflowed", Value: s.Overflowed, Incremental: true},
				{Name: "bytes", Value: s.Bytes, Incremental: true},
				{Name: "connections", Value: s.Connections},
				{Name: "connections_refused", Value: s.Refused, Incremental: true},
				{Name: "connections_timed_out", Value: s.TimedOut, Incremental: true},
			}
		})
	}
	if d.sources.hep != nil {
		d.stats.Add("hep", func() []mi.Statistic {
			s := d.sources.hep.Stats()
			return []mi.Statistic{
				{Name: "packets", Value: s.Packets, Incremental: true},
				{Name: "bytes", Value: s.Bytes, Incremental: true},
				{Name: "sip", Value: s.SIP, Incremental: true},
				{Name: "other", Value: s.Other, Incremental: true},
				{Name: "malformed", Value: s.Malformed, Incremental: true},
				{Name: "dropped", Value: s.Dropped, Incremental: true},
				{Name: "sip_malformed", Value: d.sources.unusable.Load(), Incremental: true},
				{Name: "connections", Value: uint64(s.Connections)},
				{Name: "connections_refused", Value: s.Refused, Incremental: true},
			}
		})
	}
}

// buildPike builds module pike.
func (p *sourceParams) buildPike(d *Daemon) (moduleParts, error) {
	built := pike.New(p.pike, pike.Options{Log: d.log, Raise: d.raise})
	d.sources.pike, d.sources.checkRoute = built, p.pike.CheckRoute
	statistics := func() []mi.Statistic {
		s := built.Stats()
		return []mi.Statistic{
			{Name: "blocked", Value: uint64(s.Blocked)},
			{Name: "detected", Value: s.Detected, Incremental: true},
			{Name: "kept_out", Value: d.sources.keptOut.Load(), Incremental: true},
			{Name: "nodes", Value: uint64(s.Nodes)},
			{Name: "evicted", Value: s.Evicted, Incremental: true},
			{Name: "nodes_refused", Value: s.Refused, Incremental: true},
			{Name: "events_lost", Value: s.Lost, Incremental: true},
			{Name: "events_failed", Value: s.Failed, Incremental: true},
		}
	}
	return moduleParts{
		functions: built.Functions(), commands: mi.PikeCommands(built), events: built.Events(),
		statistics: func(to *mi.Statistics) { to.Add("pike", statistics) },
		start:      built.Start, stop: built.Close,
	}, nil
}
