package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/evid/evid"
	"github.com/evid/evid/source/core"
)

// raised is what was raised, one line for each event.
type raised struct {
	mu    sync.Mutex
	lines []string
	hops  []uint8
	block chan struct{} // not nil: a raise waits until it is closed
}

func (r *raised) raise(ctx context.Context, event string, params ...evid.Param) (evid.ID, error) {
	if r.block != nil {
		<-r.block
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	line := event
	for _, p := range params {
		line += " " + p.Name + "=" + p.Text()
	}
	r.lines = append(r.lines, strings.ReplaceAll(line, fmt.Sprintf("pid=%d", os.Getpid()), "pid=PID"))
	if cause := evid.Cause(ctx); cause != nil {
		r.hops = append(r.hops, cause.Hops+1)
	}
	return evid.ID{}, nil
}

// told starts a source, lets test tell it things, and returns what it has raised.
func told(t *testing.T, params core.Params, test func(s *core.Source)) []string {
	var r raised
	synctest.Test(t, func(*testing.T) {
		s := core.New(params, r.raise)
		s.Start()
		defer s.Close()
		test(s)
		synctest.Wait()
	})
	return r.lines
}

func TestTook(t *testing.T) {
	got := told(t, core.Params{ExecMsgThreshold: 1000}, func(s *core.Source) {
		s.Took("event route", time.Millisecond, "E_X")
		s.Took("event route", 1500*time.Microsecond, "E_X")
	})
	if diff := cmp.Diff([]string{"E_CORE_THRESHOLD source=event route time=1500 extra=E_X"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := told(t, core.Params{}, func(s *core.Source) { s.Took("event route", time.Hour, "E_X") }); got != nil {
		t.Errorf("without a threshold: %v", got)
	}
}

func TestDisconnected(t *testing.T) {
	got := told(t, core.Params{}, func(s *core.Source) {
		s.Disconnected(netip.MustParseAddrPort("[::ffff:10.0.0.1]:40000"), netip.MustParseAddrPort("[2001:db8::1]:5060"), "tcp")
	})
	want := []string{"E_CORE_TCP_DISCONNECT src_ip=10.0.0.1 src_port=40000 dst_ip=2001:db8::1 dst_port=5060 proto=tcp"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLog(t *testing.T) {
	var out strings.Builder
	got := told(t, core.Params{LogEvent: true}, func(s *core.Source) {
		log := slog.New(s.LogHandler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo})))
		log.Info("event not delivered", "event", "E_X", "n", 5)
		log.Debug("not logged")
		log.Error("event not delivered", "event", "E_CORE_LOG")
		log.With("a", 1).WithGroup("g").Warn("with")
	})
	want := []string{
		"E_CORE_LOG time=Jan  1 00:00:00 pid=PID level=INFO message=event not delivered event=E_X n=5",
		"E_CORE_LOG time=Jan  1 00:00:00 pid=PID level=WARNING message=with",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if n := strings.Count(out.String(), "\n"); n != 3 {
		t.Errorf("%d lines were logged, want 3:\n%s", n, out.String())
	}
}

func TestLogFilter(t *testing.T) {
	log := func(params core.Params) []string {
		return told(t, params, func(s *core.Source) {
			log := slog.New(s.LogHandler(slog.DiscardHandler))
			if params.LogEvent {
				log = slog.New(s.LogHandler(slog.NewTextHandler(new(strings.Builder), nil)))
			}
			log.Info("information")
			log.Warn("warning")
		})
	}
	if got := log(core.Params{LogEvent: true, LogLevelFilter: 1}); len(got) != 1 || !strings.HasSuffix(got[0], "message=warning") {
		t.Errorf("with a filter: %v", got)
	}
	if got := log(core.Params{}); got != nil {
		t.Errorf("not enabled: %v", got)
	}
}

// Lines that an event route logs carry on the hops of its event, so that a circle ends;
// those of E_CORE_LOG itself raise nothing.
func TestLogOfARoute(t *testing.T) {
	var r raised
	synctest.Test(t, func(t *testing.T) {
		s := core.New(core.Params{LogEvent: true}, r.raise)
		s.Start()
		defer s.Close()
		log := slog.New(s.LogHandler(slog.NewTextHandler(new(strings.Builder), nil)))
		log.WarnContext(evid.CausedBy(t.Context(), &evid.Event{Name: "E_X", Hops: 4}), "of E_X")
		log.WarnContext(evid.CausedBy(t.Context(), &evid.Event{Name: "E_CORE_LOG"}), "of E_CORE_LOG")
		synctest.Wait()
	})
	if len(r.lines) != 1 || len(r.hops) != 1 || r.hops[0] != 5 {
		t.Errorf("raised %v with hops %v, want one with 5", r.lines, r.hops)
	}
}

func TestFull(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		r := raised{block: make(chan struct{})}
		s := core.New(core.Params{ExecMsgThreshold: 1}, r.raise)
		s.Start()
		for range 2000 {
			s.Took("route", time.Second, "x")
		}
		synctest.Wait()
		if n := s.Dropped(); n < 2000-1024-1 || n > 2000-1024 {
			t.Errorf("dropped %d of 2000", n)
		}
		close(r.block)
		s.Close()
	})
}

func TestMemory(t *testing.T) {
	got := told(t, core.Params{PkgThreshold: 1, ShmThreshold: 100, Memory: 1 << 10}, func(*core.Source) {
		time.Sleep(5 * time.Second)
	})
	var pkg, shm int
	for _, line := range got {
		switch {
		case strings.HasPrefix(line, "E_CORE_PKG_THRESHOLD usage=100 threshold=1 used=") && strings.HasSuffix(line, " size=1024 pid=PID"):
			pkg++
		case strings.HasPrefix(line, "E_CORE_SHM_THRESHOLD usage=100 threshold=100 used=") && strings.HasSuffix(line, " size=1024"):
			shm++
		}
	}
	if pkg != 1 || shm != 1 || len(got) != 2 {
		t.Errorf("got %v", got)
	}
	if got := told(t, core.Params{PkgThreshold: 99, Memory: 1 << 60}, func(*core.Source) { time.Sleep(5 * time.Second) }); got != nil {
		t.Errorf("below the threshold: %v", got)
	}
}
