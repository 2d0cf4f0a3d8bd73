package main

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/internal/receiver"
)

const (
	demoTime   = 10 * time.Second // more than it ever takes
	demoConfig = `loadmodule "httpd.so"
loadmodule "mi_http.so"
loadmodule "event_xmlrpc.so"
modparam("httpd", "port", 0)
modparam("event_xmlrpc", "use_struct_param", 1)
modparam("evi", "auto_register", 1)
modparam("queue", "mode", "memory")

socket=udp:127.0.0.1:0
loadmodule "proto_udp.so"
loadmodule "sl.so"
loadmodule "pike.so"
modparam("pike", "sampling_time_unit", 2)
modparam("pike", "reqs_density_per_unit", 30)
route {
	if (!pike_check_req()) {
		exit;
	}
	sl_send_reply(200, "OK");
}
`
)

type demoCmd struct{}

// Help is what "evid demo --help" adds.
func (*demoCmd) Help() string {
	return "A daemon and an XML-RPC server run in this one process, on free ports of 127.0.0.1, and SIP comes from addresses " +
		"127.0.0.2 and on; nothing is left behind. The exit code is 0 if exactly the flooder was blocked, everybody else was " +
		"answered throughout, and the events arrived as they were raised."
}

func (*demoCmd) Run(con *console) error {
	interrupted, _, release := interrupts()
	defer release()
	ctx, cancel := context.WithTimeout(interrupted, demoTime)
	defer cancel()

	d := demo{con: con, arrived: make(chan receiver.Call)}
	r := receiver.New(receiver.Options{Addr: "127.0.0.1:0", OnCall: func(c receiver.Call) {
		select {
		case d.arrived <- c:
		case <-ctx.Done():
		}
	}})
	if err := r.Start(); err != nil {
		return err
	}
	defer r.Stop()
	defer cancel() // before r.Stop, which waits for OnCall
	d.receiver = r.Addr()

	var log bytes.Buffer
	notifier, err := daemon.New(daemon.Options{Config: demoConfig, Version: version, Stderr: &log})
	if err != nil {
		return err
	}
	if err := notifier.Start(ctx); err != nil {
		return err
	}
	err = d.show(ctx, notifier.MIURL(), notifier.Sockets()[0])
	if err = errors.Join(err, notifier.Stop(ctx)); err != nil {
		_, _ = log.WriteTo(con.stderr)
	}
	return err
}
