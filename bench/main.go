// Command bench measures evid beside a sender written in C, and prints one table.
//
// Every figure of a row comes from the same rounds: in each one the reference and evid
// run one after the other, and a ratio is formed inside one round. README.md says what
// the rows are.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// senderCommand is how this program starts itself to send: see [runTask].
const senderCommand = "sender"

// options are what the command line says.
type options struct {
	rounds  int
	row     *regexp.Regexp
	seconds time.Duration
	port    int
	nodes   string
	evid    string
	interop bool
	flood   time.Duration
	strict  bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == senderCommand {
		os.Exit(senderMain(os.Args[2:]))
	}
	os.Exit(benchMain())
}

func senderMain(args []string) int {
	if len(args) != 1 {
		fmt.Fprintln(os.Stderr, "evid-bench sender: expected one task")
		return 2
	}
	if err := runTask(args[0]); err != nil {
		fmt.Fprintf(os.Stderr, "evid-bench sender: %v\n", err)
		return 1
	}
	return 0
}

func benchMain() int {
	opts, err := readOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "evid-bench: %v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := measure
	if opts.flood > 0 {
		run = floodFlat
	}
	fine, err := run(ctx, opts)
	if err != nil {
		fmt.Fprintf(os.Stderr, "evid-bench: %v\n", err)
		return 1
	}
	if !fine {
		return 1
	}
	return 0
}

func readOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("evid-bench", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "run every row so often; each figure is a median over the rounds")
	flags.DurationVar(&o.seconds, "time", 1500*time.Millisecond, "measure so long per run")
	flags.IntVar(&o.port, "port", 10000, "first of the 10,001 ports that the servers get, on an address of their own in 127.0.0.0/8")
	flags.StringVar(&o.nodes, "node-modules", "test/interop/node/node_modules", "where -interop finds the npm package xmlrpc")
	flags.StringVar(&o.evid, "evid", "bin/evid", "the evid that the rows about SIP and HEP run")
	flags.BoolVar(&o.interop, "interop", false, "measure real XML-RPC servers instead")
	flags.DurationVar(&o.flood, "flood", 0, "only flood evid for so long, and exit with 1 if its memory grows after a third of that")
	flags.BoolVar(&o.strict, "strict", false, "exit with 1 if a row misses its limit")
	row := flags.String("row", "", "only rows that match this `regexp`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("expected options only, got %q", flags.Arg(0))
	}
	if o.rounds < 1 || o.seconds <= 0 {
		return o, errors.New("expected -rounds and -time above 0")
	}
	var err error
	if o.row, err = regexp.Compile(*row); err != nil {
		return o, fmt.Errorf("read -row: %w", err)
	}
	return o, nil
}

// measure runs the rounds and prints the table. It reports whether all is as it should
// be: every run gave a figure, and with -strict no row misses its limit.
func measure(ctx context.Context, opts options) (fine bool, err error) {
	lab, err := newLab(ctx, opts)
	if err != nil {
		return false, err
	}
	defer lab.close()
	experiments := standardExperiments()
	if opts.interop {
		experiments = interopExperiments()
	}
	experiments = chosen(experiments, opts.row)
	if len(experiments) == 0 {
		return false, fmt.Errorf("no row matches %q", opts.row)
	}
	began := time.Now()
	runRounds(ctx, lab, experiments, opts.rounds)
	if ctx.Err() != nil {
		return false, fmt.Errorf("measure: %w", context.Cause(ctx))
	}
	fmt.Println(header(began, opts))
	printTable(os.Stdout, experiments)
	missed, failed := verdict(experiments)
	return failed == 0 && (missed == 0 || !opts.strict), nil
}
