// bench.d is the program behind scripts/bench: it fills a network namespace of
// its own with sockets, lets a real HAProxy leave residual processes behind in
// it, and measures what it costs to look at them, the agent's way and those in
// use today, in turns within one run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"

	psnet "github.com/shirou/gopsutil/v3/net"
	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is one of the parts of the bench, each a process of its own: what they
// hold open would not fit the descriptors of one.
func run(args []string) error {
	if err := raiseLimit(); err != nil {
		return err
	}
	if len(args) > 1 {
		switch args[0] {
		case "fill":
			return fill(args[1], args[2])
		case "hold":
			return hold(args[1], args[2])
		case "sink":
			return sink(args[1])
		case "gopsutil":
			return gopsutil(args[1])
		}
	}
	return measureAll(args)
}

// raiseLimit allows as many descriptors as may be allowed.
func raiseLimit() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
}

// gopsutil counts a process's connections as programs written with it do.
func gopsutil(text string) error {
	pid, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	conns, err := psnet.ConnectionsPid("tcp", int32(pid))
	if err != nil {
		return err
	}
	_, err = fmt.Println(len(conns))
	return err
}

// settings are what the bench is run with.
type settings struct {
	agent, nothing, floor string // the programs, as built
	dir                   string // for the bench's files
	short                 bool   // only the growth, and less of it
	scales                []int  // sockets of the host
	clients               []int  // of a residual process
	rounds                int
	processes             int
}

func measureAll(args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	var s settings
	flags.StringVar(&s.agent, "agent", "", "the agent's binary")
	flags.StringVar(&s.nothing, "nothing", "", "the binary of a program that does nothing")
	flags.StringVar(&s.floor, "floor", "", "the binary of the C program that only scans")
	flags.BoolVar(&s.short, "short", false, "only tell whether the cost grows with the sockets of the host, up to 100,000")
	flags.StringVar(&s.dir, "dir", "", "folder for the bench's files")
	scales := flags.String("sockets", "2000,20000,200000,1000000", "sockets on the host")
	clients := flags.String("clients", "10,1000,9000", "client connections of a residual process")
	flags.IntVar(&s.rounds, "rounds", 5, "times that each command is run")
	flags.IntVar(&s.processes, "processes", 10000, "processes on the host, for the listing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var err error
	if s.scales, err = numbers(*scales); err != nil {
		return err
	}
	if s.clients, err = numbers(*clients); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if s.short {
		return measureShort(ctx, s)
	}
	return measure(ctx, s)
}

func numbers(text string) ([]int, error) {
	var list []int
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is no number", word)
		}
		list = append(list, n)
	}
	return list, nil
}
