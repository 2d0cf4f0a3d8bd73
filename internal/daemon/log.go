package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"sync/atomic"

	"github.com/evid/evid/internal/loglevel"
	"github.com/evid/evid/modparam"
)

// logParams are the globals about the log.
type logParams struct {
	level          int // as OpenSIPS counts: -3 to 4
	stderr, syslog bool
}

func defaultLogParams() logParams { return logParams{level: 2, stderr: true} }

func (p *logParams) globals() []modparam.Param {
	return []modparam.Param{
		{
			Name: "log_level", Value: modparam.Int(&p.level, -3, 4),
			Usage: "-3 alerts, -2 critical, -1 errors, 1 warnings, 2 notices, 3 information, 4 debugging",
		},
		{Name: "stderror_enabled", Value: modparam.Bool(&p.stderr), Usage: "log to standard error"},
		{Name: "syslog_enabled", Value: modparam.Bool(&p.syslog), Usage: "log to syslog"},
	}
}

// A logLevel is the level of the log, which MI can change.
type logLevel struct {
	opensips atomic.Int32
	slog     slog.LevelVar
}

// Level implements mi.LogLevel.
func (l *logLevel) Level() int { return int(l.opensips.Load()) }

// SetLevel implements mi.LogLevel.
func (l *logLevel) SetLevel(level int) {
	l.opensips.Store(int32(level))
	l.slog.Set(loglevel.Slog(level))
}

// newLogger returns a logger, and what to close when it is no longer used.
func newLogger(p logParams, stderr io.Writer, level *logLevel) (*slog.Logger, logWriters, error) {
	level.SetLevel(p.level)
	var handlers []slog.Handler
	var writers logWriters
	if p.syslog {
		daemon, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_NOTICE, "evid")
		if err != nil {
			return nil, nil, fmt.Errorf("open syslog: %w", err)
		}
		w := newLogWriter(daemon)
		writers = append(writers, w)
		handlers = append(handlers, slog.NewTextHandler(w, &slog.HandlerOptions{Level: &level.slog, ReplaceAttr: withoutTime}))
	}
	if p.stderr {
		if file, ok := stderr.(*os.File); ok { // others do not block
			w := newLogWriter(keepOpen{file})
			stderr, writers = w, append(writers, w)
		}
		handlers = append(handlers, slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: &level.slog, ReplaceAttr: nameLevel}))
	}
	return slog.New(slog.NewMultiHandler(handlers...)), writers, nil
}

// keepOpen is for standard error: it is not the logger's to close.
type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// logWriters are those of one logger.
type logWriters []*logWriter

func (ws logWriters) close() {
	for _, w := range ws {
		w.close()
	}
}

func nameLevel(_ []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey {
		return slog.String(slog.LevelKey, loglevel.Name(level))
	}
	return a
}

// withoutTime is for syslog, which has its own.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return nameLevel(groups, a)
}

func (d *Daemon) notice(msg string, args ...any) {
	d.log.Log(context.Background(), loglevel.Notice, msg, args...)
}
