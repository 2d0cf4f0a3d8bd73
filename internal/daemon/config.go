package daemon

import (
	_ "embed"
	"errors"
	"fmt"
	"log/slog"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/script"
)

//go:embed default.cfg
var defaultConfig string

// DefaultConfig returns the configuration that holds when no file is named.
func DefaultConfig() string { return defaultConfig }

// A ConfigError is all that is wrong with a configuration.
type ConfigError struct {
	File   *script.File // for the lines that the errors are about
	Errors script.Errors
}

func (e *ConfigError) Error() string { return e.Errors.Error() }

// load reads a configuration. What is wrong with it is a [*ConfigError]; any
// other error says why it could not be read. The file is that of the warnings.
func load(opts Options) (s *settings, file *script.File, warnings script.Errors, err error) {
	name := opts.ConfigFile
	switch {
	case name != "":
		file, err = script.ParseFile(name)
	case opts.Config != "":
		name = "<config>"
		file, err = script.Parse(name, []byte(opts.Config), script.ReadFile)
	default:
		name = "<built-in>"
		file, err = script.Parse(name, []byte(defaultConfig), script.ReadFile)
	}
	if file == nil {
		return nil, nil, nil, err
	}
	s = newSettings()
	warnings, err = s.apply(file) // its errors include those of parsing
	if wrong, ok := errors.AsType[script.Errors](err); ok {
		return nil, file, warnings, &ConfigError{file, wrong}
	}
	whole := script.Pos{File: name}
	switch {
	case !s.loaded["mi_http"]:
		warnings = append(warnings, script.Error{Pos: whole, Msg: `nothing carries MI: add loadmodule "mi_http.so"`})
	case !s.loaded["httpd"]:
		err = &ConfigError{file, script.Errors{{Pos: whole, Msg: `module mi_http needs module httpd: add loadmodule "httpd.so"`}}}
	}
	return s, file, warnings, err
}

// A Report is what there is to say about a configuration.
type Report struct {
	File     *script.File // for the lines that the warnings are about; nil: it could not be read
	Warnings script.Errors
	Err      error // a [*ConfigError], or why something it names could not be read
}

// Check reads a configuration and reports all that is wrong with it. It also
// reads the files that it names, but opens nothing else.
func Check(opts Options) Report {
	s, file, warnings, err := load(opts)
	if _, wrong := errors.AsType[*ConfigError](err); err != nil && !wrong {
		err = fmt.Errorf("read configuration: %w", err)
	}
	if err == nil {
		s.queue.Mode = queue.Memory // nothing is opened
		_, err = build(s, opts, slog.New(slog.DiscardHandler), new(logLevel))
	}
	return Report{file, warnings, err}
}
