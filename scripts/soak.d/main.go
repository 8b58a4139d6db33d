// soak.d is the program behind scripts/soak: every release of HAProxy, run in
// every way, under load and a storm of reloads in a booted systemd, with the
// agent beside it as it ships, killed at random moments. What the agent did is
// judged by what the kernel and the clients say, not by its own report; and a
// naive rule in its place must be found out by the same judge.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if role := os.Getenv(hostileRole); role != "" {
		if err := intrude(role); err != nil {
			fmt.Fprintln(os.Stderr, "soak: hostile:", err)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "load" {
		if err := load(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "soak: load:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "hostile" {
		if err := hostile(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "soak: hostile:", err)
			os.Exit(1)
		}
		return
	}
	s, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	if !newTester(ctx).run(func(t *tester) { soak(ctx, t, s) }) {
		stop()
		os.Exit(1)
	}
}

// settings are what the soak is run with.
type settings struct {
	agent     string        // the agent's binary
	duration  time.Duration // of all parts together
	rate      float64       // connections a second, of all services together
	reloads   float64       // a second, of all services together
	deadline  time.Duration // of the agent
	hostile   bool          // whether a hostile account is beside it all
	allowance time.Duration // how long after it the last residual process may leave
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.StringVar(&s.agent, "agent", "", "the agent's binary")
	flags.DurationVar(&s.duration, "duration", 2*time.Minute, "of all parts together")
	flags.Float64Var(&s.rate, "rate", 1500, "connections a second, of all services together")
	flags.Float64Var(&s.reloads, "reloads", 2, "reloads a second, of all services together")
	flags.DurationVar(&s.deadline, "deadline", 2*time.Second, "the agent's --deadline")
	flags.DurationVar(&s.allowance, "allowance", 30*time.Second, "how long after its deadline the last residual process may leave")
	flags.BoolVar(&s.hostile, "hostile", true, "let a hostile account without privileges loose beside it all")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.rate <= 0 || s.rate > 20000 || s.reloads <= 0 || s.reloads > 50 || s.duration < 30*time.Second || s.duration > 24*time.Hour || s.deadline < time.Second || s.allowance <= 0 {
		return s, fmt.Errorf("at least 30s and at most 24h, up to 20,000 connections and 50 reloads a second, a deadline of 1s or more")
	}
	return s, nil
}
