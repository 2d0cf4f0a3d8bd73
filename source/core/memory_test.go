package core

import "testing"

func TestThreshold(t *testing.T) {
	th := threshold{at: 90}
	for i, test := range []struct {
		used uint64
		tell bool
	}{
		{89, false}, {90, true}, {90, false}, {95, true}, {91, true}, {80, true}, {70, false}, {90, true}, {200, true},
	} {
		usage, tell := th.passed(test.used, 100)
		if tell != test.tell || usage != int(min(test.used, 100)) {
			t.Errorf("%d: usage %d: got %d, %t, want %t", i, test.used, usage, tell, test.tell)
		}
	}
	if _, tell := new(threshold).passed(100, 100); tell {
		t.Error("told without a threshold")
	}
}
