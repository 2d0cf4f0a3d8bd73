package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/evid/evid/internal/daemon"
	"github.com/evid/evid/script"
)

type checkCmd struct {
	File *string `short:"f" required:"" placeholder:"FILE" help:"The configuration."`
}

// Help is what "evid check --help" adds.
func (*checkCmd) Help() string {
	return "It says all that is wrong with the file, where, and what is known instead. Nothing is started."
}

// Validate checks what kong cannot.
func (cmd *checkCmd) Validate() error {
	if cmd.File != nil && *cmd.File == "" {
		return errNoFile
	}
	return nil
}

func (cmd *checkCmd) Run(con *console) error {
	report := daemon.Check(daemon.Options{ConfigFile: *cmd.File, Version: version, Stderr: con.stderr})
	printProblems(con.stderr, "warning: ", report.File, report.Warnings)
	if report.Err != nil {
		return configError(con.stderr, *cmd.File, report.Err)
	}
	_, err := fmt.Fprintf(con.stdout, "%s: ok\n", *cmd.File)
	return err
}

// configError prints what is wrong with a configuration and returns how much
// that is. Other errors it returns.
func configError(w io.Writer, name string, err error) error {
	wrong, ok := errors.AsType[*daemon.ConfigError](err)
	if !ok {
		return err
	}
	if name == "" {
		name = "the built-in configuration"
	}
	printProblems(w, "", wrong.File, wrong.Errors)
	if len(wrong.Errors) == 1 {
		return fmt.Errorf("%s: 1 error", name)
	}
	return fmt.Errorf("%s: %d errors", name, len(wrong.Errors))
}

// printProblems prints each problem with the line that it is in.
func printProblems(w io.Writer, prefix string, file *script.File, problems script.Errors) {
	for _, problem := range problems {
		fmt.Fprintf(w, "%s%v\n", prefix, problem)
		for line := range strings.Lines(file.Excerpt(problem.Pos)) {
			fmt.Fprintf(w, "    %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
}
