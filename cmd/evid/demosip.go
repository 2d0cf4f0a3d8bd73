package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid/internal/receiver"
)

const (
	demoFlooder  = "127.0.0.66"
	demoCallers  = 10 // other addresses, from 127.0.0.2 on
	demoFlood    = 120
	demoInterval = 2 * time.Millisecond   // between the requests of the flood
	demoCalm     = 100 * time.Millisecond // between those of each other address
	demoPatience = 2 * time.Second        // for the answer to a request
)

// flood sends OPTIONS from one address much faster than from others, and waits for the
// event that pike raises.
func (d *demo) flood(ctx context.Context, server string) error {
	const method, event = "block_ip", "E_PIKE_BLOCKED"
	if err := d.subscribe(ctx, method, event); err != nil {
		return err
	}
	d.say("flood", "%d OPTIONS from %s within a quarter of a second; %d other addresses send one each %v",
		demoFlood, demoFlooder, demoCallers, demoCalm)

	calm, over := context.WithCancel(ctx)
	defer over()
	var others sync.WaitGroup
	var asked, served atomic.Int64
	for i := range demoCallers {
		others.Go(func() { callCalmly(calm, fmt.Sprintf("127.0.0.%d", 2+i), server, &asked, &served) })
	}
	answered, err := sendFlood(ctx, server)
	if err != nil {
		return fmt.Errorf("flood: %w", err)
	}
	select {
	case got := <-d.arrived:
		d.say("arrived", "%s", got)
		if got.Method != method || got.Event != event || len(got.Params) != 1 || got.Params[0] != (receiver.Param{Name: "ip", Value: demoFlooder}) {
			return fmt.Errorf("the flood was told otherwise than expected: %s", got)
		}
	case <-ctx.Done():
		return fmt.Errorf("%s did not arrive: %w", event, ctx.Err())
	}
	over()
	others.Wait()
	d.say("answered", "%d of the flooder's %d, those before it was blocked; %d of the others' %d",
		answered, demoFlood, served.Load(), asked.Load())
	switch {
	case answered == demoFlood:
		return errors.New("the flooder was not blocked")
	case served.Load() != asked.Load() || served.Load() < demoCallers:
		return errors.New("somebody else was not answered")
	default:
		return nil
	}
}

// sendFlood sends the flood and counts the answers.
func sendFlood(ctx context.Context, server string) (answered int, err error) {
	conn, err := dialFrom(demoFlooder, server)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	ticker := time.NewTicker(demoInterval)
	defer ticker.Stop()
	for i := range demoFlood {
		if _, err := conn.Write(options(conn, i)); err != nil {
			return 0, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	var buffer [2048]byte
	for {
		if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return 0, err
		}
		if _, err := conn.Read(buffer[:]); err != nil {
			return answered, nil // no more
		}
		answered++
	}
}

// callCalmly sends a request now and then, until ctx is done, and counts them and their
// answers.
func callCalmly(ctx context.Context, from, server string, asked, served *atomic.Int64) {
	conn, err := dialFrom(from, server)
	if err != nil {
		return
	}
	defer conn.Close()
	ticker := time.NewTicker(demoCalm)
	defer ticker.Stop()
	var buffer [2048]byte
	for i := 0; ctx.Err() == nil; i++ {
		asked.Add(1)
		if _, err := conn.Write(options(conn, i)); err != nil {
			return
		}
		_ = conn.SetReadDeadline(time.Now().Add(demoPatience))
		if n, err := conn.Read(buffer[:]); err == nil && strings.HasPrefix(string(buffer[:n]), "SIP/2.0 200 ") {
			served.Add(1)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// dialFrom returns a UDP socket with one of the many addresses of the loopback interface.
func dialFrom(from, server string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(from)}}
	return dialer.Dial("udp", server)
}

// options is a SIP request.
func options(from net.Conn, n int) []byte {
	local := from.LocalAddr().String()
	return fmt.Appendf(nil, "OPTIONS sip:demo@%s SIP/2.0\r\n"+
		"Via: SIP/2.0/UDP %s;branch=z9hG4bK%d;rport\r\n"+
		"From: <sip:demo@%s>;tag=%d\r\nTo: <sip:demo@%s>\r\n"+
		"Call-ID: %d@%s\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
		from.RemoteAddr(), local, n, local, n, from.RemoteAddr(), n, local)
}
