package main

import (
	"testing"
	"time"
)

// Every task gives its figures, and what it says is confirmed is what the sinks did.
func TestTasks(t *testing.T) {
	const quick = 50 * time.Millisecond
	for _, tc := range []struct {
		name   string
		run    func(task) (result, error)
		task   task
		delay  string // of the sink, ms
		figure func(result) bool
	}{
		{
			"flood", flood,
			task{For: quick, Depth: 64, Groups: []group{{Event: event, Count: 3}}},
			"0",
			func(r result) bool { return r.Rate > 0 && r.CPU > 0 },
		},
		{
			"backlog", backlog,
			task{Events: 500, Groups: []group{{Event: event, Count: 1}}},
			"0",
			func(r result) bool { return r.Rate > 0 && r.Delivered == 501 },
		},
		{
			"latency", latency,
			task{For: quick, Rate: 500, Groups: []group{{Event: event, Count: 1}}},
			"0",
			func(r result) bool { return r.P50 > 0 && r.P99 >= r.P50 },
		},
		{
			"fan out", fanOut,
			task{Groups: []group{{Event: event, Count: 20}}},
			"0",
			func(r result) bool { return r.Cold > r.Raise && r.Raise > 0 && r.Warm > 0 && r.Delivered == 6*20 },
		},
		{
			"slow", slow,
			task{For: quick, Rate: 500, Groups: []group{{Event: quickEvent, Count: 1}, {Event: event, Count: 5}}},
			"5",
			func(r result) bool { return r.P50 >= 5*time.Millisecond },
		},
		{
			"idle", idle,
			task{Groups: []group{{Event: event, Count: 20}}},
			"0",
			// What so few take is less than what comes and goes beside them.
			func(r result) bool { return r.Idle != 0 && r.Rested != 0 && r.Delivered == 20 },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newTestLab(t)
			ports := l.place(&tc.task)
			s := l.startTestSink(t, ports, "-d", tc.delay)
			tc.task.Hold = s.cmd.Process.Pid
			r, err := tc.run(tc.task)
			if err != nil {
				t.Fatal(err)
			}
			calls, err := s.stop()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.check(calls); err != nil {
				t.Error(err)
			}
			if !tc.figure(r) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// Bad subscribers take nothing, and do not keep a flood of the healthy from its end.
func TestFloodBesideBad(t *testing.T) {
	for _, option := range []string{"-B", "-S", "-C"} {
		t.Run(option, func(t *testing.T) {
			l := newTestLab(t)
			s := l.startTestSink(t, 4, option, "2")
			task := task{For: 50 * time.Millisecond, Depth: 8, Bad: 1, Groups: []group{
				{Event: event, Host: l.host, Port: l.port, Count: 2},
				{Event: event, Host: l.host, Port: l.port + 2, Count: 2},
			}}
			r, err := flood(task)
			if err != nil {
				t.Fatal(err)
			}
			if r.Delivered == 0 || r.Dropped > 0 {
				t.Errorf("got %+v", r)
			}
			if _, err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A task that cannot be done says so.
func TestRunTask(t *testing.T) {
	for _, text := range []string{"", "{}", `{"Kind":"nothing"}`} {
		if err := runTask(text); err == nil {
			t.Errorf("task %q: no error", text)
		}
	}
}
