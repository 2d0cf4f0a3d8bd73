package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

// That it cannot write, and that not all who are behind have a place, is shown.
func TestPrintQueueStatus(t *testing.T) {
	const result = `{"mode":"durable","where":"tls://xxxxx@h:4222","writable":false,"reason":"the disk is full:\nno room",` +
		`"since":"2026-11-23T22:04:05.000Z","events":7,"bytes":70,"oldest":null,"max_events":10,"on_full":"reject","waiting":9,` +
		`"Subscribers":[{"event":"E_X","socket":"xmlrpc:h:1:m","waiting":7,"oldest":null}],"total":3}`
	const want = `mode          durable
where         tls://xxxxx@h:4222
writable      no: the disk is full: no room
since         2026-11-23T22:04:05.000Z
events        7 (at most 10)
bytes         70
oldest        -
on full       reject
dead letters  0
waiting       9
dormant       0

EVENT  SOCKET        WAITING  OLDEST  STATE
E_X    xmlrpc:h:1:m  7        -       behind
and 2 more
`
	var status queueStatus
	if err := json.Unmarshal([]byte(result), &status); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := status.print(&got); err != nil || got.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, &got, want)
	}
}
