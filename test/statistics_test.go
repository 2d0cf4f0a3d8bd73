package test_test

import (
	"testing"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/daemon/daemontest"
)

// What XML cannot hold is replaced, and how often that happened is counted.
func TestReplacedIsCounted(t *testing.T) {
	s := serveBad(t, nil)
	d := daemontest.Start(t, "")
	d.Subscribe("E_TEST", "xmlrpc:"+s.addr+":good")
	d.Raise("E_TEST", evid.String("text", "a\x01b\xff"), evid.String("fine", "größe"))
	if st := d.Settled(); st["replaced"] != 2 || st["delivered"] != 1 {
		t.Errorf("statistics: %v, want 2 replaced", st)
	}
}

// A subscriber that never answers is counted apart.
func TestUnconfirmedIsCounted(t *testing.T) {
	l := listen(t)
	d := daemontest.Start(t, "")
	d.Subscribe("E_TEST", "xmlrpc:"+l.Addr().String()+":m;confirm=0")
	d.Raise("E_TEST", evid.Int("n", 1))
	accept(t, l)
	checkStatistics(t, d.Settled(), map[string]uint64{"delivered": 1, "unconfirmed": 1})
}
