package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// preflightOf is a host on which all is well, but for what changes says.
func preflightOf(changes ...func(*preflight, *instanceFacts)) preflight {
	p := preflight{
		report: reportOf(oldWorker(6034, time.Minute, 1), oldWorker(6035, time.Minute, 1)),
		have:   privileges{caps: 1<<capSysPtrace | 1<<capDACReadSearch | 1<<capKill},
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
	r := findings(preflightOf())
	for _, f := range r.Findings {
		if f.Status != findingOK || f.Advice != "" {
			t.Errorf("%+v", f)
		}
	}
	if r.Status != findingOK || r.Summary.OK != len(r.Findings) || r.Summary.Warning+r.Summary.Failure > 0 {
		t.Errorf("%s, %+v of %d findings", r.Status, r.Summary, len(r.Findings))
	}
	if f := judgeExitStatus(r); f != exitOK {
		t.Errorf("exit status %d", f)
	}
}

func judgeExitStatus(r checkReport) int {
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
	without := func(list ...capability) func(*preflight, *instanceFacts) {
		return host(func(p *preflight) {
			for _, c := range list {
				p.have.caps &^= 1 << c
			}
		})
	}
	noResidual := host(func(p *preflight) { p.report = reportOf() })
	refused := func(reason judge.Reason) func(*preflight, *instanceFacts) {
		return host(func(p *preflight) { p.report = refusedReport(reason, "") })
	}
	stranded := func(reasons ...judge.StrandedReason) func(*preflight, *instanceFacts) {
		return host(func(p *preflight) {
			for i, reason := range reasons {
				q := &p.report.Instances[0].Processes[1+i]
				q.Role, q.StrandedReason = judge.RoleStranded, reason
			}
		})
	}
	type change = func(*preflight, *instanceFacts)
	for _, c := range []struct {
		name    string
		changes []change
		finding findingName
		status  findingStatus
		words   string
		pids    []int
		exit    int
	}{
		{"no pidfds", []change{host(func(p *preflight) { p.features.PidfdOpen = unix.ENOSYS })}, findPidfdOpen, findingFailure, "no process can be signalled", nil, exitPrivilege},
		{"no pidfd_send_signal", []change{host(func(p *preflight) { p.features.PidfdSendSignal = unix.EPERM })}, findPidfdSendSignal, findingFailure, "operation not permitted", nil, exitPrivilege},
		{"a class of its sockets that is not ours", []change{host(func(p *preflight) { p.otherClasses = map[int]string{6001: "net_cls:/", 6035: "net_cls:/docker/7"} })},
			findSocketClass, findingWarning, "net_cls:/docker/7", []int{6035}, exitOK},
		{"no pidfd_getfd", []change{host(func(p *preflight) { p.features.PidfdGetfd = unix.EPERM })}, findPidfdGetfd, findingWarning, "operation not permitted", nil, exitOK},
		{"no PIDFD_GET_INFO, which nobody needs", []change{host(func(p *preflight) { p.features.PidfdInfo = unix.ENOTTY })}, findPidfdInfo, findingOK, "not needed", nil, exitOK},
		{"rights that cannot be read", []change{host(func(p *preflight) { p.have, p.haveErr = privileges{}, unix.EIO })}, findCapKill, findingFailure, "not known: input/output error", nil, exitPrivilege},
		{"no right to look", []change{without(capSysPtrace)}, findCapSysPtrace, findingFailure, "missing", nil, exitPrivilege},
		{"root without CAP_DAC_READ_SEARCH", []change{without(capDACReadSearch)}, findCapDACRead, findingWarning, "not root's", nil, exitOK},
		{"another user without it", []change{without(capDACReadSearch), host(func(p *preflight) { p.have.euid = 106 })}, findCapDACRead, findingFailure, "missing", nil, exitPrivilege},
		{"no right to signal", []change{without(capKill)}, findCapKill, findingFailure, "cannot be signalled", []int{6034, 6035, 6050}, exitPrivilege},
		{"no right to signal, in a dry run", []change{without(capKill), host(func(p *preflight) { p.dryRun = true })}, findCapKill, findingWarning, "dry run", []int{6034, 6035, 6050}, exitOK},
		{"no right to signal, as the user of the workers", []change{without(capKill), host(func(p *preflight) {
			p.have.euid = 106
		})}, findCapKill, findingOK, "not needed", nil, exitOK},
		{"a look that failed", []change{host(func(p *preflight) { p.report = emptyReport("processes: /proc: input/output error") })}, findReadable, findingFailure, "input/output error", nil, exitPrivilege},
		{"a process that could not be read", []change{host(func(p *preflight) { p.report.Instances[0].Processes[1].Error = "sockets: denied" })}, findReadable, findingFailure, "process 6034: sockets: denied", []int{6034}, exitPrivilege},
		{"a /proc that hides", []change{host(func(p *preflight) { p.report, p.hidden = emptyReport(), true })}, findReadable, findingFailure, "hides", nil, exitPrivilege},
		{"no HAProxy", []change{host(func(p *preflight) { p.report = emptyReport() })}, findInstances, findingWarning, "no HAProxy instance found", nil, exitOK},
		{"no user for the service", []change{host(func(p *preflight) {
			p.ownUnits[0].found, p.ownUnits[0].uid = false, 0
		})}, findServiceUser, findingFailure, "/etc/passwd has no user haproxy, as which haproxy-reaper.service runs", nil, exitFailed},
		{"no user for the other service", []change{host(func(p *preflight) {
			p.ownUnits = append(p.ownUnits, ownUnit{unit: "haproxy-reaper-serve.service", user: "www-data"})
		})}, findServiceUser, findingFailure, "no user www-data, as which haproxy-reaper-serve.service runs", nil, exitFailed},
		{"no user for either", []change{host(func(p *preflight) {
			p.ownUnits = []ownUnit{{unit: "haproxy-reaper.service", user: "a"}, {unit: "haproxy-reaper-serve.service", user: "b"}}
		})}, findServiceUser, findingFailure, "no user a, as which haproxy-reaper.service runs", nil, exitFailed},
		{"users for both", []change{host(func(p *preflight) {
			p.ownUnits = append(p.ownUnits, ownUnit{unit: "haproxy-reaper-serve.service", found: true})
		})}, findServiceUser, findingOK, "haproxy-reaper.service runs as haproxy", nil, exitOK},
		{"users that cannot be read", []change{host(func(p *preflight) {
			p.ownUnits[0].found, p.ownUnits[0].err = false, unix.EACCES
		})}, findServiceUser, findingWarning, "not known: permission denied", nil, exitOK},
		{"a service of a user that no worker runs as", []change{host(func(p *preflight) {
			p.ownUnits[0].uid = 33
		})}, findServiceUser, findingWarning, "no worker of HAProxy does", []int{6034, 6035, 6050}, exitOK},
		{"the same, without HAProxy", []change{host(func(p *preflight) {
			p.report, p.ownUnits[0].uid = emptyReport(), 33
		})}, findServiceUser, findingOK, "haproxy-reaper.service runs as haproxy", nil, exitOK},
		{"a service of root's", []change{host(func(p *preflight) {
			p.ownUnits[0] = ownUnit{unit: "haproxy-reaper.service", found: true}
		})}, findServiceUser, findingOK, "haproxy-reaper.service runs as root", nil, exitOK},
		{"no HAProxy of that name", []change{host(func(p *preflight) { p.report, p.wanted = emptyReport(), []string{"web"} })}, findInstances, findingWarning, "of that name: web", nil, exitOK},

		{"a refused instance", []change{refused(judge.ReasonNotListening)}, findActiveConfirmed, findingFailure, "no listening socket", []int{6001, 6050}, exitFailed},
		{"an instance amid a reload", []change{refused(judge.ReasonReloading)}, findActiveConfirmed, findingWarning, "reload", []int{6001, 6050}, exitOK},
		{"an instance of which facts are missing", []change{refused(judge.ReasonUnreadable)}, findStranded, findingWarning, "not known", nil, exitFailed},
		{"an active worker that is not confirmed", []change{host(func(p *preflight) { p.report.Instances[0].Confirmed = false })}, findActiveConfirmed, findingFailure, "not confirmed", nil, exitFailed},
		{"a service that drains", []change{refused(judge.ReasonDraining)}, findActiveConfirmed, findingWarning, "drains", []int{6001, 6050}, exitOK},
		{"a stranded process that listens", []change{stranded(judge.StrandedListening)}, findStranded, findingWarning, "process 6034: superseded, and still listening", []int{6034}, exitOK},
		{"one that nothing told to stop", []change{stranded(judge.StrandedNotTold)}, findStranded, findingWarning, "process 6034: superseded, and not known to have been told to stop", []int{6034}, exitOK},
		{"one whose sockets are unknown", []change{stranded(judge.StrandedUnreadable)}, findStranded, findingWarning, "process 6034: superseded, with sockets that could not be read", []int{6034}, exitOK},
		{"one of another user", []change{stranded(judge.StrandedOtherUser)}, findStranded, findingWarning, "process 6034: superseded by a process of another user", []int{6034}, exitOK},
		{"two, for a reason each", []change{stranded(judge.StrandedListening, judge.StrandedNotTold)}, findStranded, findingWarning, "process 6034: superseded, and still listening; process 6035: ", []int{6034, 6035}, exitOK},
		{"two for one reason", []change{stranded(judge.StrandedListening, judge.StrandedListening)}, findStranded, findingWarning, "processes 6034 and 6035: superseded, and still listening", []int{6034, 6035}, exitOK},

		{"another network namespace", []change{facts(func(f *instanceFacts) { f.netNS = 9 })}, findNamespaces, findingOK, "another network namespace", nil, exitOK},
		{"another network namespace without pidfd_getfd", []change{facts(func(f *instanceFacts) { f.netNS = 9 }), host(func(p *preflight) { p.features.PidfdGetfd = unix.EPERM })}, findNamespaces, findingWarning, "refused", nil, exitOK},
		{"another PID namespace", []change{facts(func(f *instanceFacts) { f.pidNS = 9 })}, findNamespaces, findingOK, "another PID namespace", nil, exitOK},
		{"namespaces that may not be read", []change{facts(func(f *instanceFacts) { f.netNS = 0 })}, findNamespaces, findingWarning, "could not be read", nil, exitOK},
		{"no master CLI", []change{facts(func(f *instanceFacts) { f.cliErr = inspect.ErrNoCLI })}, findMasterCLI, findingWarning, "none to ask", nil, exitOK},
		{"a master CLI of root's", []change{facts(func(f *instanceFacts) { f.cliErr = unix.EACCES })}, findMasterCLI, findingWarning, "may not be asked", nil, exitOK},
		{"a master CLI of another master's", []change{facts(func(f *instanceFacts) { f.cliErr = fmt.Errorf("%w: belongs to process 1", inspect.ErrNoCLI) })}, findMasterCLI, findingWarning, "belongs to process 1", nil, exitOK},
		{"a configuration that may not be read", []change{facts(func(f *instanceFacts) { f.config.Err = unix.EACCES })}, findConfiguration, findingFailure, "permission denied", nil, exitPrivilege},
		{"a configuration of a stranger's", []change{facts(func(f *instanceFacts) {
			f.config.Err = fmt.Errorf("process 6001 runs as mallory, %w", errStranger)
		})}, findConfiguration, findingWarning, "runs as mallory, a user that this agent may not signal", nil, exitOK},
		{"a configuration of the kernel's", []change{facts(func(f *instanceFacts) { f.config.Err = inspect.ErrNotKept })}, findConfiguration, findingWarning, "of the kernel's own", nil, exitOK},
		{"a configuration that is gone", []change{facts(func(f *instanceFacts) { f.config.Err = unix.ENOENT })}, findConfiguration, findingWarning, "no such file", nil, exitOK},

		{"no hard-stop-after", []change{facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = nil })}, findHardStopAfter, findingWarning, "processes 6034 and 6035 may stay", []int{6034, 6035}, exitOK},
		{"no hard-stop-after and no residual process", []change{noResidual, facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = nil })}, findHardStopAfter, findingWarning, "not set", nil, exitOK},
		{"a hard-stop-after of 0", []change{facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = setting(3, "0") })}, findHardStopAfter, findingWarning, "not set", nil, exitOK},
		{"a hard-stop-after that nobody found, in files not all read", []change{facts(func(f *instanceFacts) {
			f.config.Settings.HardStopAfter, f.config.Err = nil, unix.ENOENT
		})}, findHardStopAfter, findingWarning, "not known", nil, exitOK},
		{"a hard-stop-after under a condition", []change{facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter.Conditional = true })}, findHardStopAfter, findingWarning, "condition", nil, exitOK},
		{"a file that changed after the active was started", []change{facts(func(f *instanceFacts) { f.changed = inspect.TicksToBoottime(9001) })}, findHardStopAfter, findingWarning, "in the file only", []int{6050}, exitOK},
		{"a file that changed as the active was started", []change{facts(func(f *instanceFacts) { f.changed = inspect.TicksToBoottime(9000) })}, findHardStopAfter, findingOK, "30m (/etc/haproxy/haproxy.cfg:3)", nil, exitOK},
		{"a file whose time is unknown", []change{facts(func(f *instanceFacts) { f.config.ChangedErr = unix.EXDEV })}, findHardStopAfter, findingWarning, "cannot be told", nil, exitOK},
		{"one residual process from before the file changed", []change{facts(func(f *instanceFacts) { f.changed = inspect.TicksToBoottime(6035) })}, findHardStopUnbound, findingWarning, "process 6034: started before", []int{6034}, exitOK},
		{"a residual process past its hard-stop-after", []change{host(func(p *preflight) {
			p.report = reportOf(oldWorker(6034, 31*time.Minute, 1), oldWorker(6035, time.Minute, 1))
		})}, findHardStopUnbound, findingWarning, "process 6034: still there", []int{6034}, exitOK},
		{"one past it by less than it may take", []change{host(func(p *preflight) {
			p.report = reportOf(oldWorker(6034, 30*time.Minute+9*time.Second, 1))
		})}, findHardStopUnbound, findingOK, "", nil, exitOK},
		{"one past it and within its grace", []change{host(func(p *preflight) {
			p.report = reportOf(oldWorker(6034, 31*time.Minute, 1))
		}), facts(func(f *instanceFacts) { f.config.Settings.Grace = setting(9, "2m") })}, findHardStopUnbound, findingOK, "", nil, exitOK},
		{"one past what nobody can read", []change{host(func(p *preflight) {
			p.report = reportOf(oldWorker(6034, 31*time.Minute, 1))
		}), facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = setting(3, "${T}") })}, findHardStopUnbound, findingOK, "", nil, exitOK},

		{"a residual process near the end of its reloads", []change{facts(func(f *instanceFacts) { f.master.Reloads[6034] = 40 })}, findMaxReloads, findingWarning, "50 reloads (/etc/haproxy/haproxy.cfg:4): 6034 has seen 40, 6035 has seen 1", []int{6034}, exitOK},
		{"one not quite so near", []change{facts(func(f *instanceFacts) { f.master.Reloads[6034] = 39 })}, findMaxReloads, findingOK, "6034 has seen 39", nil, exitOK},
		{"reloads that no master tells", []change{facts(func(f *instanceFacts) { f.master = inspect.MasterAnswer{} })}, findMaxReloads, findingOK, "6034 has seen at least 1", nil, exitOK},
		{"no limit on 3.2", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads, f.master.Version = nil, "3.2.26-1" })}, findMaxReloads, findingOK, "ends no old worker", nil, exitOK},
		{"the limit of 3.3 by itself", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads, f.master.Version = nil, "3.3-dev14" })}, findMaxReloads, findingOK, "50 reloads (default of HAProxy 3.3-dev14)", nil, exitOK},
		{"no limit on an unknown version", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads, f.master.Version = nil, "" })}, findMaxReloads, findingWarning, "version is not known", nil, exitOK},
		{"a limit in a variable", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads = setting(4, "$N") })}, findMaxReloads, findingWarning, "cannot be told", nil, exitOK},

		{"no exposed listeners, which 2.6 does not need", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD = nil })}, findExposeFD, findingOK, "not needed", nil, exitOK},
		{"no exposed listeners on 2.4", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD, f.master.Version = nil, "2.4.0" })}, findExposeFD, findingWarning, "opens its listeners anew", nil, exitOK},
		{"no exposed listeners on an unknown version", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD, f.master.Version = nil, "" })}, findExposeFD, findingWarning, "version is not known", nil, exitOK},
		{"no exposed listeners on one whose last reload handed them over", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD, f.master.Version = nil, "" }), host(func(p *preflight) {
			list := p.report.Instances[0].Processes
			list[len(list)-1].Args = []string{"haproxy", "-x", "sockpair@3"}
		})}, findExposeFD, findingOK, "not needed", nil, exitOK},
		{"a daemon without exposed listeners", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD = nil }), host(func(p *preflight) { p.report.Instances[0].Model = judge.ModelDaemon })}, findExposeFD, findingWarning, "not set", nil, exitOK},

		{"a unit that cannot be read", []change{facts(func(f *instanceFacts) { f.unitErr = errors.New("gone") })}, findUnit, findingWarning, "gone", nil, exitOK},
		{"a unit of Type=simple", []change{facts(func(f *instanceFacts) { f.service.Type = "simple" })}, findUnitType, findingWarning, "Type=simple", nil, exitOK},
		{"a daemon's unit of Type=forking", []change{facts(func(f *instanceFacts) { f.service.Type = "forking" }), host(func(p *preflight) { p.report.Instances[0].Model = judge.ModelDaemon })}, findUnitType, findingOK, "Type=forking", nil, exitOK},
		{"a unit that leaves workers behind", []change{facts(func(f *instanceFacts) { f.service.KillMode = "process" })}, findUnitKillMode, findingWarning, "outlive", nil, exitOK},
		{"a unit with systemd's own KillMode", []change{facts(func(f *instanceFacts) { f.service.KillMode = "control-group" })}, findUnitKillMode, findingOK, "", nil, exitOK},
		{"a unit that does not come back", []change{facts(func(f *instanceFacts) { f.service.Restart = "on-failure" })}, findUnitRestart, findingWarning, "Restart=on-failure", nil, exitOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := findings(preflightOf(c.changes...))
			at := slices.IndexFunc(r.Findings, func(f finding) bool { return f.Name == c.finding })
			if at < 0 {
				t.Fatalf("no finding %s", c.finding)
			}
			f := r.Findings[at]
			if f.Status != c.status || !strings.Contains(f.Message, c.words) {
				t.Errorf("%s is %s: %q; want %s with %q", f.Name, f.Status, f.Message, c.status, c.words)
			}
			if (f.Status == findingOK) != (f.Advice == "") {
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

// What serves is not to be ended by hand, and what may serve is not either.
func TestNobodyIsAdvisedToEndWhatMayServe(t *testing.T) {
	for _, model := range []judge.Model{judge.ModelMasterWorker, judge.ModelDaemon} {
		for _, reason := range append(slices.Clone(judge.StrandedReasons), "") {
			got := strandedAdvice(model, reason, 6034, 6035)
			serves := reason == judge.StrandedListening || reason == judge.StrandedUnreadable
			if strings.Contains(got, "do not end it by hand") != serves || strings.Contains(got, "kill") != (reason == judge.StrandedOtherUser) {
				t.Errorf("%s, %q: %s", model, reason, got)
			}
		}
	}
	if got := strandedAdvice(judge.ModelDaemon, judge.StrandedNotTold, 6034, 6035); !strings.Contains(got, "-sf 6034 6035") {
		t.Errorf("of two: %s", got)
	}
}

func TestADaemonIsNotAskedForAMaster(t *testing.T) {
	r := findings(preflightOf(func(p *preflight, _ *instanceFacts) { p.report.Instances[0].Model = judge.ModelDaemon }))
	for _, f := range r.Findings {
		if f.Name == findMasterCLI || f.Name == findMaxReloads {
			t.Errorf("%+v", f)
		}
	}
}

// Every finding has a name of the closed set, in its order, and no name twice.
func TestFindingsAreInTheOrderOfTheirNames(t *testing.T) {
	p := preflightOf(func(p *preflight, f *instanceFacts) { f.unitErr = errors.New("gone") })
	last := -1
	for _, f := range findings(p).Findings {
		at := slices.Index(findingNames, f.Name)
		if at <= last {
			t.Errorf("%s stands at %d, behind %d", f.Name, at, last)
		}
		last = at
	}
}

func TestGenerationsAreCountedByWhatIsThere(t *testing.T) {
	in := reportOf(oldWorker(1000, 0, 1), oldWorker(1050, 0, 1), oldWorker(1200, 0, 1)).Instances[0] // and the active at 9000
	for pid, want := range map[int]int{1000: 2, 1050: 2, 1200: 1, 9000: 0} {
		p := judge.Process{ProcID: inspect.ProcID{PID: pid, StartTicks: uint64(pid)}}
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
		finding findingName
		want    findingStatus
	}{
		"may not be signalled":               {0, false, findCapKill, findingWarning},
		"could not be read":                  {0, false, findReadable, findingWarning},
		"is refused":                         {0, false, findActiveConfirmed, findingWarning},
		"could not be read, with CAP_KILL":   {1 << capKill, false, findReadable, findingFailure},
		"is refused, with CAP_KILL":          {1 << capKill, false, findActiveConfirmed, findingFailure},
		"may not be signalled, and is alone": {0, true, findCapKill, findingFailure},
		"is refused, and is alone":           {0, true, findActiveConfirmed, findingFailure},
	} {
		r := findings(preflightOf(func(p *preflight, _ *instanceFacts) {
			p.report = refusedReport(judge.ReasonNotListening, "", oldWorker(6034, time.Minute, 1))
			for i := range p.report.Instances[0].Processes {
				q := &p.report.Instances[0].Processes[i]
				q.UID, q.Stranger, q.Error = 5001, true, "x"
			}
			if !row.alone {
				p.report.Instances = append(p.report.Instances, reportOf().Instances...)
				p.report.Instances[1].Name = "own.service"
			}
			p.have.euid, p.have.caps = 106, 1<<capSysPtrace|1<<capDACReadSearch|row.caps
		}))
		i := slices.IndexFunc(r.Findings, func(f finding) bool { return f.Name == row.finding })
		if got := r.Findings[i]; got.Status != row.want {
			t.Errorf("%s: %+v, want %s", name, got, row.want)
		}
	}
}
