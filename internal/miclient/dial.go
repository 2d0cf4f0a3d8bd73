package miclient

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	startTime = time.Second // in which a daemon that was just started listens
	dialPause = 20 * time.Millisecond
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// patient returns dial with patience for a daemon that was started a moment ago
// ("evid run & evid register E_X"): while the connection is refused it tries
// again, for up to startTime.
func patient(dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		giveUp := time.NewTimer(startTime)
		defer giveUp.Stop()
		again := time.NewTicker(dialPause)
		defer again.Stop()
		for {
			conn, err := dial(ctx, network, addr)
			if !errors.Is(err, syscall.ECONNREFUSED) {
				return conn, err
			}
			select {
			case <-again.C:
			case <-giveUp.C:
				return nil, err
			case <-ctx.Done():
				return nil, err
			}
		}
	}
}
