package ansible_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// A fleet on which residual processes have piled up, cleaned up once.
func TestTheCleanUpLooksAtEveryHostThenGoesHostByHost(t *testing.T) {
	t.Parallel()
	f := bootFleet(t)
	var workers [3][]string // of each host, the youngest is the active one
	for i, m := range f.Hosts {
		m.ServeTunnel()
		old, _ := m.ReloadHolding(2)
		workers[i] = append(old, m.Answering())
	}
	install(f, `"haproxy_reaper_settings": {"dry-run": true, "max-terminations": 1, "deadline": "0s"}`)
	want := func(when string, left ...[]string) {
		t.Helper()
		for i, m := range f.Hosts {
			if diff := cmp.Diff(left[i], m.Workers()); diff != "" {
				t.Errorf("%s, the workers of host %d (-want +got):\n%s", when, i+1, diff)
			}
		}
	}
	all := workers[:]
	const forReal = `{"haproxy_reaper_for_real": true, "haproxy_reaper_pause": 0}`

	said, hosts := ansible(f, "clean-up.yml", "{}")
	if n := strings.Count(said, "2 of 2 residual processes are due, with 2 clients"); n != 3 {
		t.Errorf("it says %d times what is due, want once for each host", n)
	}
	for host, r := range hosts {
		if r.changed+r.failed+r.unreachable > 0 {
			t.Errorf("unless it is for real, %s: %+v", host, r)
		}
	}
	want("unless it is for real", all...)

	// A host that refuses, one that nobody can reach: nothing is done anywhere.
	second := f.Hosts[1]
	second.Must("kill", "-STOP", workers[1][2])
	_, hosts = ansible(f, "clean-up.yml", forReal)
	if hosts["h2"].failed != 1 {
		t.Errorf("while the second host's active worker is stopped: %+v", hosts)
	}
	second.Must("kill", "-CONT", workers[1][2])
	want("with a host that refuses", all...)
	f.Unplug(1)
	_, hosts = ansible(f, "clean-up.yml", forReal)
	if h2 := hosts["h2"]; h2.unreachable+h2.failed != 1 {
		t.Errorf("with the second host off the network: %+v", hosts)
	}
	f.Plug(1)
	want("with a host that is not there", all...)

	// Midway: an old worker that is stopped gets SIGTERM and stays. It keeps no other
	// from its end, whatever the cap.
	second.Must("kill", "-STOP", workers[1][0])
	_, hosts = ansible(f, "clean-up.yml", forReal)
	if got := hosts["h1"]; got.changed != 1 || got.failed != 0 {
		t.Errorf("the first host: %+v", got)
	}
	if got := hosts["h2"]; got.failed != 1 {
		t.Errorf("the second host, with a survivor: %+v", got)
	}
	want("when the second host failed", workers[0][2:], []string{workers[1][0], workers[1][2]}, all[2])
	second.Must("kill", "-CONT", workers[1][0])
	second.Until(func() error { return gone(second, workers[1][0]) })

	_, hosts = ansible(f, "clean-up.yml", forReal)
	for host, changed := range map[string]int{"h1": 0, "h2": 0, "h3": 1} {
		if got := hosts[host]; got.changed != changed || got.failed != 0 {
			t.Errorf("again, %s: %+v, want %d changes", host, got, changed)
		}
	}
	want("in the end", workers[0][2:], workers[1][2:], workers[2][2:])
	if _, hosts = ansible(f, "clean-up.yml", forReal); hosts["h1"].changed+hosts["h2"].changed+hosts["h3"].changed != 0 {
		t.Errorf("on a clean fleet: %+v", hosts)
	}
}

var errStillThere = errors.New("it is still there")

func gone(m *machine.Machine, pid string) error {
	if slices.Contains(m.Workers(), pid) {
		return errStillThere
	}
	return nil
}
