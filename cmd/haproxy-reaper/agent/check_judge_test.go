package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// preflightOf is a host on which all is well, but for what changes says.
func preflightOf(changes ...func(*preflight, *instanceFacts)) preflight {
	p := preflight{
		report: fixture.ReportOf(fixture.OldWorker(6034, time.Minute, 1), fixture.OldWorker(6035, time.Minute, 1)),
		have:   inspect.Privileges{Caps: 1<<inspect.CapSysPtrace | 1<<inspect.CapDACReadSearch | 1<<inspect.CapKill},
	}
	p.pidNS, p.netNS = 1, 2
	p.ownUnits = []ownUnit{{unit: "haproxy-reaper.service", user: "haproxy", uid: 106, found: true}}
	facts := instanceFacts{
		pidNS: 1, netNS: 2,
		config: inspect.Configuration{Files: []string{"/etc/haproxy/haproxy.cfg"}, Settings: inspect.Settings{
			HardStopAfter: setting(3, "30m"), MaxReloads: setting(4, "50"), ExposeFD: setting(5, "socket"),
		}},
		changed: inspect.TicksToBoottime(50), // before all
		master:  inspect.MasterAnswer{Version: "2.6.12", Reloads: map[int]int{6050: 0, 6034: 2, 6035: 1}},
		unit:    "haproxy.service", service: inspect.UnitSettings{Type: "notify", KillMode: "mixed", Restart: "always"},
	}
	for _, change := range changes {
		change(&p, &facts)
	}
	p.instances = map[string]instanceFacts{"haproxy.service": facts}
	return p
}

func setting(line int, value string) *inspect.Setting {
	return &inspect.Setting{File: "/etc/haproxy/haproxy.cfg", Line: line, Value: value}
}

func TestAHostOnWhichAllIsWellHasNothingToDo(t *testing.T) {
	r := judge(preflightOf())
	for _, f := range r.Findings {
		if f.Status != FindingOK || f.Advice != "" {
			t.Errorf("%+v", f)
		}
	}
	if r.Status != FindingOK || r.Summary.OK != len(r.Findings) || r.Summary.Warning+r.Summary.Failure > 0 {
		t.Errorf("%s, %+v of %d findings", r.Status, r.Summary, len(r.Findings))
	}
	if f := judgeExitStatus(r); f != ExitOK {
		t.Errorf("exit status %d", f)
	}
}

func judgeExitStatus(r CheckReport) int {
	var f faults
	f.addFindings(r)
	return f.status()
}

