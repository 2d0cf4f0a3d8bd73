package daemon

import (
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/mi"
)

// A dormantKey names a subscription that could not be brought back after a restart.
type dormantKey struct{ event, socket string }

// noteDormant keeps why subscriptions could not be brought back.
func (d *Daemon) noteDormant(failed []*evid.RestoreError) {
	d.dormant = make(map[dormantKey]string, len(failed))
	for _, f := range failed {
		d.dormant[dormantKey{f.Event, f.Socket}] = f.Err.Error()
	}
}

// QueueStatus implements [mi.Queue].
func (d *Daemon) QueueStatus(subscribers int) mi.QueueStatus {
	o := d.queue.Overview(subscribers)
	s := mi.QueueStatus{
		Mode: o.Mode, Sync: d.sync, Since: o.Since,
		Events: o.Events, Bytes: o.Bytes, Oldest: o.Oldest,
		MaxEvents: o.MaxEvents, MaxBytes: o.MaxBytes, MaxAge: o.MaxAge, OnFull: o.OnFull,
		DeadLetters: o.Letters.Kept, Waiting: o.Waiting, Dormant: o.Dormant, Behind: o.Behind,
	}
	if d.store != nil {
		s.Where = d.store.String()
	}
	switch {
	case o.Err != nil:
		s.Reason = o.Err.Error()
	case o.Full:
		s.Reason = evid.ErrQueueFull.Error()
	}
	for _, lag := range o.Lags {
		one := mi.QueuedSubscriber{
			Event: lag.Event, Socket: lag.Socket.String(), Waiting: lag.Waiting, Oldest: lag.Oldest, Dormant: lag.Dormant,
		}
		if lag.Dormant {
			one.Reason = d.dormant[dormantKey{one.Event, one.Socket}]
		}
		s.Subscribers = append(s.Subscribers, one)
	}
	return s
}

// queueStatistics is the group queue.
func (d *Daemon) queueStatistics() []mi.Statistic {
	o := d.queue.Overview(0)
	var writable, age uint64
	if o.Err == nil && !o.Full {
		writable = 1
	}
	if !o.Oldest.IsZero() {
		age = uint64(max(0, time.Since(o.Oldest)) / time.Second)
	}
	return []mi.Statistic{
		{Name: "commits", Value: o.Commits, Incremental: true},
		{Name: "committed", Value: o.Committed, Incremental: true},
		{Name: "commit_failures", Value: o.CommitFailures, Incremental: true},
		{Name: "save_failures", Value: o.SaveFailures, Incremental: true},
		{Name: "refused", Value: o.Refused, Incremental: true},
		{Name: "writable", Value: writable},
		{Name: "log_events", Value: o.Events},
		{Name: "log_bytes", Value: o.Bytes},
		{Name: "log_age", Value: age},
		{Name: "behind", Value: uint64(o.Behind)},
		{Name: "dormant", Value: uint64(o.Dormant)},
	}
}
