// Package script is the configuration language of OpenSIPS, as far as an event
// notifier needs it.
//
// [Parse] and [ParseFile] read the text: globals (name=value), loadmodule,
// modparam, include_file and import_file, comments (# to the end of the line,
// and /* */, which nest). [File.Apply] then gives what the file says to modules
// that it knows only through a [Schema]. Both go on after an error and report
// all they find, each with its place as file:line:col.
//
// Route blocks are recognised and left out, each with an error.
//
// Limits: a file has at most 1 MiB, all files together 8 MiB, includes go 32
// deep, braces 100 deep, and reading stops after 100 errors.
package script

const (
	maxFileSize     = 1 << 20
	maxTotalSize    = 8 << 20
	maxIncludeDepth = 32
	maxBraceDepth   = 100
	maxErrors       = 100
)
