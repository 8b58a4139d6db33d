package systemd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// asTheAgent runs a program as haproxy-reaper.service runs the agent, and
// returns what it wrote.
func asTheAgent(m *machine.Machine, command string) string {
	m.T.Helper()
	addDropIn(m, "haproxy-reaper.service", "zz-probe.conf", `[Service]
ExecStart=
ExecStart=`+command+`
SuccessExitStatus=1
StandardOutput=file:/run/probe
`)
	m.Must("systemctl", "start", "haproxy-reaper.service")
	out := strings.TrimSpace(m.Read("/run/probe"))
	m.Must("rm", "/etc/systemd/system/haproxy-reaper.service.d/zz-probe.conf", "/run/probe")
	m.Must("systemctl", "daemon-reload")
	return out
}

// sleeper is a process of a user.
func sleeper(m *machine.Machine, user string) (pid string) {
	m.T.Helper()
	unit := "sleeper-" + user + ".service"
	m.Must("systemd-run", "--quiet", "--unit="+unit, "--uid="+user, "sleep", "infinity")
	return m.Show(unit, "MainPID")
}

// The agent's rules never choose these; and if they did, as shipped the kernel
// would not let it.
func TestTheKernelRefusesTheServiceEverySignalButToHAProxysWorkers(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	m.Write("/usr/local/bin/sendsignal", string(sendSignal), 0o755)
	before := m.Workers()

	for whose, pid := range map[string]string{
		"HAProxy's master, root's":             m.Show("haproxy.service", "MainPID"),
		"systemd":                              "1",
		"the system bus, messagebus's":         m.Show("dbus.service", "MainPID"),
		"a process of nobody's":                sleeper(m, "nobody"),
		"a process of root's":                  sleeper(m, "root"),
		"a kernel thread, or what has its pid": "2",
	} {
		if got := asTheAgent(m, "/usr/local/bin/sendsignal "+pid); got != "EPERM" && !(pid == "2" && got == "ESRCH") {
			t.Errorf("SIGTERM to %s (%s): %s, want EPERM", whose, pid, got)
		}
	}
	if got := m.Workers(); fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("the workers are %v, want %v", got, before)
	}
	// A process of HAProxy's own user: the probe does reach whom it may.
	if got := asTheAgent(m, "/usr/local/bin/sendsignal "+sleeper(m, "haproxy")); got != "sent" {
		t.Errorf("SIGTERM to a process of haproxy's: %s, want it sent", got)
	}
}

// Debian's master makes its CLI for root alone.
func TestTheServiceSaysThatItMayNotAskTheMaster(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	m.ReloadHolding(1)
	status := func() string { // without its line breaks
		return strings.Join(strings.Fields(asTheAgent(m, "/usr/bin/haproxy-reaper status --config /dev/null")), " ")
	}
	if out := status(); !strings.Contains(out, "active confirmed; checked by sockets, arguments; cannot ask master CLI ") ||
		!strings.Contains(out, "permission denied") {
		t.Errorf("as Debian ships HAProxy:\n%s", out)
	}
	// As deploy/README.md says how to let it ask.
	m.Write("/etc/default/haproxy", `EXTRAOPTS="-S /run/haproxy-master.sock,mode,660,group,haproxy"`+"\n", 0o644)
	m.Must("systemctl", "restart", "haproxy.service")
	m.ReloadHolding(1)
	if out := status(); !strings.Contains(out, "checked by sockets, arguments, cli") || strings.Contains(out, "cannot ask master CLI") {
		t.Errorf("with a master CLI for HAProxy's group:\n%s", out)
	}
}

