package loglevel_test

import (
	"log/slog"
	"testing"

	"github.com/evid/evid/internal/loglevel"
)

func TestLevels(t *testing.T) {
	tests := []struct {
		opensips int
		level    slog.Level
		name     string
		script   string // what a script calls it
	}{
		{-4, loglevel.Alert, "ALERT", ""},
		{-3, loglevel.Alert, "ALERT", "L_ALERT"},
		{-2, loglevel.Critical, "CRITICAL", "L_CRIT"},
		{-1, slog.LevelError, "ERROR", "L_ERR"},
		{0, slog.LevelWarn, "WARN", ""},
		{1, slog.LevelWarn, "WARN", "L_WARN"},
		{2, loglevel.Notice, "NOTICE", "L_NOTICE"},
		{3, slog.LevelInfo, "INFO", "L_INFO"},
		{4, slog.LevelDebug, "DEBUG", "L_DBG"},
		{5, slog.LevelDebug, "DEBUG", ""},
	}
	for _, test := range tests {
		level := loglevel.Slog(test.opensips)
		if level != test.level || loglevel.Name(level) != test.name {
			t.Errorf("level %d is %d, called %s; want %d, %s", test.opensips, level, loglevel.Name(level), test.level, test.name)
		}
		if test.script == "" {
			continue
		}
		if n, ok := loglevel.ByName(test.script); n != test.opensips || !ok {
			t.Errorf("%s is %d, %t; want %d", test.script, n, ok, test.opensips)
		}
	}
	if _, ok := loglevel.ByName("L_NOPE"); ok {
		t.Error("L_NOPE is a level")
	}
}
