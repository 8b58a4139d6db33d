package systemd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Situations that need cgroups, and so a systemd.

// pass is one run of the agent by hand, with everything due.
type pass struct {
	m      *machine.Machine
	report judge.Report
	code   int
}

// reap runs the agent as an operator would. The arguments before "--" are those
// of a program that runs it, systemd-run for example.
func reap(m *machine.Machine, args ...string) pass {
	m.T.Helper()
	prefix := []string{}
	if i := slices.Index(args, "--"); i >= 0 {
		prefix, args = args[:i], args[i+1:]
	}
	all := slices.Concat(prefix,
		[]string{"/usr/bin/haproxy-reaper", "reap", "--config", "/dev/null", "--state-dir", "/tmp/state", "--yes", "--deadline=0s", "-o", "json"}, args)
	cmd := m.Command(m.T.Context(), all...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.T.Fatal(err)
	}
	p := pass{m: m, code: cmd.ProcessState.ExitCode()}
	if err := json.Unmarshal(out, &p.report); err != nil {
		m.T.Fatalf("%q: exit status %d, %v in %q", all, p.code, err, out)
	}
	return p
}

// instance is the instance of that name.
func (p pass) instance(name string) judge.Instance {
	p.m.T.Helper()
	var names []string
	for _, i := range p.report.Instances {
		if i.Name == name {
			return i
		}
		names = append(names, i.Name)
	}
	p.m.T.Fatalf("no instance %q, only %q", name, names)
	return judge.Instance{}
}

// outcomes are those of the processes of an instance that have one, by pid.
func (p pass) outcomes(name string) map[string]judge.Outcome {
	p.m.T.Helper()
	all := map[string]judge.Outcome{}
	for _, q := range p.instance(name).Processes {
		if q.Outcome != "" {
			all[strconv.Itoa(q.PID)] = q.Outcome
		}
	}
	return all
}

