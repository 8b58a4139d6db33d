package flags

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// policyFlags are those that say, beside --deadline and --max-terminations, when
// a residual process is due.
var policyFlags = []string{
	"deadline-for", "deadline-jitter", "hard-deadline", "active-within", "empty-after", "idle-after", "max-residual", "min-available-memory",
}

// drainFlags are those that say how clients are taken leave of.
var drainFlags = []string{"drain-rate", "drain-timeout"}

// Policy returns the policy that the settings come to.
func (c *Config) Policy() judge.Policy {
	p := judge.Policy{
		Deadline:           c.deadline,
		DeadlineFor:        map[uint16]time.Duration{},
		DeadlineJitter:     c.deadlineJitter,
		HardDeadline:       c.hardDeadline.after,
		ActiveWithin:       c.activeWithin,
		IdleAfter:          c.idleAfter.after,
		MaxResidual:        c.maxResidual,
		MinAvailableMemory: c.minAvailableMemory,
		MaxTerminations:    c.maxTerminations,
		Instances:          c.Instances,
	}
	for _, d := range c.deadlineFor {
		p.DeadlineFor[d.port] = d.after
	}
	if c.emptyAfter.on {
		p.EmptyAfter = &c.emptyAfter.after
	}
	return p
}

// Timing returns how a pass takes its time, by the settings.
func (c *Config) Timing() judge.Timing {
	return judge.Timing{
		Settle:       c.settle,
		DrainRate:    c.drainRate,
		DrainTimeout: c.drainTimeout,
		KillAfter:    c.killAfter,
		PassTimeout:  c.passTimeout,
	}
}

// validatePolicy refuses what would not do what its words say.
func (c *Config) validatePolicy() error {
	switch {
	case c.hardDeadline.on && c.hardDeadline.after < c.deadline:
		return fmt.Errorf("%s (%s) is shorter than the deadline of %s (%s)", c.Source("hard-deadline"), &c.hardDeadline, durationText(c.deadline), c.Source("deadline"))
	case !c.hardDeadline.on && c.OnCommandLine("active-within"):
		return errors.New("--active-within: says nothing without --hard-deadline")
	case c.idleAfter.on && c.idleAfter.after == 0:
		return fmt.Errorf("%s: must be longer than 0s, or off", c.Source("idle-after"))
	}
	seen := map[uint16]bool{}
	for _, d := range c.deadlineFor {
		if seen[d.port] {
			return fmt.Errorf("%s: port %d has two deadlines", c.Source("deadline-for"), d.port)
		}
		seen[d.port] = true
	}
	return nil
}

// validateDrain refuses what would not do what its words say.
func (c *Config) validateDrain() error {
	switch {
	case c.drainTimeout == 0:
		return fmt.Errorf("%s: must be longer than 0s", c.Source("drain-timeout"))
	case c.drainRate == 0 && c.OnCommandLine("drain-timeout"):
		return errors.New("--drain-timeout: says nothing without --drain-rate")
	}
	return nil
}

// PolicyWords says which policy decides, for the head of a report: the deadline, what
// set it, and the rules besides, as in "deadline 30m (default); empty after 5m". The
// share is this host's part of the jitter, nil where it is not known.
func (c *Config) PolicyWords(share *float64) string {
	words := fmt.Sprintf("deadline %s (%s)", durationText(c.deadline), c.Source("deadline"))
	var parts []string
	add := func(set bool, format string, args ...any) {
		if set {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	for _, d := range c.deadlineFor {
		add(true, "of port %s", strings.Replace(d.text, "=", " ", 1))
	}
	if c.deadlineJitter > 0 && share != nil {
		jitter := time.Duration(*share * float64(c.deadlineJitter))
		add(true, "jitter %s of up to %s", jitter.Round(time.Second), durationText(c.deadlineJitter))
	} else {
		add(c.deadlineJitter > 0, "jitter %s, since this host's part of it is not known", durationText(c.deadlineJitter))
	}
	add(c.hardDeadline.on, "%s while clients are active within %s", &c.hardDeadline, durationText(c.activeWithin))
	add(c.emptyAfter.on, "empty after %s", &c.emptyAfter)
	add(c.idleAfter.on, "idle after %s", &c.idleAfter)
	add(c.maxResidual > 0, "at most %d residual", c.maxResidual)
	add(c.minAvailableMemory > 0, "at least %d %% of memory available", c.minAvailableMemory)
	if parts == nil {
		return words
	}
	return words + "; " + strings.Join(parts, ", ")
}