// HAProxy's master takes ten connections of its CLI, and a question to a stopped worker
// keeps one.
func TestTheMasterAnswersAfterTheServiceLookedAtAStoppedResidual(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	m.Write("/etc/default/haproxy", `EXTRAOPTS="-S /run/haproxy-master.sock,mode,660,group,haproxy"`+"\n", 0o644)
	m.Must("systemctl", "restart", "haproxy.service")
	old, _ := m.ReloadHolding(1)
	m.Must("kill", "-STOP", old[0])
	defer m.Must("kill", "-CONT", old[0]) // or the machine does not power off
	m.Until(func() error {
		if text := m.Must("ps", "-o", "state=", "-p", old[0]); strings.TrimSpace(text) != "T" {
			return fmt.Errorf("the residual process is in state %s", text)
		}
		return nil
	})
	for range 12 {
		m.Must("systemctl", "start", "haproxy-reaper.service")
	}
	out := strings.Join(strings.Fields(asTheAgent(m, "/usr/bin/haproxy-reaper status --config /dev/null")), " ")
	if want := "checked by sockets, arguments, cli; master CLI: no answer of " + old[0] + " (not asked: it is stopped)"; !strings.Contains(out, want) {
		t.Errorf("status does not say %q:\n%s", want, out)
	}
}

func TestCheckFindsNothingMissingForTheService(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	out := asTheAgent(m, "/usr/bin/haproxy-reaper check")
	if words := strings.Join(strings.Fields(out), " "); !strings.Contains(words, "missing, and not needed: no worker runs as another user than uid") || strings.Contains(words, "failure ") {
		t.Errorf("as the service runs, check says\n%s", out)
	}
}

// On a host whose instances run as several users.
func TestWithTheDropInForSeveralUsersRootReapsForAll(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	// Another user's workers, which the service as shipped can see and not end.
	m.Must("sed", "--in-place", "s/^\\tuser haproxy$/\\tuser nobody/", "/etc/haproxy/haproxy.cfg")
	m.Must("systemctl", "restart", "haproxy.service")
	m.ReloadHolding(1)
	m.GoLive()
	m.AtOnce()
	if out, err := m.Run("systemctl", "start", "haproxy-reaper.service"); err == nil {
		t.Errorf("it succeeds, although it may not signal: %s", out)
	}
	if got := m.Show("haproxy-reaper.service", "ExecMainStatus"); got != "4" {
		t.Errorf("the exit status is %s, want 4: a missing privilege", got)
	}
	m.WantJournal("CAP_KILL", "of user nobody")
	if got := m.Workers(); len(got) != 2 {
		t.Errorf("the workers are %v, want both", got)
	}

	dropIn(m, "haproxy-reaper.service", "several-users.conf")
	m.Must("systemctl", "start", "haproxy-reaper.service")
	if got := m.Workers(); len(got) != 1 {
		t.Errorf("the workers are %v, want the active alone", got)
	}

	// The state is root's now. Back to the shipped unit, and to HAProxy's user.
	m.Must("rm", "/etc/systemd/system/haproxy-reaper.service.d/several-users.conf")
	addDropIn(m, "haproxy-reaper.service", "user.conf", strings.Replace(shipped(t, "drop-ins/other-user.conf"), "www-data", "nobody", 1))
	m.ReloadHolding(1)
	m.Must("systemctl", "start", "haproxy-reaper.service")
	m.UntilMetrics(map[string]string{
		`terminated_processes_total{unit="haproxy.service"}`: "2",
		`runs_total`: "3",
	})
}

func TestARunByHandAsRootBetweenTwoOfTheTimerBreaksNothing(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	install(m)
	m.ServeTunnel()
	m.GoLive()
	m.AtOnce()
	for n, run := range [][]string{
		{"systemctl", "start", "haproxy-reaper.service"},
		{"haproxy-reaper", "reap", "--yes", "--textfile", "/run/haproxy-reaper/haproxy-reaper.prom"},
		{"systemctl", "start", "haproxy-reaper.service"},
	} {
		m.ReloadHolding(1)
		m.Must(run...)
		m.UntilMetrics(map[string]string{
			`terminated_processes_total{unit="haproxy.service"}`: fmt.Sprint(n + 1),
			`runs_total`:         fmt.Sprint(n + 1),
			`run_failures_total`: "0",
		})
	}
}
