// compare.d is the program behind scripts/compare: what clients go through that
// reconnect at once when they are cut off, under each way to be rid of an old
// worker; and what a fleet's worth of them is to those who serve them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// settings are what the comparison is run with.
type settings struct {
	agent    string // the agent's binary
	dir      string // for HAProxy's files
	pictures string // where the pictures go, "" for none
	clients  int
	rate     float64 // of --drain-rate
}

func main() {
	var s settings
	flag.StringVar(&s.agent, "agent", "", "the agent's binary")
	flag.StringVar(&s.dir, "dir", "", "a folder for HAProxy's files")
	flag.StringVar(&s.pictures, "pictures", "", "the folder that gets the pictures; none without")
	flag.IntVar(&s.clients, "clients", 2000, "that are connected when the old worker goes, 10 to 20,000")
	flag.Float64Var(&s.rate, "rate", 100, "of --drain-rate, clients a second")
	flag.Parse()
	if flag.NArg() > 0 || s.clients < 10 || s.clients > 20_000 || s.rate < 1 {
		fmt.Fprintln(os.Stderr, "compare: 10 to 20,000 clients, a rate of 1 or more, and no arguments")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := compare(ctx, s); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, s settings) error {
	var runs []outcome
	for _, w := range ways(s) {
		o, err := w.run(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		runs = append(runs, o)
	}
	printRuns(os.Stdout, s, runs)
	fleets := simulateAll()
	printFleets(os.Stdout, fleets)
	if s.pictures != "" {
		if err := drawRuns(filepath.Join(s.pictures, "reconnects.svg"), s, runs); err != nil {
			return err
		}
		if err := drawFleet(filepath.Join(s.pictures, "fleet.svg"), fleets); err != nil {
			return err
		}
	}
	return verdict(s, runs)
}

// verdict fails where the agent does not do what reaper/README.md says of it: draining
// keeps its pace, with room for a machine that stands still for a moment. What
// fails is told and not judged, since a busy machine lets connections fail alone.
func verdict(s settings, runs []outcome) error {
	for _, o := range runs {
		switch {
		case o.back != s.clients:
			return fmt.Errorf("%s: %d of %d clients are back", o.name, o.back, s.clients)
		case o.drained && o.peak() > int(3*s.rate):
			return fmt.Errorf("%s: %d clients reconnected in one second, want no more than three times the rate of %g", o.name, o.peak(), s.rate)
		}
	}
	return nil
}

// patience is how long anything may take that is waited for.
const patience = 2 * time.Minute
