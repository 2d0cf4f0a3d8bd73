package pike

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/loglevel"
)

// maxChanges is how many changes wait to be told. An address can be blocked once in a unit
// only, so it takes thousands of flooders to fill that.
const maxChanges = 8192

// closeTime is how long Close goes on raising what waits.
const closeTime = time.Second

// A change is an address that was blocked or unblocked.
type change struct {
	addr    netip.Addr
	blocked bool
}

// tell has a change told, and says whether there is room for it. It is called with the lock
// of the address's shard held: the changes of one address are told in order.
func (p *Pike) tell(c change) bool {
	select {
	case p.changes <- c:
		return true
	default:
		return false
	}
}

// Start lets time go on, and changes be told. It is called once.
func (p *Pike) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.running.Go(p.keepTime)
	p.running.Go(func() {
		defer cancel()
		p.announceAll(ctx)
	})
}

// Close raises what waits, for a second at most, and stops. Checks can still be made, but
// nothing is told or unblocked any more. Without Start it does nothing.
func (p *Pike) Close() {
	if p.cancel == nil {
		return
	}
	p.stopped.Do(func() { close(p.stop) })
	timer := time.AfterFunc(closeTime, p.cancel)
	defer timer.Stop()
	p.running.Wait()
}

func (p *Pike) keepTime() {
	start := time.Now()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			p.tick(uint32(time.Since(start) / time.Second))
		}
	}
}

func (p *Pike) announceAll(ctx context.Context) {
	for {
		select {
		case c := <-p.changes:
			p.announce(ctx, c)
		case <-p.stop:
			p.announceRest(ctx)
			return
		}
	}
}

// announceRest announces what waits at the end.
func (p *Pike) announceRest(ctx context.Context) {
	for {
		select {
		case c := <-p.changes:
			if ctx.Err() != nil {
				p.lost.Add(1)
				continue
			}
			p.announce(ctx, c)
		default:
			return
		}
	}
}

// announce logs a change, with the words of OpenSIPS, and raises its event.
func (p *Pike) announce(ctx context.Context, c change) {
	text, event := "PIKE - BLOCKing ip ", EventBlocked
	if !c.blocked {
		text, event = "PIKE - UNBLOCKing ip ", EventUnblocked
	}
	ip := c.addr.String()
	p.log.Log(ctx, loglevel.Slog(p.params.LogLevel), text+ip)
	if p.raise == nil || !c.blocked && !p.params.UnblockEvent {
		return
	}
	_, err := p.raise(ctx, event, evid.String("ip", ip))
	if err != nil && !errors.Is(err, evid.ErrNoSubscribers) {
		p.failed.Add(1)
		p.log.Error("tell of an address", "ip", ip, "err", err)
	}
}
