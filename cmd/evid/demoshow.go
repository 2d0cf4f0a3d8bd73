package main

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/miclient"
	"github.com/evid/evid/internal/receiver"
)

// A demo is shown to people.
type demo struct {
	con      *console
	mi       *miclient.Client
	receiver string // its address
	arrived  chan receiver.Call
}

func (d *demo) show(ctx context.Context, url, socket string) error {
	var err error
	if d.mi, err = miclient.New(url, ""); err != nil {
		return err
	}
	defer d.mi.Close()
	d.say("daemon", "management interface at %s", url)
	d.say("", "SIP at %s, with module pike", socket)
	d.say("receiver", "XML-RPC server at %s", d.receiver)
	if err := d.flood(ctx, strings.TrimPrefix(socket, "udp:")); err != nil {
		return err
	}
	err = d.event(ctx, "log_call", "E_DEMO",
		evid.String("contact", "<sip:bob@10.0.0.1>;tag=a&b"),
		evid.String("body", "v=0\r\ns=-\r\n"),
		evid.String("caller", "Zoë, 東京"),
		evid.Int("code", -5),
		evid.Int("octets", 1<<40))
	if err != nil {
		return err
	}
	d.say("done", "one address was blocked; both events arrived; 2^40 travels as text, as XML-RPC integers have 32 bits")
	return nil
}

// event subscribes the receiver's method to an event, raises it and waits until
// it has arrived.
func (d *demo) event(ctx context.Context, method, event string, params ...evid.Param) error {
	if err := d.subscribe(ctx, method, event); err != nil {
		return err
	}
	args, err := raiseArgs(event, params)
	if err != nil {
		return err
	}
	if _, err := d.mi.Call(ctx, "raise_event", args); err != nil {
		return fmt.Errorf("raise %s: %w", event, err)
	}
	d.say("raised", "%s", receiver.Call{Event: event, Params: paramsOf(params, func(n int64) any { return n })})
	select {
	case got := <-d.arrived:
		d.say("arrived", "%s", got)
		want := receiver.Call{Method: method, Event: event, Params: paramsOf(params, overXMLRPC), ID: got.ID}
		if !reflect.DeepEqual(got, want) {
			return fmt.Errorf("%s arrived otherwise than expected: %s", event, want)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s did not arrive: %w", event, ctx.Err())
	}
}

// subscribe subscribes the receiver's method to an event.
func (d *demo) subscribe(ctx context.Context, method, event string) error {
	socket := "xmlrpc:" + d.receiver + ":" + method
	if _, err := d.mi.Call(ctx, "event_subscribe", []string{event, socket}); err != nil {
		return fmt.Errorf("subscribe %s to %s: %w", socket, event, err)
	}
	d.say("subscribed", "%s to %s", socket, event)
	return nil
}

func (d *demo) say(what, format string, args ...any) {
	fmt.Fprintf(d.con.stdout, "%-11s"+format+"\n", append([]any{what}, args...)...)
}

// paramsOf returns parameters as a receiver has them.
func paramsOf(params []evid.Param, integer func(int64) any) []receiver.Param {
	list := make([]receiver.Param, len(params))
	for i, p := range params {
		list[i] = receiver.Param{Name: p.Name, Value: p.Str}
		if p.Kind == evid.KindInt {
			list[i].Value = integer(p.Int)
		}
	}
	return list
}

// overXMLRPC returns how an integer arrives.
func overXMLRPC(n int64) any {
	if n < math.MinInt32 || n > math.MaxInt32 {
		return fmt.Sprint(n)
	}
	return n
}
