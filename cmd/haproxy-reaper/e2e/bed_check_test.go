package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
)

// checked is what one run of check came to.
type checked struct {
	*job
	b      *bed
	code   int
	report check.Report
}

// check runs check with -o json, as root unless told otherwise.
func (b *bed) check(c command) *checked {
	b.t.Helper()
	c.args = append([]string{"check"}, c.args...)
	j := b.startAgent(c)
	k := &checked{job: j, b: b, code: j.wait(b.t)}
	return k.decode()
}

// decode reads the report.
func (k *checked) decode() *checked {
	k.b.t.Helper()
	if err := json.Unmarshal([]byte(k.stdout.String()), &k.report); err != nil {
		k.b.t.Fatalf("%q: exit status %d, %v in %q; %s", k.cmd.Args, k.code, err, k.stdout.String(), k.stderr.String())
	}
	k.b.t.Cleanup(func() {
		if k.b.t.Failed() {
			k.b.t.Logf("%q: exit status %d\n%s%s", k.cmd.Args, k.code, k.stderr.String(), k.stdout.String())
		}
	})
	return k
}

// exits wants an exit status.
func (k *checked) exits(want int) *checked {
	k.b.t.Helper()
	if k.code != want {
		k.b.t.Errorf("%q: exit status %d, want %d", k.cmd.Args, k.code, want)
	}
	return k
}

// finds wants a finding of that status, some words in its message, and exactly
// those processes where any are given.
func (k *checked) finds(name check.Name, status check.Status, words string, about ...process) *checked {
	k.b.t.Helper()
	var pids []int
	for _, p := range about {
		pids = append(pids, p.PID)
	}
	for _, f := range k.report.Findings {
		if f.Name != name {
			continue
		}
		if f.Status != status || !strings.Contains(f.Message, words) || len(pids) > 0 && !slices.Equal(f.PIDs, pids) {
			k.b.t.Errorf("%s is %s of %v: %q; want %s of %v with %q", name, f.Status, f.PIDs, f.Message, status, pids, words)
		}
		return k
	}
	k.b.t.Errorf("no finding %s in %v", name, k.report.Findings)
	return k
}

// misses wants no finding of a name.
func (k *checked) misses(names ...check.Name) *checked {
	k.b.t.Helper()
	for _, f := range k.report.Findings {
		if slices.Contains(names, f.Name) {
			k.b.t.Errorf("finding %s of %s: %q, want none", f.Name, f.Instance, f.Message)
		}
	}
	return k
}

// edit changes the configuration of a service, and lets the clock that start
// times are counted on get past that: what is started next is younger than it.
func (s *service) edit(old, new string) {
	s.b.t.Helper()
	text := s.b.read(s.config)
	if !strings.Contains(text, old) {
		s.b.t.Fatalf("no %q in %s", old, s.config)
	}
	s.b.write(s.config, strings.Replace(text, old, new, 1))
	written := time.Now()
	s.b.until(func() error {
		if past := time.Since(written); past < 30*time.Millisecond { // three ticks
			return fmt.Errorf("%s is %v old", s.config, past)
		}
		return nil
	})
}
