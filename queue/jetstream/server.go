package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// Nothing is kept in memory, and the server wants a limit above zero.
	serverMemory = 16 << 20
	// The queue bounds its log itself.
	serverStore = 1 << 60
)

// An embedded is the NATS server in this process. It listens nowhere.
type embedded struct {
	*server.Server
	log   *serverLog
	ended chan struct{} // closed once it has: nothing of it touches the files any more
	once  sync.Once
}

// startServer starts a server on the directory. The one before has ended.
func startServer(dir string, sync string, log *slog.Logger) (*embedded, error) {
	always, interval, err := parseSync(sync)
	if err != nil {
		return nil, err
	}
	s, err := server.NewServer(&server.Options{
		ServerName:             "evid",
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		StoreDir:               dir,
		JetStreamMaxMemory:     serverMemory,
		JetStreamMaxStore:      serverStore,
		SyncAlways:             always,
		SyncInterval:           interval,
		DisableJetStreamBanner: true,
		MaxPending:             maxPending,
	})
	if err != nil {
		return nil, fmt.Errorf("start the NATS server: %w", err)
	}
	e := &embedded{Server: s, log: &serverLog{log: log}, ended: make(chan struct{})}
	s.SetLoggerV2(e.log, false, false, false)
	s.Start() // with DontListen it returns once the streams are there
	if !s.Running() || !s.JetStreamEnabled() {
		<-e.stop()
		return nil, fmt.Errorf("start the NATS server: %w", e.log.reason())
	}
	return e, nil
}

// stop lets the server end, which takes as long as the disk does.
func (e *embedded) stop() <-chan struct{} {
	e.once.Do(func() {
		go func() {
			defer close(e.ended)
			e.Shutdown()
			e.WaitForShutdown()
		}()
	})
	return e.ended
}

// A serverLog takes what the server logs: none of it is more than a warning, as the
// daemon goes on. It keeps the last complaint.
type serverLog struct {
	log     *slog.Logger
	starved atomic.Uint64 // files that could not be opened because too many are open
	mu      sync.Mutex
	last    string
	gone    []goneBlock
}

// A goneBlock is what the server says of a file that its index knows, and that is not
// there.
type goneBlock struct {
	block string // its number
	text  string
}

// routine is what the server says of a start after a kill, in which nothing need be
// wrong: what is wrong, Open finds by itself.
var routine = [...]string{"Stream state outdated", "Recovering stream state from index errored"}

func (l *serverLog) complain(format string, args []any) {
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	for _, arg := range args {
		if err, ok := arg.(error); ok && (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) {
			l.starved.Add(1)
			l.log.Debug("NATS server: " + text) // who asked is told
			return
		}
	}
	for _, known := range routine {
		if strings.Contains(text, known) {
			l.log.Debug("NATS server: " + text)
			return
		}
	}
	l.mu.Lock()
	l.last = text
	if _, block, ok := strings.Cut(text, "could not locate msg block "); ok {
		l.gone = append(l.gone, goneBlock{block, text})
	}
	l.mu.Unlock()
	l.log.Warn("NATS server: " + text)
}

// reason is what the server complained of last.
func (l *serverLog) reason() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == "" {
		return errors.New("it gives no reason")
	}
	return errors.New(l.last)
}

// missing returns what the server says of files that are not there.
func (l *serverLog) missing() []goneBlock {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone
}

// The methods of server.Logger.

func (l *serverLog) Noticef(format string, args ...any) {
	l.log.Debug("NATS server: " + strings.TrimSpace(fmt.Sprintf(format, args...)))
}
func (l *serverLog) Warnf(format string, args ...any)  { l.complain(format, args) }
func (l *serverLog) Errorf(format string, args ...any) { l.complain(format, args) }
func (l *serverLog) Fatalf(format string, args ...any) { l.complain(format, args) }
func (l *serverLog) Debugf(string, ...any)             {}
func (l *serverLog) Tracef(string, ...any)             {}
