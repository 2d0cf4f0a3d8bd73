// Package script is the configuration language of OpenSIPS, as far as an event
// notifier needs it: its text. What routes do when they run is in package program.
//
// [Parse] and [ParseFile] read the text: globals (name=value), loadmodule,
// modparam, include_file and import_file, routes, comments (# to the end of the line,
// and /* */, which nest). [File.Apply] then gives what the file says to modules
// that it knows only through a [Schema]. Both go on after an error and report
// all they find, each with its place as file:line:col.
//
// Limits: a file has at most 1 MiB, all files together 8 MiB, includes go 32
// deep, braces, actions and parentheses 100 deep, an expression has at most 1000
// operands, those within parentheses too, a variable 100 transformations, and
// reading stops after 100 errors.
package script

const (
	maxFileSize     = 1 << 20
	maxTotalSize    = 8 << 20
	maxIncludeDepth = 32
	maxBraceDepth   = 100
	maxErrors       = 100

	maxVariableDepth = 10   // variables within each other
	maxOperands      = 1000 // in one expression
	maxTransforms    = 100  // of one variable
)
