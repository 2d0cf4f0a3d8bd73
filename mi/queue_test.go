package mi_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/mi"
)

// A queueStatus is a queue that is always in one state.
type queueStatus mi.QueueStatus

func (q queueStatus) QueueStatus(subscribers int) mi.QueueStatus {
	if subscribers != 100 {
		panic("it asks for another number of subscribers")
	}
	return mi.QueueStatus(q)
}

func TestQueueStatus(t *testing.T) {
	at := time.Date(2026, 11, 23, 22, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name   string
		status queueStatus
		want   string
	}{
		{
			"memory",
			queueStatus{Mode: "memory", MaxEvents: 1024, OnFull: "reject"},
			`{"mode":"memory","writable":true,"events":0,"bytes":0,"oldest":null,"max_events":1024,"max_bytes":0,"max_age":0,` +
				`"on_full":"reject","dead_letters":0,"waiting":0,"dormant":0,"Subscribers":[],"total":0}`,
		},
		{"durable", queueStatus{
			Mode: "durable", Where: "/q", Sync: "1s", Reason: "the disk is full", Since: at,
			Events: 7, Bytes: 700, Oldest: at.Add(-time.Hour), MaxBytes: 1 << 30, MaxAge: 1500 * time.Millisecond, OnFull: "drop_oldest",
			DeadLetters: 3, Waiting: 9, Dormant: 1, Behind: 12,
			Subscribers: []mi.QueuedSubscriber{
				{Event: "E_X", Socket: "xmlrpc:h:1:m", Waiting: 7, Oldest: at},
				{Event: "E_X", Socket: "udp:h:1", Waiting: 2, Dormant: true, Reason: `unknown transport "udp"`},
			},
		}, `{"mode":"durable","where":"/q","sync":"1s","writable":false,"reason":"the disk is full","since":"2026-11-23T22:04:05.000Z",` +
			`"events":7,"bytes":700,"oldest":"2026-11-23T21:04:05.000Z","max_events":0,"max_bytes":1073741824,"max_age":2,` +
			`"on_full":"drop_oldest","dead_letters":3,"waiting":9,"dormant":1,"Subscribers":[` +
			`{"event":"E_X","socket":"xmlrpc:h:1:m","waiting":7,"oldest":"2026-11-23T22:04:05.000Z","dormant":false},` +
			`{"event":"E_X","socket":"udp:h:1","waiting":2,"oldest":null,"dormant":true,"reason":"unknown transport \"udp\""}],"total":12}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			table, err := mi.NewTable(mi.QueueCommands(test.status)...)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"queue_status", "evi:queue_status"} {
				if diff := cmp.Diff(test.want, call(t, table, name, `[]`)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}
