package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evid/evid/xmlrpc"
)

// bareLoop is what evid is beside: for each subscriber of the first group a goroutine that
// writes the same call over and over, and reads each reply. It keeps nothing, looks at
// nothing, and is what one can do with package net.
func bareLoop(t task) (result, error) {
	var r result
	g := t.Groups[0]
	var loops sync.WaitGroup
	var calls atomic.Int64
	stop, failed := make(chan struct{}), make(chan error, g.Count)
	for i := range g.Count {
		loops.Go(func() {
			if err := callOver(net.JoinHostPort(g.Host, strconv.Itoa(g.Port+i)), &calls, stop); err != nil {
				failed <- err
			}
		})
	}
	time.Sleep(warmUp)
	m, err := startMeter()
	if err != nil {
		return r, err
	}
	before := calls.Load()
	time.Sleep(t.For)
	err = m.stop(calls.Load()-before, &r)
	close(stop)
	loops.Wait()
	r.Delivered = uint64(calls.Load())
	select {
	case err = <-failed:
	default:
	}
	return r, err
}

// callOver makes calls of one server until it is to stop.
func callOver(address string, calls *atomic.Int64, stop <-chan struct{}) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return fmt.Errorf("call: %w", err)
	}
	defer conn.Close()
	body, err := xmlrpc.AppendCall(nil, "block_ip", event, xmlrpc.Struct{{Name: "ip", Value: "192.168.2.11"}})
	if err != nil {
		return err
	}
	request := fmt.Appendf(nil, "POST /RPC2 HTTP/1.1\r\nHost: %s\r\nContent-type: text/xml\r\nContent-length: %d\r\n\r\n%s",
		address, len(body), body)
	reply := make([]byte, 4096)
	for n := 0; ; {
		select {
		case <-stop:
			return nil
		default:
		}
		if _, err := conn.Write(request); err != nil {
			return fmt.Errorf("call: %w", err)
		}
		if n == 0 {
			n, err = conn.Read(reply) // all replies of the sink are as long as the first
		} else {
			_, err = io.ReadFull(conn, reply[:n])
		}
		if err != nil {
			return fmt.Errorf("read reply: %w", err)
		}
		calls.Add(1)
	}
}
