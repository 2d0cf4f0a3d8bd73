package daemon

import (
	_ "embed"
	"os"

	"github.com/evid/evid/script"
)

//go:embed default.cfg
var defaultConfig string

// builtIn is how errors name the built-in configuration.
const builtIn = "<built-in>"

// DefaultConfig returns the configuration that holds when no file is named.
func DefaultConfig() string { return defaultConfig }

// load reads a configuration. The file is returned with an error too, as far as
// it was read.
func load(opts Options) (s *settings, file *script.File, warnings script.Errors, err error) {
	switch {
	case opts.ConfigFile != "":
		file, err = script.ParseFile(opts.ConfigFile)
	case opts.Config != "":
		file, err = script.Parse("<config>", []byte(opts.Config), os.ReadFile)
	default:
		file, err = script.Parse(builtIn, []byte(defaultConfig), os.ReadFile)
	}
	if file == nil {
		return nil, nil, nil, err
	}
	s = newSettings()
	warnings, err = s.apply(file) // its errors include those of parsing
	return s, file, warnings, err
}

// A Report is what there is to say about a configuration.
type Report struct {
	File     *script.File // for the lines that the errors are about; nil: it could not be read
	Warnings script.Errors
	Err      error // of type script.Errors, if the file could be read
}

// Check reads a configuration and reports all that is wrong with it. It also
// reads the files that it names, but listens on nothing.
func Check(opts Options) Report {
	s, file, warnings, err := load(opts)
	if err == nil {
		_, err = build(s, opts)
	}
	return Report{file, warnings, err}
}
