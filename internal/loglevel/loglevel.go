// Package loglevel has the levels of the log as OpenSIPS counts them, on those of slog.
package loglevel

import "log/slog"

// The levels that slog has no names for. Notice is what an operator wants to know of a
// daemon that works.
const (
	Alert    = slog.LevelError + 8
	Critical = slog.LevelError + 4
	Notice   = slog.Level(2)
)

// The lowest and the highest level of OpenSIPS. 0 is not used there; it counts as 1.
const (
	Lowest  = -3
	Highest = 4
)

// Slog returns the level of slog that is the same as one of OpenSIPS: -3 alerts, -2
// critical, -1 errors, 1 warnings, 2 notices, 3 information, 4 debugging. Others count as
// the nearest.
func Slog(opensips int) slog.Level {
	switch {
	case opensips >= 4:
		return slog.LevelDebug
	case opensips == 3:
		return slog.LevelInfo
	case opensips == 2:
		return Notice
	case opensips >= 0:
		return slog.LevelWarn
	case opensips == -1:
		return slog.LevelError
	case opensips == -2:
		return Critical
	default:
		return Alert
	}
}

// ByName returns the level that a script calls L_ERR and the like.
func ByName(name string) (opensips int, ok bool) {
	levels := map[string]int{
		"L_ALERT": -3, "L_CRIT": -2, "L_ERR": -1, "L_WARN": 1, "L_NOTICE": 2, "L_INFO": 3, "L_DBG": 4,
	}
	opensips, ok = levels[name]
	return opensips, ok
}

// Name returns the name of a level in the log.
func Name(level slog.Level) string {
	switch level {
	case Alert:
		return "ALERT"
	case Critical:
		return "CRITICAL"
	case Notice:
		return "NOTICE"
	default:
		return level.String()
	}
}