// Debian's ExecReload checks the configuration first, as root and in the unit's
// own cgroup: for that time the check is the youngest HAProxy there.
func TestConfigurationCheckOfExecReloadIsWaitedForAndRefused(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	const cfg, list = "/etc/haproxy/haproxy.cfg", "/etc/haproxy/list"
	m.Write(list, "", 0o644)
	m.Write(cfg, m.Read(cfg)+"\nfrontend slow\n    bind 127.0.0.1:8081\n    acl known src -f "+list+"\n", 0o644)
	m.ServeTunnel()
	old, _ := m.ReloadHolding(1)
	active := m.Answering()

	if err := os.Remove(m.Path(list)); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(m.Path(list), 0o644); err != nil {
		t.Fatal(err)
	}
	m.Must("systemctl", "reload", "--no-block", "haproxy")
	m.Until(func() error {
		if out, _ := m.Run("pgrep", "--full", "haproxy .*-c"); out == "" {
			return errors.New("no check is running")
		}
		return nil
	})
	p := reap(m, "--settle=300ms")
	if got := p.instance("haproxy.service"); p.code != 3 || got.Refusal != judge.ReasonStray {
		t.Errorf("exit status %d, refusal %q (%s), want 3 and %q", p.code, got.Refusal, got.RefusalDetail, judge.ReasonStray)
	}
	if got := m.Workers(); !slices.Equal(got, []string{old[0], active}) {
		t.Errorf("the workers are %q, want %q", got, []string{old[0], active})
	}

	// Who waits for the pipe gets its end; who opens the list from now on, a file.
	m.Write(list+".new", "", 0o644)
	pipe, err := os.OpenFile(m.Path(list), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(m.Path(list+".new"), m.Path(list)); err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	m.Until(func() error {
		if m.Answering() == active {
			return errors.New("the reload is not over")
		}
		return nil
	})
	m.Until(func() error {
		if got := reap(m).outcomes("haproxy.service")[old[0]]; got != judge.OutcomeTerminated {
			return fmt.Errorf("outcome of %s: %q", old[0], got)
		}
		return nil
	})
}

func TestServicesOfTwoUnitsAreTwoInstances(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	m.Write("/etc/haproxy/two.cfg", strings.NewReplacer("2222", "2224", "8080", "8082", "/run/haproxy/admin.sock", "/run/haproxy/two.sock").Replace(m.Read("/etc/haproxy/haproxy.cfg")), 0o644)
	unit := m.Must("systemctl", "cat", "haproxy.service")
	m.Write("/etc/systemd/system/haproxy-two.service", strings.NewReplacer(
		"haproxy.cfg", "two.cfg", "haproxy.pid", "two.pid", "haproxy-master.sock", "two-master.sock").Replace(unit), 0o644)
	m.Must("systemctl", "daemon-reload")
	m.Must("systemctl", "start", "haproxy-two.service")
	old, _ := m.ReloadHolding(2)
	other := m.Show("haproxy-two.service", "MainPID")
	before := m.Read("/proc/" + other + "/task/" + other + "/children")

	p := reap(m)
	if got := p.outcomes("haproxy.service"); len(got) != 2 || got[old[0]] != judge.OutcomeTerminated || got[old[1]] != judge.OutcomeTerminated {
		t.Errorf("outcomes %v, want %q terminated", got, old)
	}
	two := p.instance("haproxy-two.service")
	if !two.Confirmed || two.Refusal != "" || len(two.Processes) != 2 {
		t.Errorf("the other instance: confirmed %v, refusal %q, %d processes", two.Confirmed, two.Refusal, len(two.Processes))
	}
	if after := m.Read("/proc/" + other + "/task/" + other + "/children"); before == "" || after != before {
		t.Errorf("the workers of the other service were %q and are %q", before, after)
	}
}

// Daemons started by hand live in the session of whoever started them.
func TestGenerationsInDifferentSessionsAreOneInstance(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	m.Must("systemctl", "stop", "haproxy.service")
	inSession := func(n int, flags ...string) {
		m.Must(append([]string{"systemd-run", "--quiet", "--scope", fmt.Sprintf("--unit=session-%d.scope", n), "haproxy", "-D", "-f", "/etc/haproxy/haproxy.cfg"}, flags...)...)
	}
	inSession(7)
	m.Until(func() error { return answered(m) })
	first := m.Answering()
	held := m.Hold()
	inSession(8, "-sf", first)
	m.Until(func() error {
		if m.Answering() == first {
			return errors.New("the first daemon still answers")
		}
		return nil
	})
	if a, b := m.Read("/proc/"+first+"/cgroup"), m.Read("/proc/"+m.Answering()+"/cgroup"); a == b || !strings.Contains(a, "session-7.scope") {
		t.Fatalf("cgroups %q and %q: this shows nothing", a, b)
	}
	if err := held.Echo(); err != nil {
		t.Fatal(err)
	}
	active := m.Answering()
	p := reap(m)
	if got := p.outcomes("/etc/haproxy/haproxy.cfg@haproxy"); len(got) != 1 || got[first] != judge.OutcomeTerminated {
		t.Errorf("outcomes %v, want %s terminated", got, first)
	}
	if now := m.Answering(); now != active {
		t.Errorf("%s answers, not %s", now, active)
	}
}

// answered says that nobody answers.
func answered(m *machine.Machine) error {
	if out, err := m.Run("ss", "-Hltn", "sport = :8080"); err != nil || out == "" {
		return fmt.Errorf("nobody listens: %v", err)
	}
	return nil
}

// A user with a delegated cgroup can name what is below it as he likes.
func TestDelegatedCgroupUnderTheServicesNameIsNotTheService(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	old, _ := m.ReloadHolding(1)
	active := m.Answering()
	m.Write("/tmp/mine.cfg", "defaults\n mode tcp\n timeout client 1h\n timeout connect 1s\n timeout server 1h\nfrontend mine\n bind 127.0.0.1:8100\n default_backend b\nbackend b\n server s 127.0.0.1:9\n", 0o644)
	// systemd makes one dollar of two.
	m.Must("systemd-run", "--quiet", "--uid=nobody", "--property=Delegate=yes", "--unit=attacker.service", "sh", "-c",
		`for top in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
			own=$top/system.slice/attacker.service
			[ -d $own ] && mkdir -p $own/system.slice/haproxy.service && echo $$$$ >$own/system.slice/haproxy.service/cgroup.procs
		done
		exec haproxy -Ws -f /tmp/mine.cfg -sf `+old[0]+" "+active)
	var attacker string
	m.Until(func() error {
		pids := strings.Fields(m.Must("sh", "-c", "pgrep --full /tmp/mine.cfg || true"))
		for _, pid := range pids {
			if strings.Contains(m.Read("/proc/"+pid+"/cgroup"), "attacker.service/system.slice/haproxy.service") {
				attacker = pid
				return nil
			}
		}
		return fmt.Errorf("no attacker under the service's name among %q", pids)
	})
	p := reap(m)
	if got := p.outcomes("haproxy.service"); len(got) != 1 || got[old[0]] != judge.OutcomeTerminated {
		t.Errorf("outcomes %v, want %s alone terminated", got, old[0])
	}
	for _, q := range p.instance("haproxy.service").Processes {
		if strconv.Itoa(q.PID) == attacker {
			t.Error("the attacker is taken for one of haproxy.service")
		}
	}
	if now := m.Answering(); now != active {
		t.Errorf("%s answers, not %s", now, active)
	}
}

// In a sandbox with a network of its own a dump of the kernel's sockets is empty,
// and is no error.
func TestSandboxWithANetworkOfItsOwnIsNotBlind(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	old, _ := m.ReloadHolding(1)
	m.Hold()
	p := reap(m, "systemd-run", "--quiet", "--wait", "--pipe", "--property=PrivateNetwork=yes", "--")
	if got := p.outcomes("haproxy.service"); len(got) != 1 || got[old[0]] != judge.OutcomeTerminated {
		t.Errorf("outcomes %v, want %s alone terminated", got, old[0])
	}
	for _, q := range p.instance("haproxy.service").Processes {
		switch {
		case q.Role == judge.RoleResidual && (q.Connections.Client == nil || *q.Connections.Client != 1):
			t.Errorf("clients of the residual process: %v, want 1", q.Connections.Client)
		case q.Role == judge.RoleActive && (q.Connections.Client != nil && *q.Connections.Client < 1 || len(q.Listeners) == 0):
			t.Errorf("the active has %v clients and listens on %q", q.Connections.Client, q.Listeners)
		}
	}
}

// A filter against pidfd_getfd, as container runtimes have: the kernel's tables
// stand in for it.
func TestFilterAgainstLookingAtDescriptorsIsNoHindrance(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	old, _ := m.ReloadHolding(2)
	active := m.Answering()
	p := reap(m, "systemd-run", "--quiet", "--wait", "--pipe", "--property=SystemCallFilter=~pidfd_getfd", "--property=SystemCallErrorNumber=EPERM", "--")
	if got := p.outcomes("haproxy.service"); len(got) != 2 || got[old[0]] != judge.OutcomeTerminated || got[old[1]] != judge.OutcomeTerminated {
		t.Errorf("refusal %q, outcomes %v, want %q terminated", p.instance("haproxy.service").RefusalDetail, got, old)
	}
	for _, q := range p.instance("haproxy.service").Processes {
		if q.Role == judge.RoleResidual && (q.Connections.Client == nil || *q.Connections.Client != 1) {
			t.Errorf("clients of %d: %v, want 1", q.PID, q.Connections.Client)
		}
	}
	if now := m.Answering(); now != active {
		t.Errorf("%s answers, not %s", now, active)
	}
}

// A socket unit passes all of its sockets, and the configuration uses one. systemd
// passes them in blocking mode, and every generation holds them all.
func TestSocketOfAUnitThatNothingUsesHoldsNoOldWorkerBack(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	const cfg = "/etc/haproxy/haproxy.cfg"
	m.Write(cfg, strings.Replace(m.Read(cfg), "bind 127.0.0.1:8080", "bind fd@3", 1), 0o644)
	m.Write("/etc/systemd/system/haproxy.socket", "[Socket]\nListenStream=127.0.0.1:8080\nListenStream=127.0.0.1:8090\n", 0o644)
	// The check of Debian's ExecReload is passed no socket, and so fails.
	m.Must("mkdir", "-p", "/etc/systemd/system/haproxy.service.d")
	m.Write("/etc/systemd/system/haproxy.service.d/reload.conf", "[Service]\nExecReload=\nExecReload=/bin/kill -USR2 $MAINPID\n", 0o644)
	m.Must("systemctl", "daemon-reload")
	m.Must("systemctl", "stop", "haproxy.service")
	m.Must("systemctl", "start", "haproxy.socket", "haproxy.service")
	old, _ := m.ReloadHolding(2)
	active := m.Answering()
	holders := m.Must("ss", "-Hltnp", "sport = :8090")
	for _, pid := range append(slices.Clone(old), active) {
		if !strings.Contains(holders, "pid="+pid+",") {
			t.Fatalf("%s does not hold the socket that nothing uses, this shows nothing: %s", pid, holders)
		}
	}
	p := reap(m)
	if got := p.outcomes("haproxy.service"); len(got) != 2 || got[old[0]] != judge.OutcomeTerminated || got[old[1]] != judge.OutcomeTerminated {
		t.Errorf("refusal %q, outcomes %v, want %q terminated", p.instance("haproxy.service").RefusalDetail, got, old)
	}
	if now := m.Answering(); now != active {
		t.Errorf("%s answers, not %s", now, active)
	}
}