// TestFindings has a row for each thing that can be wrong, in which nothing else
// is.
func TestFindings(t *testing.T) {
	facts := func(change func(*instanceFacts)) func(*preflight, *instanceFacts) {
		return func(_ *preflight, f *instanceFacts) { change(f) }
	}
	host := func(change func(*preflight)) func(*preflight, *instanceFacts) {
		return func(p *preflight, _ *instanceFacts) { change(p) }
	}
	without := func(list ...inspect.Capability) func(*preflight, *instanceFacts) {
		return host(func(p *preflight) {
			for _, c := range list {
				p.have.Caps &^= 1 << c
			}
		})
	}
	noResidual := host(func(p *preflight) { p.report = fixture.ReportOf() })
	refused := func(reason reaper.Reason) func(*preflight, *instanceFacts) {
		return host(func(p *preflight) { p.report = fixture.RefusedReport(reason, "") })
	}
	stranded := func(reasons ...reaper.StrandedReason) func(*preflight, *instanceFacts) {
		return host(func(p *preflight) {
			for i, reason := range reasons {
				q := &p.report.Instances[0].Processes[1+i]
				q.Role, q.StrandedReason = reaper.RoleStranded, reason
			}
		})
	}
	type change = func(*preflight, *instanceFacts)
	for _, c := range []struct {
		name    string
		changes []change
		finding FindingName
		status  FindingStatus
		words   string
		pids    []int
		exit    int
	}{
		{"no pidfds", []change{host(func(p *preflight) { p.features.PidfdOpen = unix.ENOSYS })}, FindPidfdOpen, FindingFailure, "no process can be signalled", nil, ExitPrivilege},
		{"no pidfd_send_signal", []change{host(func(p *preflight) { p.features.PidfdSendSignal = unix.EPERM })}, FindPidfdSendSignal, FindingFailure, "operation not permitted", nil, ExitPrivilege},
		{"a class of its sockets that is not ours", []change{host(func(p *preflight) { p.otherClasses = map[int]string{6001: "net_cls:/", 6035: "net_cls:/docker/7"} })},
			FindSocketClass, FindingWarning, "net_cls:/docker/7", []int{6035}, ExitOK},
		{"no pidfd_getfd", []change{host(func(p *preflight) { p.features.PidfdGetfd = unix.EPERM })}, findPidfdGetfd, FindingWarning, "operation not permitted", nil, ExitOK},
		{"no PIDFD_GET_INFO, which nobody needs", []change{host(func(p *preflight) { p.features.PidfdInfo = unix.ENOTTY })}, findPidfdInfo, FindingOK, "not needed", nil, ExitOK},
		{"rights that cannot be read", []change{host(func(p *preflight) { p.have, p.haveErr = inspect.Privileges{}, unix.EIO })}, FindCapKill, FindingFailure, "not known: input/output error", nil, ExitPrivilege},
		{"no right to look", []change{without(inspect.CapSysPtrace)}, FindCapSysPtrace, FindingFailure, "missing", nil, ExitPrivilege},
		{"root without CAP_DAC_READ_SEARCH", []change{without(inspect.CapDACReadSearch)}, FindCapDACRead, FindingWarning, "not root's", nil, ExitOK},
		{"another user without it", []change{without(inspect.CapDACReadSearch), host(func(p *preflight) { p.have.EUID = 106 })}, FindCapDACRead, FindingFailure, "missing", nil, ExitPrivilege},
		{"no right to signal", []change{without(inspect.CapKill)}, FindCapKill, FindingFailure, "cannot be signalled", []int{6034, 6035, 6050}, ExitPrivilege},
		{"no right to signal, in a dry run", []change{without(inspect.CapKill), host(func(p *preflight) { p.dryRun = true })}, FindCapKill, FindingWarning, "dry run", []int{6034, 6035, 6050}, ExitOK},
		{"no right to signal, as the user of the workers", []change{without(inspect.CapKill), host(func(p *preflight) {
			p.have.EUID = 106
		})}, FindCapKill, FindingOK, "not needed", nil, ExitOK},
		{"a look that failed", []change{host(func(p *preflight) { p.report = fixture.EmptyReport("processes: /proc: input/output error") })}, FindReadable, FindingFailure, "input/output error", nil, ExitPrivilege},
		{"a process that could not be read", []change{host(func(p *preflight) { p.report.Instances[0].Processes[1].Error = "sockets: denied" })}, FindReadable, FindingFailure, "process 6034: sockets: denied", []int{6034}, ExitPrivilege},
		{"a /proc that hides", []change{host(func(p *preflight) { p.report, p.hidden = fixture.EmptyReport(), true })}, FindReadable, FindingFailure, "hides", nil, ExitPrivilege},
		{"no HAProxy", []change{host(func(p *preflight) { p.report = fixture.EmptyReport() })}, findInstances, FindingWarning, "no HAProxy instance found", nil, ExitOK},
		{"no user for the service", []change{host(func(p *preflight) {
			p.ownUnits[0].found, p.ownUnits[0].uid = false, 0
		})}, findServiceUser, FindingFailure, "/etc/passwd has no user haproxy, as which haproxy-reaper.service runs", nil, ExitFailed},
		{"no user for the other service", []change{host(func(p *preflight) {
			p.ownUnits = append(p.ownUnits, ownUnit{unit: "haproxy-reaper-serve.service", user: "www-data"})
		})}, findServiceUser, FindingFailure, "no user www-data, as which haproxy-reaper-serve.service runs", nil, ExitFailed},
		{"no user for either", []change{host(func(p *preflight) {
			p.ownUnits = []ownUnit{{unit: "haproxy-reaper.service", user: "a"}, {unit: "haproxy-reaper-serve.service", user: "b"}}
		})}, findServiceUser, FindingFailure, "no user a, as which haproxy-reaper.service runs", nil, ExitFailed},
		{"users for both", []change{host(func(p *preflight) {
			p.ownUnits = append(p.ownUnits, ownUnit{unit: "haproxy-reaper-serve.service", found: true})
		})}, findServiceUser, FindingOK, "haproxy-reaper.service runs as haproxy", nil, ExitOK},
		{"users that cannot be read", []change{host(func(p *preflight) {
			p.ownUnits[0].found, p.ownUnits[0].err = false, unix.EACCES
		})}, findServiceUser, FindingWarning, "not known: permission denied", nil, ExitOK},
		{"a service of a user that no worker runs as", []change{host(func(p *preflight) {
			p.ownUnits[0].uid = 33
		})}, findServiceUser, FindingWarning, "no worker of HAProxy does", []int{6034, 6035, 6050}, ExitOK},
		{"the same, without HAProxy", []change{host(func(p *preflight) {
			p.report, p.ownUnits[0].uid = fixture.EmptyReport(), 33
		})}, findServiceUser, FindingOK, "haproxy-reaper.service runs as haproxy", nil, ExitOK},
		{"a service of root's", []change{host(func(p *preflight) {
			p.ownUnits[0] = ownUnit{unit: "haproxy-reaper.service", found: true}
		})}, findServiceUser, FindingOK, "haproxy-reaper.service runs as root", nil, ExitOK},
		{"no HAProxy of that name", []change{host(func(p *preflight) { p.report, p.wanted = fixture.EmptyReport(), []string{"web"} })}, findInstances, FindingWarning, "of that name: web", nil, ExitOK},

		{"a refused instance", []change{refused(reaper.ReasonNotListening)}, FindActiveConfirmed, FindingFailure, "no listening socket", []int{6001, 6050}, ExitFailed},
		{"an instance amid a reload", []change{refused(reaper.ReasonReloading)}, FindActiveConfirmed, FindingWarning, "reload", []int{6001, 6050}, ExitOK},
		{"an instance of which facts are missing", []change{refused(reaper.ReasonUnreadable)}, FindStranded, FindingWarning, "not known", nil, ExitFailed},
		{"an active worker that is not confirmed", []change{host(func(p *preflight) { p.report.Instances[0].Confirmed = false })}, FindActiveConfirmed, FindingFailure, "not confirmed", nil, ExitFailed},
		{"a service that drains", []change{refused(reaper.ReasonDraining)}, FindActiveConfirmed, FindingWarning, "drains", []int{6001, 6050}, ExitOK},
		{"a stranded process that listens", []change{stranded(reaper.StrandedListening)}, FindStranded, FindingWarning, "process 6034: superseded, and still listening", []int{6034}, ExitOK},
		{"one that nothing told to stop", []change{stranded(reaper.StrandedNotTold)}, FindStranded, FindingWarning, "process 6034: superseded, and not known to have been told to stop", []int{6034}, ExitOK},
		{"one whose sockets are unknown", []change{stranded(reaper.StrandedUnreadable)}, FindStranded, FindingWarning, "process 6034: superseded, with sockets that could not be read", []int{6034}, ExitOK},
		{"one of another user", []change{stranded(reaper.StrandedOtherUser)}, FindStranded, FindingWarning, "process 6034: superseded by a process of another user", []int{6034}, ExitOK},
		{"two, for a reason each", []change{stranded(reaper.StrandedListening, reaper.StrandedNotTold)}, FindStranded, FindingWarning, "process 6034: superseded, and still listening; process 6035: ", []int{6034, 6035}, ExitOK},
		{"two for one reason", []change{stranded(reaper.StrandedListening, reaper.StrandedListening)}, FindStranded, FindingWarning, "processes 6034 and 6035: superseded, and still listening", []int{6034, 6035}, ExitOK},

		{"another network namespace", []change{facts(func(f *instanceFacts) { f.netNS = 9 })}, FindNamespaces, FindingOK, "another network namespace", nil, ExitOK},
		{"another network namespace without pidfd_getfd", []change{facts(func(f *instanceFacts) { f.netNS = 9 }), host(func(p *preflight) { p.features.PidfdGetfd = unix.EPERM })}, FindNamespaces, FindingWarning, "refused", nil, ExitOK},
		{"another PID namespace", []change{facts(func(f *instanceFacts) { f.pidNS = 9 })}, FindNamespaces, FindingOK, "another PID namespace", nil, ExitOK},
		{"namespaces that may not be read", []change{facts(func(f *instanceFacts) { f.netNS = 0 })}, FindNamespaces, FindingWarning, "could not be read", nil, ExitOK},
		{"no master CLI", []change{facts(func(f *instanceFacts) { f.cliErr = inspect.ErrNoCLI })}, FindMasterCLI, FindingWarning, "none to ask", nil, ExitOK},
		{"a master CLI of root's", []change{facts(func(f *instanceFacts) { f.cliErr = unix.EACCES })}, FindMasterCLI, FindingWarning, "may not be asked", nil, ExitOK},
		{"a master CLI of another master's", []change{facts(func(f *instanceFacts) { f.cliErr = fmt.Errorf("%w: belongs to process 1", inspect.ErrNoCLI) })}, FindMasterCLI, FindingWarning, "belongs to process 1", nil, ExitOK},
		{"a configuration that may not be read", []change{facts(func(f *instanceFacts) { f.config.Err = unix.EACCES })}, FindConfiguration, FindingFailure, "permission denied", nil, ExitPrivilege},
		{"a configuration of a stranger's", []change{facts(func(f *instanceFacts) {
			f.config.Err = fmt.Errorf("process 6001 runs as mallory, %w", errStranger)
		})}, FindConfiguration, FindingWarning, "runs as mallory, a user that this agent may not signal", nil, ExitOK},
		{"a configuration of the kernel's", []change{facts(func(f *instanceFacts) { f.config.Err = inspect.ErrNotKept })}, FindConfiguration, FindingWarning, "of the kernel's own", nil, ExitOK},
		{"a configuration that is gone", []change{facts(func(f *instanceFacts) { f.config.Err = unix.ENOENT })}, FindConfiguration, FindingWarning, "no such file", nil, ExitOK},

		{"no hard-stop-after", []change{facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = nil })}, FindHardStopAfter, FindingWarning, "processes 6034 and 6035 may stay", []int{6034, 6035}, ExitOK},
		{"no hard-stop-after and no residual process", []change{noResidual, facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = nil })}, FindHardStopAfter, FindingWarning, "not set", nil, ExitOK},
		{"a hard-stop-after of 0", []change{facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = setting(3, "0") })}, FindHardStopAfter, FindingWarning, "not set", nil, ExitOK},
		{"a hard-stop-after that nobody found, in files not all read", []change{facts(func(f *instanceFacts) {
			f.config.Settings.HardStopAfter, f.config.Err = nil, unix.ENOENT
		})}, FindHardStopAfter, FindingWarning, "not known", nil, ExitOK},
		{"a hard-stop-after under a condition", []change{facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter.Conditional = true })}, FindHardStopAfter, FindingWarning, "condition", nil, ExitOK},
		{"a file that changed after the active was started", []change{facts(func(f *instanceFacts) { f.changed = inspect.TicksToBoottime(9001) })}, FindHardStopAfter, FindingWarning, "in the file only", []int{6050}, ExitOK},
		{"a file that changed as the active was started", []change{facts(func(f *instanceFacts) { f.changed = inspect.TicksToBoottime(9000) })}, FindHardStopAfter, FindingOK, "30m (/etc/haproxy/haproxy.cfg:3)", nil, ExitOK},
		{"a file whose time is unknown", []change{facts(func(f *instanceFacts) { f.config.ChangedErr = unix.EXDEV })}, FindHardStopAfter, FindingWarning, "cannot be told", nil, ExitOK},
		{"one residual process from before the file changed", []change{facts(func(f *instanceFacts) { f.changed = inspect.TicksToBoottime(6035) })}, FindHardStopUnbound, FindingWarning, "process 6034: started before", []int{6034}, ExitOK},
		{"a residual process past its hard-stop-after", []change{host(func(p *preflight) {
			p.report = fixture.ReportOf(fixture.OldWorker(6034, 31*time.Minute, 1), fixture.OldWorker(6035, time.Minute, 1))
		})}, FindHardStopUnbound, FindingWarning, "process 6034: still there", []int{6034}, ExitOK},
		{"one past it by less than it may take", []change{host(func(p *preflight) {
			p.report = fixture.ReportOf(fixture.OldWorker(6034, 30*time.Minute+9*time.Second, 1))
		})}, FindHardStopUnbound, FindingOK, "", nil, ExitOK},
		{"one past it and within its grace", []change{host(func(p *preflight) {
			p.report = fixture.ReportOf(fixture.OldWorker(6034, 31*time.Minute, 1))
		}), facts(func(f *instanceFacts) { f.config.Settings.Grace = setting(9, "2m") })}, FindHardStopUnbound, FindingOK, "", nil, ExitOK},
		{"one past what nobody can read", []change{host(func(p *preflight) {
			p.report = fixture.ReportOf(fixture.OldWorker(6034, 31*time.Minute, 1))
		}), facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = setting(3, "${T}") })}, FindHardStopUnbound, FindingOK, "", nil, ExitOK},

		{"a residual process near the end of its reloads", []change{facts(func(f *instanceFacts) { f.master.Reloads[6034] = 40 })}, FindMaxReloads, FindingWarning, "50 reloads (/etc/haproxy/haproxy.cfg:4): 6034 has seen 40, 6035 has seen 1", []int{6034}, ExitOK},
		{"one not quite so near", []change{facts(func(f *instanceFacts) { f.master.Reloads[6034] = 39 })}, FindMaxReloads, FindingOK, "6034 has seen 39", nil, ExitOK},
		{"reloads that no master tells", []change{facts(func(f *instanceFacts) { f.master = inspect.MasterAnswer{} })}, FindMaxReloads, FindingOK, "6034 has seen at least 1", nil, ExitOK},
		{"no limit on 3.2", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads, f.master.Version = nil, "3.2.26-1" })}, FindMaxReloads, FindingOK, "ends no old worker", nil, ExitOK},
		{"the limit of 3.3 by itself", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads, f.master.Version = nil, "3.3-dev14" })}, FindMaxReloads, FindingOK, "50 reloads (default of HAProxy 3.3-dev14)", nil, ExitOK},
		{"no limit on an unknown version", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads, f.master.Version = nil, "" })}, FindMaxReloads, FindingWarning, "version is not known", nil, ExitOK},
		{"a limit in a variable", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads = setting(4, "$N") })}, FindMaxReloads, FindingWarning, "cannot be told", nil, ExitOK},

		{"no exposed listeners, which 2.6 does not need", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD = nil })}, FindExposeFD, FindingOK, "not needed", nil, ExitOK},
		{"no exposed listeners on 2.4", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD, f.master.Version = nil, "2.4.0" })}, FindExposeFD, FindingWarning, "opens its listeners anew", nil, ExitOK},
		{"no exposed listeners on an unknown version", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD, f.master.Version = nil, "" })}, FindExposeFD, FindingWarning, "version is not known", nil, ExitOK},
		{"no exposed listeners on one whose last reload handed them over", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD, f.master.Version = nil, "" }), host(func(p *preflight) {
			list := p.report.Instances[0].Processes
			list[len(list)-1].Args = []string{"haproxy", "-x", "sockpair@3"}
		})}, FindExposeFD, FindingOK, "not needed", nil, ExitOK},
		{"a daemon without exposed listeners", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD = nil }), host(func(p *preflight) { p.report.Instances[0].Model = reaper.ModelDaemon })}, FindExposeFD, FindingWarning, "not set", nil, ExitOK},

		{"a unit that cannot be read", []change{facts(func(f *instanceFacts) { f.unitErr = errors.New("gone") })}, findUnit, FindingWarning, "gone", nil, ExitOK},
		{"a unit of Type=simple", []change{facts(func(f *instanceFacts) { f.service.Type = "simple" })}, findUnitType, FindingWarning, "Type=simple", nil, ExitOK},
		{"a daemon's unit of Type=forking", []change{facts(func(f *instanceFacts) { f.service.Type = "forking" }), host(func(p *preflight) { p.report.Instances[0].Model = reaper.ModelDaemon })}, findUnitType, FindingOK, "Type=forking", nil, ExitOK},
		{"a unit that leaves workers behind", []change{facts(func(f *instanceFacts) { f.service.KillMode = "process" })}, findUnitKillMode, FindingWarning, "outlive", nil, ExitOK},
		{"a unit with systemd's own KillMode", []change{facts(func(f *instanceFacts) { f.service.KillMode = "control-group" })}, findUnitKillMode, FindingOK, "", nil, ExitOK},
		{"a unit that does not come back", []change{facts(func(f *instanceFacts) { f.service.Restart = "on-failure" })}, findUnitRestart, FindingWarning, "Restart=on-failure", nil, ExitOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := judge(preflightOf(c.changes...))
			at := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Name == c.finding })
			if at < 0 {
				t.Fatalf("no finding %s", c.finding)
			}
			f := r.Findings[at]
			if f.Status != c.status || !strings.Contains(f.Message, c.words) {
				t.Errorf("%s is %s: %q; want %s with %q", f.Name, f.Status, f.Message, c.status, c.words)
			}
			if (f.Status == FindingOK) != (f.Advice == "") {
				t.Errorf("%s with the advice %q", f.Status, f.Advice)
			}
			if c.pids != nil && !slices.Equal(f.PIDs, c.pids) {
				t.Errorf("it is about %v, want %v", f.PIDs, c.pids)
			}
			if got := judgeExitStatus(r); got != c.exit {
				t.Errorf("exit status %d, want %d", got, c.exit)
			}
		})
	}
}

