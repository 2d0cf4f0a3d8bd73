package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"sync/atomic"

	"github.com/evid/evid/modparam"
)

// levelNotice is between information and warning: what an operator wants to
// know of a daemon that works.
const levelNotice = slog.Level(2)

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
	switch {
	case level >= 4:
		l.slog.Set(slog.LevelDebug)
	case level == 3:
		l.slog.Set(slog.LevelInfo)
	case level == 2:
		l.slog.Set(levelNotice)
	case level >= 0:
		l.slog.Set(slog.LevelWarn)
	case level == -1:
		l.slog.Set(slog.LevelError)
	default:
		l.slog.Set(slog.LevelError + 4) // critical; evid logs nothing there
	}
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
		handlers = append(handlers, slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: &level.slog, ReplaceAttr: nameNotice}))
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

func nameNotice(_ []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey && level == levelNotice {
		return slog.String(slog.LevelKey, "NOTICE")
	}
	return a
}

// withoutTime is for syslog, which has its own.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.Attr{}
	}
	return nameNotice(groups, a)
}

func (d *Daemon) notice(msg string, args ...any) {
	d.log.Log(context.Background(), levelNotice, msg, args...)
}
