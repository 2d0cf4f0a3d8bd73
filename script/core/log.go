package core

import (
	"errors"
	"strconv"
	"strings"

	"github.com/evid/evid/internal/loglevel"
	"github.com/evid/evid/script/program"
	"github.com/evid/evid/script/value"
)

// The levels of what is logged without one, as OpenSIPS has them.
const (
	xlogLevel = -1 // L_ERR
	logLevel  = 4  // L_DBG
)

var errLevel = errors.New("expected L_ALERT, L_CRIT, L_ERR, L_WARN, L_NOTICE, L_INFO, L_DBG or an integer from -3 to 4")

// bindXdbg binds xdbg(text).
func bindXdbg(b *program.Binding) (program.Call, error) { return xlog(b.Value(0), logLevel), nil }

// bindXlog binds xlog([level,] text).
func bindXlog(b *program.Binding) (program.Call, error) {
	level, text := xlogLevel, b.Value(0)
	if b.Given(1) {
		var err error
		if level, err = constantLevel(b); err != nil {
			return nil, err
		}
		text = b.Value(1)
	}
	return xlog(text, level), nil
}

func xlog(text func(r *program.Run) value.Value, level int) program.Call {
	at := loglevel.Slog(level)
	return func(r *program.Run) (int64, error) {
		if !r.Log().Enabled(r.Context(), at) {
			return program.True, nil
		}
		r.Log().Log(r.Context(), at, line(string(text(r).Append(nil))))
		return program.True, nil
	}
}

// bindLog binds log([level,] text), whose text has no variables.
func bindLog(b *program.Binding) (program.Call, error) {
	level, last := logLevel, 0
	if b.Given(1) {
		var err error
		if level, err = constantLevel(b); err != nil {
			return nil, err
		}
		last = 1
	}
	text, _ := b.Constant(last)
	at := loglevel.Slog(level)
	return func(r *program.Run) (int64, error) {
		r.Log().Log(r.Context(), at, line(text))
		return program.True, nil
	}, nil
}

// constantLevel reads the first argument.
func constantLevel(b *program.Binding) (int, error) {
	text, constant := b.Constant(0)
	if level, ok := loglevel.ByName(text); ok && constant {
		return level, nil
	}
	level, err := strconv.Atoi(text)
	if !constant || err != nil || level < loglevel.Lowest || level > loglevel.Highest {
		return 0, &program.BindError{Arg: 0, Err: errLevel}
	}
	return level, nil
}

// line is a text as one line of the log.
func line(text string) string { return strings.TrimRight(text, "\r\n") }
