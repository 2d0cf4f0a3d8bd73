package daemon

import (
	_ "embed"
	"errors"
	"fmt"
	"log/slog"

	"github.com/evid/evid/queue"
	"github.com/evid/evid/script"
	"github.com/evid/evid/script/program"
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

// A config is a configuration as it was read. What was found wrong with it is collected,
// so that all of it is said at once: see err.
type config struct {
	name     string // of the file, for errors about the whole of it
	file     *script.File
	settings *settings
	warnings script.Errors
	wrong    script.Errors
}

// readConfig reads a configuration, but for its routes. An error says why it could not be
// read.
func readConfig(opts Options) (*config, error) {
	c := &config{name: opts.ConfigFile, settings: newSettings()}
	var err error
	switch {
	case c.name != "":
		c.file, err = script.ParseFile(c.name)
	case opts.Config != "":
		c.name = "<config>"
		c.file, err = script.Parse(c.name, []byte(opts.Config), script.ReadFile)
	default:
		c.name = "<built-in>"
		c.file, err = script.Parse(c.name, []byte(defaultConfig), script.ReadFile)
	}
	if c.file == nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	c.warnings, err = c.settings.apply(c.file) // its errors include those of parsing
	c.wrong, _ = errors.AsType[script.Errors](err)
	if len(c.wrong) > 0 {
		return c, nil
	}
	c.checkSources()
	whole := script.Pos{File: c.name}
	switch {
	case !c.settings.loaded["mi_http"]:
		c.warnings = append(c.warnings, script.Error{Pos: whole, Msg: `nothing carries MI: add loadmodule "mi_http.so"`})
	case !c.settings.loaded["httpd"]:
		c.wrong = append(c.wrong, script.Error{Pos: whole, Msg: `module mi_http needs module httpd: add loadmodule "httpd.so"`})
	}
	return c, nil
}

// compile compiles the routes.
func (c *config) compile(opts program.Options) *program.Program {
	p, warnings, wrong := program.Compile(c.file, opts)
	c.warnings = append(c.warnings, warnings...).Sorted()
	c.wrong = append(c.wrong, wrong...).Sorted()
	return p
}

// err is a [*ConfigError], nil if nothing is wrong.
func (c *config) err() error {
	if len(c.wrong) == 0 {
		return nil
	}
	return &ConfigError{c.file, c.wrong}
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
	c, err := readConfig(opts)
	if err != nil {
		return Report{Err: err}
	}
	c.settings.queue.Mode = queue.Memory // nothing is opened
	_, err = build(c, opts, slog.New(slog.DiscardHandler), new(logLevel))
	return Report{c.file, c.warnings, err}
}
