package daemon

import (
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
