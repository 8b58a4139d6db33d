package systemd_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// On each of three hosts a run lasts for ten seconds, since what it signals is
// stopped and stays. One slot for all of them; who has it first dies with it.
func TestWithASlotInEtcdOneHostReapsAtATime(t *testing.T) {
	t.Parallel()
	f := machine.BootFleet(t, 3)
	serveEtcd(f.Control)
	stuck := make([]string, len(f.Hosts))
	for i, m := range f.Hosts {
		install(m)
		m.ServeTunnel()
		old, _ := m.ReloadHolding(1)
		stuck[i] = old[0]
		m.Must("kill", "-STOP", stuck[i])
		t.Cleanup(func() { m.Run("kill", "-CONT", stuck[i]) }) // or it would not power off
		m.GoLive()
		m.AtOnce()
	}
	start := func() {
		t.Helper()
		for _, m := range f.Hosts {
			m.Must("systemctl", "start", "--no-block", "haproxy-reaper.service")
		}
	}
	// reaping is who does so now.
	reaping := func() (hosts []int) {
		for i, m := range f.Hosts {
			if _, err := m.Run("pgrep", "--exact", "haproxy-reaper"); err == nil {
				hosts = append(hosts, i)
			}
		}
		return hosts
	}
	result := func(m *machine.Machine) string {
		return m.Must("systemctl", "show", "--property=ActiveState,ExecMainStatus", "haproxy-reaper.service")
	}
	const survived = "ExecMainStatus=5\nActiveState=failed"

	// Without a slot, all at once.
	start()
	f.Control.Until(func() error {
		if got := reaping(); len(got) < len(f.Hosts) {
			return fmt.Errorf("reaping are hosts %v", got)
		}
		return nil
	})
	for _, m := range f.Hosts {
		m.Until(func() error { return differs(survived, result(m)) })
		m.Write("/usr/share/haproxy-reaper/systemd/etcd-slot", shipped(t, "drop-ins/etcd-slot"), 0o755)
		dropIn(m, "haproxy-reaper.service", "etcd-slot.conf")
		m.Write("/etc/haproxy-reaper/etcd.conf", "SLOTS=1\nETCDCTL_ENDPOINTS=http://"+machine.ControlAddress+":2379\n", 0o644)
		if out := m.Must("systemd-analyze", "verify", "--man=no", "haproxy-reaper.service"); out != "" {
			t.Errorf("systemd-analyze verify says:\n%s", out)
		}
	}

	start()
	var order []int
	atMostOne := func() {
		t.Helper()
		// One may have ended, and the next begun, while they were asked in turn; both
		// a second time it cannot be, since a run lasts.
		now := reaping()
		if again := reaping(); len(now) > 1 && len(again) > 1 {
			t.Fatalf("hosts %v reap at once, and so do %v", now, again)
		}
		switch {
		case len(now) == 1 && !slices.Contains(order, now[0]):
			order = append(order, now[0])
		}
	}
	f.Control.Until(func() error {
		atMostOne()
		if len(order) == 0 {
			return fmt.Errorf("no host reaps")
		}
		return nil
	})
	dead := order[0]
	f.Unplug(dead)
	f.Hosts[dead].PullThePlug()
	left := slices.Delete(slices.Clone(f.Hosts), dead, dead+1)
	for len(order) < len(f.Hosts) {
		f.Control.Until(func() error {
			before := len(order)
			atMostOne()
			if len(order) == before {
				return fmt.Errorf("hosts %v have reaped, and nobody else", order)
			}
			return nil
		})
	}
	for _, m := range left {
		m.Until(func() error {
			atMostOne()
			return differs(survived, result(m))
		})
	}

	t.Run("and without etcd nobody reaps", func(t *testing.T) {
		f.Control.Must("systemctl", "stop", "etcd")
		m := left[0]
		counted := m.Metrics()["runs_total"]
		m.Must("systemctl", "reset-failed", "haproxy-reaper.service")
		if out, err := m.Run("systemctl", "start", "haproxy-reaper.service"); err == nil {
			t.Errorf("the service says that all is well: %s", out)
		}
		if err := differs("ExecMainStatus=1\nActiveState=failed", result(m)); err != nil {
			t.Error(err)
		}
		if got := m.Metrics()["runs_total"]; got != counted {
			t.Errorf("after %s runs there are %s", counted, got)
		}
	})
}

// serveEtcd lets etcd answer the hosts of the fleet.
func serveEtcd(m *machine.Machine) {
	m.T.Helper()
	url := "http://" + machine.ControlAddress + ":2379"
	m.Write("/etc/default/etcd", "ETCD_LISTEN_CLIENT_URLS="+url+"\nETCD_ADVERTISE_CLIENT_URLS="+url+"\n", 0o644)
	m.Must("systemctl", "restart", "etcd")
}

func differs(want, got string) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("(-want +got):\n%s", diff)
	}
	return nil
}