func TestADaemonIsNotAskedForAMaster(t *testing.T) {
	r := judge(preflightOf(func(p *preflight, _ *instanceFacts) { p.report.Instances[0].Model = reaper.ModelDaemon }))
	for _, f := range r.Findings {
		if f.Name == FindMasterCLI || f.Name == FindMaxReloads {
			t.Errorf("%+v", f)
		}
	}
}

// Every finding has a name of the closed set, in its order, and no name twice.
func TestFindingsAreInTheOrderOfTheirNames(t *testing.T) {
	p := preflightOf(func(p *preflight, f *instanceFacts) { f.unitErr = errors.New("gone") })
	last := -1
	for _, f := range judge(p).Findings {
		at := slices.Index(findingNames, f.Name)
		if at <= last {
			t.Errorf("%s stands at %d, behind %d", f.Name, at, last)
		}
		last = at
	}
}

func TestGenerationsAreCountedByWhatIsThere(t *testing.T) {
	in := fixture.ReportOf(fixture.OldWorker(1000, 0, 1), fixture.OldWorker(1050, 0, 1), fixture.OldWorker(1200, 0, 1)).Instances[0] // and the active at 9000
	for pid, want := range map[int]int{1000: 2, 1050: 2, 1200: 1, 9000: 0} {
		p := reaper.Process{ProcID: inspect.ProcID{PID: pid, StartTicks: uint64(pid)}}
		if got := youngerGenerations(&in, &p); got != want {
			t.Errorf("younger than %d: %d generations, want %d", pid, got, want)
		}
	}
}

