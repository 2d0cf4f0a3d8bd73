// Package crash kills evid at random moments and looks what it has kept.
package crash_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/evid/evid"
	"github.com/evid/evid/internal/daemon"
)

var (
	rounds       = flag.Int("rounds", 10, "how often evid is killed in each of the tests")
	longestRound = flag.Duration("round", 600*time.Millisecond, "how long evid runs until it is killed, at most")
	waiting      = flag.Int("waiting", 20_480, "how many events wait when evid starts")
	subscribers  = flag.Int("subscribers", 1000, "how many there are when evid starts")
	seed         = flag.Uint64("seed", 0, "of the random moments; 0: another one each time")
)

// With these in its environment the test binary is a program that has evid inside.
const (
	childConfig = "EVID_CRASH_CONFIG" // file
	childFirst  = "EVID_CRASH_FIRST"  // the first number that it raises
)

// evidBinary is where evid is, as it was built for the tests.
const evidBinary = "EVID_CRASH_BINARY"

const childRaisers = 16

func TestMain(m *testing.M) {
	if config := os.Getenv(childConfig); config != "" {
		if err := raiseUntilKilled(config, os.Getenv(childFirst)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(run(m))
}

// run builds evid for all tests.
func run(m *testing.M) int {
	flag.Parse()
	dir, err := os.MkdirTemp("", "evid")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "evid")
	args := slices.Concat([]string{"build"}, buildFlags, []string{"-o", binary, "../../cmd/evid"})
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build evid: %v\n%s", err, out)
		return 1
	}
	os.Setenv(evidBinary, binary)
	return m.Run()
}

// raiseUntilKilled raises through the Go API, and writes down what was acknowledged: one
// line each, which is whole or not there.
func raiseUntilKilled(config, first string) error {
	n, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return err
	}
	d, err := daemon.New(daemon.Options{ConfigFile: config})
	if err != nil {
		return err
	}
	if err := d.Start(context.Background()); err != nil {
		return err
	}
	var raising sync.WaitGroup
	for raiser := range int64(childRaisers) {
		raising.Go(func() {
			for i := n; ; i++ {
				event := eventName(raiser + i)
				_, err := d.Events().Raise(context.Background(), event, evid.Int("r", raiser), evid.Int("n", i))
				if err != nil {
					fmt.Fprintf(os.Stderr, "level=ERROR msg=\"raise %s %d %d\" err=%q\n", event, raiser, i, err)
					return
				}
				fmt.Printf("%s %d %d\n", event, raiser, i)
			}
		})
	}
	raising.Wait()
	return nil
}
