package evid_test

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evid/evid"
)

func TestID(t *testing.T) {
	id := evid.ID{Epoch: 0x0123456789abcdef, Seq: 42}
	const text = "0123456789abcdef000000000000002a"
	if got := id.String(); got != text {
		t.Errorf("String: %s, want %s", got, text)
	}
	if got, err := evid.ParseID(text); err != nil || got != id {
		t.Errorf("ParseID: %v, %v", got, err)
	}
	for _, bad := range []string{"", "2a", text + "00", strings.Repeat("x", 32)} {
		if _, err := evid.ParseID(bad); err == nil {
			t.Errorf("ParseID(%q) is no error", bad)
		}
	}
	ordered := []evid.ID{{1, 9}, {2, 1}, {2, 2}, {3, 0}}
	for i := range ordered[1:] {
		a, b := ordered[i], ordered[i+1]
		if a.Compare(b) != -1 || b.Compare(a) != 1 || a.Compare(a) != 0 || a.String() >= b.String() {
			t.Errorf("%v and %v do not sort", a, b)
		}
	}
}

func TestEpochsGrow(t *testing.T) {
	now := time.Now()
	if a, b := evid.NewEpoch(now), evid.NewEpoch(now.Add(time.Millisecond)); a >= b {
		t.Errorf("epoch %x is not before %x", a, b)
	}
}

func TestParam(t *testing.T) {
	for _, test := range []struct {
		param evid.Param
		text  string
	}{
		{evid.Param{}, ""},
		{evid.String("ip", "192.168.2.11"), "192.168.2.11"},
		{evid.Int("n", -5), "-5"},
	} {
		if got := test.param.Text(); got != test.text {
			t.Errorf("Text of %+v: %q, want %q", test.param, got, test.text)
		}
	}
	e := evid.Event{Name: "E_X", Params: []evid.Param{evid.String("ip", "1.2"), evid.Int("n", 5)}}
	if got := e.Size(); got != 3+2+3+8+1+8 {
		t.Errorf("Size: %d", got)
	}
}

// A countingEncoder appends its name and counts how often it had to.
type countingEncoder struct {
	name  string
	calls *atomic.Int32
}

func (c countingEncoder) Append(dst []byte, e *evid.Event) []byte {
	c.calls.Add(1)
	return append(dst, c.name+e.Name...)
}

// The subscribers of a shared event share its encodings.
func TestEncodingsAreShared(t *testing.T) {
	e := &evid.Event{Name: "E_X", Shared: true}
	var calls [5]atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 4 {
				enc := countingEncoder{strconv.Itoa(i), &calls[i]}
				if got := string(e.AppendEncoded([]byte("<"), enc)); got != "<"+enc.name+"E_X" {
					t.Errorf("AppendEncoded: %q", got)
				}
			}
		})
	}
	wg.Wait()
	for i := range 4 {
		if n := calls[i].Load(); n != 1 {
			t.Errorf("form %d was encoded %d times", i, n)
		}
	}
	fifth := countingEncoder{"4", &calls[4]} // a form too many is right all the same
	for range 3 {
		if got := string(e.AppendEncoded(nil, fifth)); got != "4E_X" {
			t.Errorf("AppendEncoded: %q", got)
		}
	}
}

// One that only one subscriber gets keeps none.
func TestEncodingIsNotKept(t *testing.T) {
	e := &evid.Event{Name: "E_X"}
	var calls atomic.Int32
	for range 3 {
		if got := string(e.AppendEncoded([]byte("<"), countingEncoder{"0", &calls})); got != "<0E_X" {
			t.Errorf("AppendEncoded: %q", got)
		}
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("it was encoded %d times, want 3", n)
	}
}