func FuzzVersion(f *testing.F) {
	f.Add("3.4.7-1")
	f.Add("2")
	f.Fuzz(func(t *testing.T, text string) {
		if n, ok := parseVersion(text); ok && n < 0 {
			t.Errorf("%q is %d", text, n)
		}
	})
}

// Any account can have processes that may not be signalled or read, or an instance that
// is refused. That is no failure of the agent's.
func TestWhatStandsAgainstAStrangerIsAWarningAtTheMost(t *testing.T) {
	for name, row := range map[string]struct {
		caps    uint64
		alone   bool // there is no other instance
		finding FindingName
		want    FindingStatus
	}{
		"may not be signalled":               {0, false, FindCapKill, FindingWarning},
		"could not be read":                  {0, false, FindReadable, FindingWarning},
		"is refused":                         {0, false, FindActiveConfirmed, FindingWarning},
		"could not be read, with CAP_KILL":   {1 << inspect.CapKill, false, FindReadable, FindingFailure},
		"is refused, with CAP_KILL":          {1 << inspect.CapKill, false, FindActiveConfirmed, FindingFailure},
		"may not be signalled, and is alone": {0, true, FindCapKill, FindingFailure},
		"is refused, and is alone":           {0, true, FindActiveConfirmed, FindingFailure},
	} {
		r := judge(preflightOf(func(p *preflight, _ *instanceFacts) {
			p.report = fixture.RefusedReport(reaper.ReasonNotListening, "", fixture.OldWorker(6034, time.Minute, 1))
			for i := range p.report.Instances[0].Processes {
				q := &p.report.Instances[0].Processes[i]
				q.UID, q.Stranger, q.Error = 5001, true, "x"
			}
			if !row.alone {
				p.report.Instances = append(p.report.Instances, fixture.ReportOf().Instances...)
				p.report.Instances[1].Name = "own.service"
			}
			p.have.EUID, p.have.Caps = 106, 1<<inspect.CapSysPtrace|1<<inspect.CapDACReadSearch|row.caps
		}))
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Name == row.finding })
		if got := r.Findings[i]; got.Status != row.want {
			t.Errorf("%s: %+v, want %s", name, got, row.want)
		}
	}
}
