package interop_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid/internal/daemon/daemontest"
	"github.com/evid/evid/internal/receiver"
)

// An miResult is a line that node/mi_client.js prints.
type miResult struct {
	Call   string
	Params any
	Result any
	Error  string
}

// npm opensips-mi-client completes all its event calls.
func TestMIClient(t *testing.T) {
	d := daemontest.Start(t, `modparam("event_xmlrpc", "use_struct_param", 1)`)
	calls := make(chan string, 10)
	r := receiver.New(receiver.Options{Addr: "127.0.0.1:0", OnCall: func(c receiver.Call) { calls <- c.String() }})
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	socket := "xmlrpc:" + r.Addr() + ":block_ip"

	cmd := miClient.start(t, d.MIURL, "E_TEST", socket)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("mi_client.js: %v\n%s%s", err, out, &stderr)
	}
	subscriber := func(expire float64) map[string]any {
		return map[string]any{"socket": socket, "expire": expire, "ttl": expire}
	}
	event := func(members map[string]any) any {
		members["name"], members["id"] = "E_TEST", 0.0
		return map[string]any{"Event": members}
	}
	want := []any{
		nil, // which: it lists every command there is
		map[string]any{"Events": []any{
			map[string]any{"name": "E_TEST", "id": 0.0},
			map[string]any{"name": "E_EVID_SUBSCRIBER_DOWN", "id": 1.0},
			map[string]any{"name": "E_EVID_SUBSCRIBER_UP", "id": 2.0},
			map[string]any{"name": "E_EVID_DEAD_LETTER", "id": 3.0},
			map[string]any{"name": "E_CORE_THRESHOLD", "id": 4.0},
			map[string]any{"name": "E_CORE_SHM_THRESHOLD", "id": 5.0},
			map[string]any{"name": "E_CORE_PKG_THRESHOLD", "id": 6.0},
			map[string]any{"name": "E_CORE_TCP_DISCONNECT", "id": 7.0},
			map[string]any{"name": "E_CORE_LOG", "id": 8.0},
		}},
		"OK",
		"OK",
		event(map[string]any{"Subscribers": []any{subscriber(60)}}),
		event(map[string]any{"Subscriber": subscriber(60)}),
		"OK", "OK", "OK", // raise_event
		"OK",
	}
	var results []miResult
	for line := range bytes.Lines(out) {
		var result miResult
		if err := json.Unmarshal(line, &result); err != nil {
			t.Fatalf("read line %q of mi_client.js: %v", line, err)
		}
		results = append(results, result)
	}
	if len(results) != len(want) {
		t.Fatalf("%d calls, want %d:\n%s", len(results), len(want), out)
	}
	for i, result := range results {
		if result.Error != "" {
			t.Errorf("%s %v: %s", result.Call, result.Params, result.Error)
		}
		if result.Call == "which" {
			continue
		}
		if diff := cmp.Diff(want[i], result.Result); diff != "" {
			t.Errorf("%s %v (-want +got):\n%s", result.Call, result.Params, diff)
		}
	}

	// The client unsubscribed at the end: what was not delivered by then is abandoned.
	s := d.Settled()
	if s["accepted"] != 3 || s["dead"] != 0 || s["subscribers"] != 0 {
		t.Errorf("statistics: %v", s)
	}
	raised := []string{
		`block_ip E_TEST`,
		`block_ip E_TEST "192.168.2.11" "second"`,
		`block_ip E_TEST ip="192.168.2.11" hits=-5`,
	}
	r.Stop()
	close(calls)
	var got []string
	for call := range calls {
		got = append(got, call)
	}
	if len(got) < int(s["delivered"]) || strings.Join(raised[:len(got)], "\n") != strings.Join(got, "\n") {
		t.Errorf("%d delivered, the receiver got\n%s", s["delivered"], strings.Join(got, "\n"))
	}
}
