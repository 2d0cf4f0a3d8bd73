package main

import "testing"

// There can be very many subscribers that have nothing to do, each at a server of its own:
// this is what one takes in all.
func TestIdleMemory(t *testing.T) {
	const most = 520 // bytes
	n, err := newNotifier(1024, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	before := heapInUse()
	if err := n.subscribe(group{Event: event, Host: "198.51.100.1", Port: 10_000, Count: manyCount}); err != nil {
		t.Fatal(err)
	}
	each := (int(heapInUse()) - int(before)) / manyCount
	t.Logf("%d bytes for each subscriber", each)
	if each > most {
		t.Errorf("a subscriber that was never called takes %d bytes, want at most %d", each, most)
	}
}
