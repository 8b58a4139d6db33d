package agent

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// policyFlags are those that say, beside --deadline and --max-terminations, when
// a residual process is due.
var policyFlags = []string{
	"deadline-for", "deadline-jitter", "hard-deadline", "active-within", "empty-after", "idle-after", "max-residual", "min-available-memory",
}

// policy is the policy that the settings come to. They have been validated.
func (c *config) policy() reaper.Policy {
	p := reaper.Policy{
		Deadline:           time.Duration(c.deadline),
		DeadlineFor:        map[uint16]time.Duration{},
		DeadlineJitter:     time.Duration(c.deadlineJitter),
		HardDeadline:       c.hardDeadline.after,
		ActiveWithin:       time.Duration(c.activeWithin),
		IdleAfter:          c.idleAfter.after,
		MaxResidual:        int(c.maxResidual),
		MinAvailableMemory: int(c.minAvailableMemory),
		MaxTerminations:    int(c.maxTerminations),
		Instances:          c.instances,
	}
	for _, text := range c.deadlineFor {
		port, after, _ := parsePortDeadline(text)
		p.DeadlineFor[port] = after
	}
	if c.emptyAfter.on {
		p.EmptyAfter = &c.emptyAfter.after
	}
	return p
}

// timing is how a pass takes its time, by the settings.
func (c *config) timing() reaper.Timing {
	return reaper.Timing{
		Settle:       time.Duration(c.settle),
		DrainRate:    float64(c.drainRate),
		DrainTimeout: time.Duration(c.drainTimeout),
		KillAfter:    time.Duration(c.killAfter),
		PassTimeout:  time.Duration(c.passTimeout),
	}
}

// validatePolicy refuses what would not do what its words say.
func (c *config) validatePolicy() error {
	switch {
	case c.hardDeadline.on && c.hardDeadline.after < time.Duration(c.deadline):
		return fmt.Errorf("%s (%s) is shorter than the deadline of %s (%s)", c.source("hard-deadline"), &c.hardDeadline, &c.deadline, c.source("deadline"))
	case !c.hardDeadline.on && c.onCommandLine("active-within"):
		return errors.New("--active-within: says nothing without --hard-deadline")
	case c.idleAfter.on && c.idleAfter.after == 0:
		return fmt.Errorf("%s: must be longer than 0s, or off", c.source("idle-after"))
	}
	seen := map[uint16]bool{}
	for _, text := range c.deadlineFor {
		port, _, _ := parsePortDeadline(text)
		if seen[port] {
			return fmt.Errorf("%s: port %d has two deadlines", c.source("deadline-for"), port)
		}
		seen[port] = true
	}
	return nil
}

// parsePortDeadline reads a port and its deadline, as in 22=24h.
func parsePortDeadline(s string) (port uint16, after time.Duration, err error) {
	left, right, found := strings.Cut(s, "=")
	if !found {
		return 0, 0, errors.New("must be a port and its deadline, such as 22=24h")
	}
	n, err := strconv.ParseUint(left, 10, 16)
	if err != nil || n == 0 {
		return 0, 0, errors.New("must begin with a port from 1 to 65535")
	}
	var d durationValue
	if err := d.Set(right); err != nil {
		return 0, 0, fmt.Errorf("deadline of port %d: %w", n, err)
	}
	return uint16(n), time.Duration(d), nil
}

func portDeadline(s string) error {
	_, _, err := parsePortDeadline(s)
	return err
}

// policyWords says, for the head of a report, what of a policy is set besides the
// deadline. The share is this host's part of the jitter, nil where it is not known.
func (c *config) policyWords(share *float64) string {
	var parts []string
	add := func(set bool, format string, args ...any) {
		if set {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	for _, text := range c.deadlineFor {
		port, after, _ := strings.Cut(text, "=")
		add(true, "of port %s %s", port, after)
	}
	if c.deadlineJitter > 0 && share != nil {
		jitter := time.Duration(*share * float64(c.deadlineJitter))
		add(true, "jitter %s of up to %s", jitter.Round(time.Second), &c.deadlineJitter)
	} else {
		add(c.deadlineJitter > 0, "jitter %s, since this host's part of it is not known", &c.deadlineJitter)
	}
	add(c.hardDeadline.on, "%s while clients are active within %s", &c.hardDeadline, &c.activeWithin)
	add(c.emptyAfter.on, "empty after %s", &c.emptyAfter)
	add(c.idleAfter.on, "idle after %s", &c.idleAfter)
	add(c.maxResidual > 0, "at most %s residual", &c.maxResidual)
	add(c.minAvailableMemory > 0, "at least %s %% of memory available", &c.minAvailableMemory)
	if parts == nil {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}
