package daemon

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"

	"github.com/evid/evid/modparam"
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
	assigned bool // all of the settings are as the file has them
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
	c.assigned = true
	c.checkSources()
	switch {
	case !c.settings.loaded["mi_http"]:
		c.warnf(script.Pos{}, `nothing carries MI: add loadmodule "mi_http.so"`)
	case !c.settings.loaded["httpd"]:
		c.errorf(c.file.ModulePos("mi_http"), `module mi_http needs module httpd: add loadmodule "httpd.so"`)
	}
	return c, nil
}

// errorf and warnf say what is wrong, or hardly meant, at a place; the zero Pos: with the
// file as a whole.
func (c *config) errorf(at script.Pos, format string, args ...any) {
	c.wrong = append(c.wrong, c.problem(at, format, args...)).Sorted()
}

func (c *config) warnf(at script.Pos, format string, args ...any) {
	c.warnings = append(c.warnings, c.problem(at, format, args...)).Sorted()
}

func (c *config) problem(at script.Pos, format string, args ...any) script.Error {
	return script.Error{Pos: cmp.Or(at, script.Pos{File: c.name}), Msg: fmt.Sprintf(format, args...)}
}

// blame says why a module could not be built: where its parameter is set, if the error is
// about one, or else where it is loaded. If not all could be assigned it says nothing: that
// may be why.
func (c *config) blame(module string, err error) {
	if !c.assigned {
		return
	}
	var at script.Pos
	if wrong, ok := errors.AsType[*modparam.Error](err); ok {
		for _, param := range wrong.Params {
			at = cmp.Or(at, c.file.ParamPos(module, param))
		}
	}
	c.errorf(cmp.Or(at, c.file.ModulePos(module)), "module %s: %v", module, err)
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
	Err      error // a [*ConfigError], or why the file could not be read
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
