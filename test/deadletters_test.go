package test_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/daemon/daemontest"
	"github.com/evid/evid/internal/receiver"
)

// Who is told that events were given up finds their dead letters: they are those of the
// subscriber whose ids are among those of the event. What is told within a second is told
// together.
func TestFindDeadLetters(t *testing.T) {
	const events = 3
	refusing := receiver.New(receiver.Options{Addr: "127.0.0.1:0", Status: 400})
	if err := refusing.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(refusing.Stop)
	told := subscribeServer(t, nil)
	d := daemontest.Start(t, `modparam("evi", "register", "E_X; E_OTHER")`)
	d.Subscribe("E_EVID_DEAD_LETTER", told.socket)
	for _, event := range []string{"E_X", "E_OTHER"} {
		d.Subscribe(event, "xmlrpc:"+refusing.Addr()+":m")
	}
	for i := range events {
		d.Raise("E_OTHER")
		d.Raise("E_X", evid.Int("i", int64(i)))
	}
	found := 0
	for found < events {
		var about map[string]any
		select {
		case c := <-told.calls:
			about = make(map[string]any)
			for _, p := range c.Params {
				about[p.Name] = p.Value
			}
		case <-time.After(patience):
			t.Fatalf("told of %d dead letters", found)
		}
		if about["event"] != "E_X" {
			continue
		}
		d.Settled()
		var page struct {
			Letters []struct {
				Number  int
				FirstID string `json:"first_id"`
				LastID  string `json:"last_id"`
			} `json:"Dead letters"`
		}
		list := d.Call("dead_letters", map[string]any{"event": about["event"], "socket": about["socket"]})
		if err := json.Unmarshal(list, &page); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, letter := range page.Letters {
			if letter.LastID >= about["first_id"].(string) && letter.FirstID <= about["last_id"].(string) {
				n++
			}
		}
		if n == 0 || fmt.Sprint(n) != fmt.Sprint(about["count"]) {
			t.Errorf("%d letters found, want those of %v among %s", n, about, list)
		}
		found += n
	}
	if found != events {
		t.Errorf("told of %d dead letters, want %d", found, events)
	}
}
