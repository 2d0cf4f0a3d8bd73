package core

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/loglevel"
)

// LogHandler returns a handler that passes lines on to next and raises E_CORE_LOG for each,
// if log_event_enabled says so. The message is that of the line with its attributes. Lines
// about E_CORE_LOG itself raise nothing, nor those that its event route logs.
func (s *Source) LogHandler(next slog.Handler) slog.Handler {
	if !s.params.LogEvent {
		return next
	}
	lowest := slog.LevelDebug
	if s.params.LogLevelFilter != 0 {
		lowest = loglevel.Slog(s.params.LogLevelFilter)
	}
	return &logHandler{Handler: next, source: s, lowest: lowest}
}

type logHandler struct {
	slog.Handler
	source *Source
	lowest slog.Level
}

// Handle implements [slog.Handler].
func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	cause := evid.Cause(ctx)
	if record.Level >= h.lowest && (cause == nil || cause.Name != EventLog) {
		if message, itself := text(record); !itself {
			h.source.tellOf(cause, EventLog,
				evid.String("time", record.Time.Format(time.Stamp)), pid(),
				evid.String("level", levelName(record.Level)), evid.String("message", message))
		}
	}
	return h.Handler.Handle(ctx, record)
}

// WithAttrs implements [slog.Handler].
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.Handler.WithAttrs(attrs), h.source, h.lowest}
}

// WithGroup implements [slog.Handler].
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.Handler.WithGroup(name), h.source, h.lowest}
}

// text is a line without time and level, and whether it is about E_CORE_LOG.
func text(record slog.Record) (message string, itself bool) {
	var b strings.Builder
	b.WriteString(record.Message)
	record.Attrs(func(a slog.Attr) bool {
		itself = itself || a.Value.String() == EventLog
		b.WriteString(" " + a.String())
		return true
	})
	return b.String(), itself
}

// levelName is what OpenSIPS calls a level in this event.
func levelName(level slog.Level) string {
	switch {
	case level >= loglevel.Alert:
		return "ALERT"
	case level >= loglevel.Critical:
		return "CRITICAL"
	case level >= slog.LevelError:
		return "ERROR"
	case level >= slog.LevelWarn:
		return "WARNING"
	case level >= loglevel.Notice:
		return "NOTICE"
	case level >= slog.LevelInfo:
		return "INFO"
	default:
		return "DBG"
	}
}
