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
`
)

type demoCmd struct{}

// Help is what "evid demo --help" adds.
func (*demoCmd) Help() string {
	return "A daemon and an XML-RPC server run in this one process, on free ports of 127.0.0.1; nothing is left behind. " +
		"The exit code is 0 if both events arrived as they were raised."
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
	err = d.show(ctx, notifier.MIURL())
	if err = errors.Join(err, notifier.Stop(ctx)); err != nil {
		_, _ = log.WriteTo(con.stderr)
	}
	return err
}
