package storetest_test

import (
	"errors"
	"testing"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/queue/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Opener {
		m := storetest.NewMemory()
		return func(*testing.T) queue.Store {
			m = m.Clone()
			return m
		}
	})
}

func TestMemoryFaults(t *testing.T) {
	for _, test := range []struct {
		fault    storetest.Fault
		err      error
		last     uint64
		unwell   bool
		whatItIs string
	}{
		{storetest.None, nil, 1, false, "none"},
		{storetest.Kept, queue.ErrUnconfirmed, 1, true, "kept"},
		{storetest.Lost, queue.ErrUnconfirmed, 0, true, "lost"},
		{storetest.Refused, storetest.ErrRefused, 0, false, "refused"},
	} {
		t.Run(test.whatItIs, func(t *testing.T) {
			m := storetest.NewMemory()
			m.OnAppend(func(queue.Journal, uint64, []byte) storetest.Fault { return test.fault })
			_, err := m.Append(queue.EventLog, 0, []byte("x"))
			if !errors.Is(err, test.err) {
				t.Errorf("append: got %v, want %v", err, test.err)
			}
			if err := m.Health(); errors.Is(err, queue.ErrUnhealthy) != test.unwell {
				t.Errorf("health: got %v", err)
			}
			_, err = m.Append(queue.EventLog, test.last, []byte("x"))
			if errors.Is(err, queue.ErrUnhealthy) != test.unwell {
				t.Errorf("append: got %v", err)
			}
			m = m.Clone()
			if _, err := m.Append(queue.EventLog, test.last, []byte("x")); err != nil && test.unwell {
				t.Errorf("append after a crash: %v", err)
			}
		})
	}
}

func TestMemoryReadAndTrimFaults(t *testing.T) {
	m := storetest.NewMemory()
	m.OnRead(func(queue.Journal, uint64) error { return storetest.ErrRefused })
	m.OnTrim(func(queue.Journal, uint64) error { return storetest.ErrRefused })
	if _, err := m.Read(queue.EventLog, 1, make([]queue.Entry, 1)); !errors.Is(err, storetest.ErrRefused) {
		t.Errorf("read: got %v, want %v", err, storetest.ErrRefused)
	}
	if err := m.Trim(queue.EventLog, 1); !errors.Is(err, storetest.ErrRefused) {
		t.Errorf("trim: got %v, want %v", err, storetest.ErrRefused)
	}
	if err := m.Delete(queue.EventLog, 1); !errors.Is(err, storetest.ErrRefused) {
		t.Errorf("delete: got %v, want %v", err, storetest.ErrRefused)
	}
}
