// Command evid is an event notifier for SIP platforms: the daemon, and the
// commands that talk to it. "evid --help" lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

const version = "0.1.0"

// console is what commands write to.
type console struct{ stdout, stderr io.Writer }

func main() {
	os.Exit(run(os.Args[1:], &console{os.Stdout, os.Stderr}))
}

// run carries out one command line and returns the exit code.
func run(args []string, con *console) int {
	err := execute(args, con)
	if err == nil || errors.Is(err, errHelped) {
		return exitDone
	}
	f := explain(err)
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		fmt.Fprintf(con.stderr, "evid: %v\n", f.err)
		if f.hint != "" {
			fmt.Fprintf(con.stderr, "hint: %s\n", f.hint)
		}
	}()
	select {
	case <-printed:
	case <-time.After(time.Second): // nobody reads it, and it must not keep the process
	}
	return f.code
}

func execute(args []string, con *console) error {
	for _, arg := range args { // kong would change it without a word
		if !utf8.ValidString(arg) {
			return &failure{fmt.Errorf("argument %q: expected UTF-8", arg), "", exitUsage}
		}
	}
	parser := kong.Must(new(grammar),
		kong.Name("evid"),
		kong.Description(description),
		kong.Writers(con.stdout, con.stderr),
		kong.ConfigureHelp(kong.HelpOptions{
			Compact: true, NoAppDescFormat: true, NoExpandSubcommands: true, WrapUpperBound: 100,
		}),
		kong.Help(printHelp),
		kong.WithHyphenPrefixedParameters(true), // --fault -32500
	)
	command, err := parser.Parse(commandFirst(args, parser.Model.Children))
	if err != nil {
		return err
	}
	return command.Run(con)
}

// commandFirst puts the command before the flags that stand in front of it:
// kong knows them only after it. A value of such a flag that is the name of a
// command has to be written --flag=value.
func commandFirst(args []string, commands []*kong.Node) []string {
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") {
		return args
	}
	at := slices.IndexFunc(args, func(arg string) bool {
		return slices.ContainsFunc(commands, func(command *kong.Node) bool { return command.Name == arg })
	})
	if at < 0 {
		return args
	}
	return slices.Concat(args[at:at+1], args[:at], args[at+1:])
}

// errHelped ends parsing once --help has been printed.
var errHelped = errors.New("help was asked for")

func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, ctx); err != nil {
		return err
	}
	return errHelped
}

// interrupts returns a context that ends with the first SIGINT, SIGTERM or
// SIGHUP, and one that ends with the second. From the third on, and after
// release, they have their usual effect.
func interrupts() (first, second context.Context, release func()) {
	stop := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // else it runs under nohup
		stop = append(stop, syscall.SIGHUP)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, stop...)
	first, cancelFirst := context.WithCancel(context.Background())
	second, cancelSecond := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer signal.Stop(signals)
		for _, cancel := range []context.CancelFunc{cancelFirst, cancelSecond} {
			select {
			case <-signals:
				cancel()
			case <-done:
				return
			}
		}
	}()
	return first, second, func() {
		close(done)
		cancelFirst()
		cancelSecond()
	}
}
