package package_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// rollout is every command of the runbook that runs the agent, in its order.
func rollout(t *testing.T) (commands []string) {
	t.Helper()
	text := string(read(t, "../rollout.md"))
	for _, match := range regexp.MustCompile("(?m)(?:^    |`)sudo (haproxy-reaper[^`\n]*)").FindAllStringSubmatch(text, -1) {
		commands = append(commands, match[1])
	}
	return commands
}

// One host goes the way of the runbook: looked at, cleaned up by hand, live, and
// back. Root types it here, so that sudo is left out.
func TestTheCommandsOfTheRunbookDoWhatItSays(t *testing.T) {
	t.Parallel()
	const (
		look, check  = "haproxy-reaper", "haproxy-reaper check"
		plan, reapIt = "haproxy-reaper reap --dry-run", "haproxy-reaper reap --dry-run=false --max-terminations 5"
	)
	if diff := cmp.Diff([]string{look, check, plan, reapIt}, rollout(t)); diff != "" {
		t.Fatalf("the runbook has other commands than this test (-test +runbook):\n%s", diff)
	}
	m := machine.Boot(t)
	m.ServeTunnel()
	old, _ := m.ReloadHolding(2)
	active, held := m.Answering(), m.Hold()
	all := append(slices.Clone(old), active)
	dpkg(m, built, debs["amd64"])
	m.AtOnce()

	says := func(command string, words ...string) {
		t.Helper()
		out := m.Must(strings.Fields(command)...)
		for _, word := range words {
			if !strings.Contains(out, word) {
				t.Errorf("%s does not say %q:\n%s", command, word, out)
			}
		}
		if got := m.Workers(); !slices.Equal(got, all) {
			t.Fatalf("after %s the workers are %q, want %q", command, got, all)
		}
	}
	says(look, "active confirmed", "CLIENTS", "SERVERS", old[0], old[1], active)
	says(check, "hard-stop-after")
	says(plan, "would terminate residual process "+old[0], "would terminate residual process "+old[1])

	// It shows its plan again and asks, on a terminal.
	ctx, cancel := context.WithTimeout(t.Context(), machine.Patience)
	defer cancel()
	byHand := m.Command(ctx, "script", "--quiet", "--return", "--command", reapIt, "/dev/null")
	byHand.Stdin = strings.NewReader("y\n")
	out, err := byHand.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "terminated residual process "+old[0]) {
		t.Fatalf("%s: %v\n%s", reapIt, err, out)
	}
	if got := m.Workers(); !slices.Equal(got, []string{active}) {
		t.Errorf("cleaned up, the workers are %q, want %s alone", got, active)
	}
	if err := held.Echo(); err != nil {
		t.Error("the connection held on the active worker:", err)
	}
	// Step 5.
	m.Must("systemctl", "start", "haproxy-reaper.service")
	m.UntilMetrics(map[string]string{
		`active_confirmed{unit="haproxy.service"}`:           "1",
		`processes{state="master",unit="haproxy.service"}`:   "1",
		`processes{state="stranded",unit="haproxy.service"}`: "0",
		`processes{state="stray",unit="haproxy.service"}`:    "0",
		`processes{state="paused",unit="haproxy.service"}`:   "0",
	})

	// Live, HAProxy's own log says what the runbook says it will.
	m.GoLive()
	m.Hurry()
	m.ReloadHolding(1)
	m.Until(func() error {
		journal := m.Must("journalctl", "--no-pager", "--output=cat", "--unit=haproxy.service")
		if want := "Former worker (" + active + ") exited with code 143"; !strings.Contains(journal, want) {
			return errors.New("HAProxy has not said: " + want)
		}
		return nil
	})

	m.Must("systemctl", "stop", "haproxy-reaper.timer", "haproxy-reaper.service")
	kept, _ := m.ReloadHolding(1)
	if got := state(m); got != "enabled, inactive" {
		t.Errorf("rolled back, the timer is %s", got)
	}
	if !slices.Contains(m.Workers(), kept[0]) {
		t.Errorf("rolled back, worker %s is gone", kept[0])
	}
}
