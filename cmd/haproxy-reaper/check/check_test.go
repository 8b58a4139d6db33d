package check

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
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// preflightOf is a host on which all is well, but for what changes says.
func preflightOf(changes ...func(*Facts, *instanceFacts)) Facts {
	p := Facts{
		Report: fixture.ReportOf(fixture.OldWorker(6034, time.Minute, 1), fixture.OldWorker(6035, time.Minute, 1)),
		Have:   inspect.Privileges{Caps: 1<<inspect.CapSysPtrace | 1<<inspect.CapDACReadSearch | 1<<inspect.CapKill},
	}
	p.pidNS, p.netNS = 1, 2
	p.ownUnits = []ownUnit{{unit: "haproxy-reaper.service", user: "haproxy", uid: 106, found: true}}
	facts := instanceFacts{
		pidNS: 1, netNS: 2,
		config: inspect.Configuration{Files: []string{"/etc/haproxy/haproxy.cfg"}, Settings: inspect.Settings{
			HardStopAfter: settingAt(3, "30m"), MaxReloads: settingAt(4, "50"), ExposeFD: settingAt(5, "socket"),
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

func settingAt(line int, value string) *inspect.Setting {
	return &inspect.Setting{File: "/etc/haproxy/haproxy.cfg", Line: line, Value: value}
}

func TestAHostOnWhichAllIsWellHasNothingToDo(t *testing.T) {
	r := Judge(preflightOf())
	for _, f := range r.Findings {
		if f.Status != OK || f.Advice != "" {
			t.Errorf("%+v", f)
		}
	}
	if r.Status != OK || r.Summary.OK != len(r.Findings) || r.Summary.Warning+r.Summary.Failure > 0 {
		t.Errorf("%s, %+v of %d findings", r.Status, r.Summary, len(r.Findings))
	}
	if got := failuresOf(r); got != "" {
		t.Errorf("failures: %s", got)
	}
}

// failuresOf says what kind of failures a report has, the worse where there are both.
func failuresOf(r Report) string {
	switch privilege, other := r.Failures(); {
	case privilege:
		return "privilege"
	case other:
		return "other"
	}
	return ""
}

// TestFindings has a row for each thing that can be wrong, in which nothing else
// is.
func TestFindings(t *testing.T) {
	facts := func(change func(*instanceFacts)) func(*Facts, *instanceFacts) {
		return func(_ *Facts, f *instanceFacts) { change(f) }
	}
	host := func(change func(*Facts)) func(*Facts, *instanceFacts) {
		return func(p *Facts, _ *instanceFacts) { change(p) }
	}
	without := func(list ...inspect.Capability) func(*Facts, *instanceFacts) {
		return host(func(p *Facts) {
			for _, c := range list {
				p.Have.Caps &^= 1 << c
			}
		})
	}
	noResidual := host(func(p *Facts) { p.Report = fixture.ReportOf() })
	refused := func(reason judge.Reason) func(*Facts, *instanceFacts) {
		return host(func(p *Facts) { p.Report = fixture.RefusedReport(reason, "") })
	}
	stranded := func(reasons ...judge.StrandedReason) func(*Facts, *instanceFacts) {
		return host(func(p *Facts) {
			for i, reason := range reasons {
				q := &p.Report.Instances[0].Processes[1+i]
				q.Role, q.StrandedReason = judge.RoleStranded, reason
			}
		})
	}
	type change = func(*Facts, *instanceFacts)
	for _, c := range []struct {
		name    string
		changes []change
		finding Name
		status  Status
		words   string
		pids    []int
		fails   string
	}{
		{"no pidfds", []change{host(func(p *Facts) { p.Features.PidfdOpen = unix.ENOSYS })}, FindPidfdOpen, Failure, "no process can be signalled", nil, "privilege"},
		{"no pidfd_send_signal", []change{host(func(p *Facts) { p.Features.PidfdSendSignal = unix.EPERM })}, FindPidfdSendSignal, Failure, "operation not permitted", nil, "privilege"},
		{"a class of its sockets that is not ours", []change{host(func(p *Facts) { p.otherClasses = map[int]string{6001: "net_cls:/", 6035: "net_cls:/docker/7"} })},
			FindSocketClass, Warning, "net_cls:/docker/7", []int{6035}, ""},
		{"no pidfd_getfd", []change{host(func(p *Facts) { p.Features.PidfdGetfd = unix.EPERM })}, FindPidfdGetfd, Warning, "operation not permitted", nil, ""},
		{"rights that cannot be read", []change{host(func(p *Facts) { p.Have, p.HaveErr = inspect.Privileges{}, unix.EIO })}, FindCapKill, Failure, "not known: input/output error", nil, "privilege"},
		{"no right to look", []change{without(inspect.CapSysPtrace)}, FindCapSysPtrace, Failure, "missing", nil, "privilege"},
		{"root without CAP_DAC_READ_SEARCH", []change{without(inspect.CapDACReadSearch)}, FindCapDACRead, Warning, "not root's", nil, ""},
		{"another user without it", []change{without(inspect.CapDACReadSearch), host(func(p *Facts) { p.Have.EUID = 106 })}, FindCapDACRead, Failure, "missing", nil, "privilege"},
		{"no right to signal", []change{without(inspect.CapKill)}, FindCapKill, Failure, "cannot be signalled", []int{6034, 6035, 6050}, "privilege"},
		{"no right to signal, in a dry run", []change{without(inspect.CapKill), host(func(p *Facts) { p.DryRun = true })}, FindCapKill, Warning, "dry run", []int{6034, 6035, 6050}, ""},
		{"no right to signal, as the user of the workers", []change{without(inspect.CapKill), host(func(p *Facts) {
			p.Have.EUID = 106
		})}, FindCapKill, OK, "not needed", nil, ""},
		{"a look that failed", []change{host(func(p *Facts) { p.Report = fixture.EmptyReport("processes: /proc: input/output error") })}, FindReadable, Failure, "input/output error", nil, "privilege"},
		{"a process that could not be read", []change{host(func(p *Facts) { p.Report.Instances[0].Processes[1].Error = "sockets: denied" })}, FindReadable, Failure, "process 6034: sockets: denied", []int{6034}, "privilege"},
		{"a /proc that hides", []change{host(func(p *Facts) { p.Report, p.Hidden = fixture.EmptyReport(), true })}, FindReadable, Failure, "hides", nil, "privilege"},
		{"no HAProxy", []change{host(func(p *Facts) { p.Report = fixture.EmptyReport() })}, FindInstances, Warning, "no HAProxy instance found", nil, ""},
		{"no user for the service", []change{host(func(p *Facts) {
			p.ownUnits[0].found, p.ownUnits[0].uid = false, 0
		})}, FindServiceUser, Failure, "/etc/passwd has no user haproxy, as which haproxy-reaper.service runs", nil, "other"},
		{"no user for the other service", []change{host(func(p *Facts) {
			p.ownUnits = append(p.ownUnits, ownUnit{unit: "haproxy-reaper-serve.service", user: "www-data"})
		})}, FindServiceUser, Failure, "no user www-data, as which haproxy-reaper-serve.service runs", nil, "other"},
		{"no user for either", []change{host(func(p *Facts) {
			p.ownUnits = []ownUnit{{unit: "haproxy-reaper.service", user: "a"}, {unit: "haproxy-reaper-serve.service", user: "b"}}
		})}, FindServiceUser, Failure, "no user a, as which haproxy-reaper.service runs", nil, "other"},
		{"users for both", []change{host(func(p *Facts) {
			p.ownUnits = append(p.ownUnits, ownUnit{unit: "haproxy-reaper-serve.service", found: true})
		})}, FindServiceUser, OK, "haproxy-reaper.service runs as haproxy", nil, ""},
		{"users that cannot be read", []change{host(func(p *Facts) {
			p.ownUnits[0].found, p.ownUnits[0].err = false, unix.EACCES
		})}, FindServiceUser, Warning, "not known: permission denied", nil, ""},
		{"a service of a user that no worker runs as", []change{host(func(p *Facts) {
			p.ownUnits[0].uid = 33
		})}, FindServiceUser, Warning, "no worker of HAProxy does", []int{6034, 6035, 6050}, ""},
		{"the same, without HAProxy", []change{host(func(p *Facts) {
			p.Report, p.ownUnits[0].uid = fixture.EmptyReport(), 33
		})}, FindServiceUser, OK, "haproxy-reaper.service runs as haproxy", nil, ""},
		{"a service of root's", []change{host(func(p *Facts) {
			p.ownUnits[0] = ownUnit{unit: "haproxy-reaper.service", found: true}
		})}, FindServiceUser, OK, "haproxy-reaper.service runs as root", nil, ""},
		{"no HAProxy of that name", []change{host(func(p *Facts) { p.Report, p.Wanted = fixture.EmptyReport(), []string{"web"} })}, FindInstances, Warning, "of that name: web", nil, ""},

		{"a refused instance", []change{refused(judge.ReasonNotListening)}, FindActiveConfirmed, Failure, "no listening socket", []int{6001, 6050}, "other"},
		{"an instance amid a reload", []change{refused(judge.ReasonReloading)}, FindActiveConfirmed, Warning, "reload", []int{6001, 6050}, ""},
		{"an instance of which facts are missing", []change{refused(judge.ReasonUnreadable)}, FindStranded, Warning, "not known", nil, "other"},
		{"an active worker that is not confirmed", []change{host(func(p *Facts) { p.Report.Instances[0].Confirmed = false })}, FindActiveConfirmed, Failure, "not confirmed", nil, "other"},
		{"a service that drains", []change{refused(judge.ReasonDraining)}, FindActiveConfirmed, Warning, "drains", []int{6001, 6050}, ""},
		{"a stranded process that listens", []change{stranded(judge.StrandedListening)}, FindStranded, Warning, "process 6034: superseded, and still listening", []int{6034}, ""},
		{"one that nothing told to stop", []change{stranded(judge.StrandedNotTold)}, FindStranded, Warning, "process 6034: superseded, and not known to have been told to stop", []int{6034}, ""},
		{"one whose sockets are unknown", []change{stranded(judge.StrandedUnreadable)}, FindStranded, Warning, "process 6034: superseded, with sockets that could not be read", []int{6034}, ""},
		{"one of another user", []change{stranded(judge.StrandedOtherUser)}, FindStranded, Warning, "process 6034: superseded by a process of another user", []int{6034}, ""},
		{"two, for a reason each", []change{stranded(judge.StrandedListening, judge.StrandedNotTold)}, FindStranded, Warning, "process 6034: superseded, and still listening; process 6035: ", []int{6034, 6035}, ""},
		{"two for one reason", []change{stranded(judge.StrandedListening, judge.StrandedListening)}, FindStranded, Warning, "processes 6034 and 6035: superseded, and still listening", []int{6034, 6035}, ""},

		{"another network namespace", []change{facts(func(f *instanceFacts) { f.netNS = 9 })}, FindNamespaces, OK, "another network namespace", nil, ""},
		{"another network namespace without pidfd_getfd", []change{facts(func(f *instanceFacts) { f.netNS = 9 }), host(func(p *Facts) { p.Features.PidfdGetfd = unix.EPERM })}, FindNamespaces, Warning, "refused", nil, ""},
		{"another PID namespace", []change{facts(func(f *instanceFacts) { f.pidNS = 9 })}, FindNamespaces, OK, "another PID namespace", nil, ""},
		{"namespaces that may not be read", []change{facts(func(f *instanceFacts) { f.netNS = 0 })}, FindNamespaces, Warning, "could not be read", nil, ""},
		{"no master CLI", []change{facts(func(f *instanceFacts) { f.cliErr = inspect.ErrNoCLI })}, FindMasterCLI, Warning, "none to ask", nil, ""},
		{"a master CLI of root's", []change{facts(func(f *instanceFacts) { f.cliErr = unix.EACCES })}, FindMasterCLI, Warning, "may not be asked", nil, ""},
		{"a master CLI of another master's", []change{facts(func(f *instanceFacts) { f.cliErr = fmt.Errorf("%w: belongs to process 1", inspect.ErrNoCLI) })}, FindMasterCLI, Warning, "belongs to process 1", nil, ""},
		{"a configuration that may not be read", []change{facts(func(f *instanceFacts) { f.config.Err = unix.EACCES })}, FindConfiguration, Failure, "permission denied", nil, "privilege"},
		{"a configuration of a stranger's", []change{facts(func(f *instanceFacts) {
			f.config.Err = fmt.Errorf("process 6001 runs as mallory, %w", errStranger)
		})}, FindConfiguration, Warning, "runs as mallory, a user that this agent may not signal", nil, ""},
		{"a configuration of the kernel's", []change{facts(func(f *instanceFacts) { f.config.Err = inspect.ErrNotKept })}, FindConfiguration, Warning, "of the kernel's own", nil, ""},
		{"a configuration that is gone", []change{facts(func(f *instanceFacts) { f.config.Err = unix.ENOENT })}, FindConfiguration, Warning, "no such file", nil, ""},

		{"no hard-stop-after", []change{facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = nil })}, FindHardStopAfter, Warning, "processes 6034 and 6035 may stay", []int{6034, 6035}, ""},
		{"no hard-stop-after and no residual process", []change{noResidual, facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = nil })}, FindHardStopAfter, Warning, "not set", nil, ""},
		{"a hard-stop-after of 0", []change{facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = settingAt(3, "0") })}, FindHardStopAfter, Warning, "not set", nil, ""},
		{"a hard-stop-after that nobody found, in files not all read", []change{facts(func(f *instanceFacts) {
			f.config.Settings.HardStopAfter, f.config.Err = nil, unix.ENOENT
		})}, FindHardStopAfter, Warning, "not known", nil, ""},
		{"a hard-stop-after under a condition", []change{facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter.Conditional = true })}, FindHardStopAfter, Warning, "condition", nil, ""},
		{"a file that changed after the active was started", []change{facts(func(f *instanceFacts) { f.changed = inspect.TicksToBoottime(9001) })}, FindHardStopAfter, Warning, "in the file only", []int{6050}, ""},
		{"a file that changed as the active was started", []change{facts(func(f *instanceFacts) { f.changed = inspect.TicksToBoottime(9000) })}, FindHardStopAfter, OK, "30m (/etc/haproxy/haproxy.cfg:3)", nil, ""},
		{"a file whose time is unknown", []change{facts(func(f *instanceFacts) { f.config.ChangedErr = unix.EXDEV })}, FindHardStopAfter, Warning, "cannot be told", nil, ""},
		{"one residual process from before the file changed", []change{facts(func(f *instanceFacts) { f.changed = inspect.TicksToBoottime(6035) })}, FindHardStopUnbound, Warning, "process 6034: started before", []int{6034}, ""},
		{"a residual process past its hard-stop-after", []change{host(func(p *Facts) {
			p.Report = fixture.ReportOf(fixture.OldWorker(6034, 31*time.Minute, 1), fixture.OldWorker(6035, time.Minute, 1))
		})}, FindHardStopUnbound, Warning, "process 6034: still there", []int{6034}, ""},
		{"one past it by less than it may take", []change{host(func(p *Facts) {
			p.Report = fixture.ReportOf(fixture.OldWorker(6034, 30*time.Minute+9*time.Second, 1))
		})}, FindHardStopUnbound, OK, "", nil, ""},
		{"one past it and within its grace", []change{host(func(p *Facts) {
			p.Report = fixture.ReportOf(fixture.OldWorker(6034, 31*time.Minute, 1))
		}), facts(func(f *instanceFacts) { f.config.Settings.Grace = settingAt(9, "2m") })}, FindHardStopUnbound, OK, "", nil, ""},
		{"one past what nobody can read", []change{host(func(p *Facts) {
			p.Report = fixture.ReportOf(fixture.OldWorker(6034, 31*time.Minute, 1))
		}), facts(func(f *instanceFacts) { f.config.Settings.HardStopAfter = settingAt(3, "${T}") })}, FindHardStopUnbound, OK, "", nil, ""},

		{"a residual process near the end of its reloads", []change{facts(func(f *instanceFacts) { f.master.Reloads[6034] = 40 })}, FindMaxReloads, Warning, "50 reloads (/etc/haproxy/haproxy.cfg:4): 6034 has seen 40, 6035 has seen 1", []int{6034}, ""},
		{"one not quite so near", []change{facts(func(f *instanceFacts) { f.master.Reloads[6034] = 39 })}, FindMaxReloads, OK, "6034 has seen 39", nil, ""},
		{"reloads that no master tells", []change{facts(func(f *instanceFacts) { f.master = inspect.MasterAnswer{} })}, FindMaxReloads, OK, "6034 has seen at least 1", nil, ""},
		{"no limit on 3.2", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads, f.master.Version = nil, "3.2.26-1" })}, FindMaxReloads, OK, "ends no old worker", nil, ""},
		{"the limit of 3.3 by itself", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads, f.master.Version = nil, "3.3-dev14" })}, FindMaxReloads, OK, "50 reloads (default of HAProxy 3.3-dev14)", nil, ""},
		{"no limit on an unknown version", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads, f.master.Version = nil, "" })}, FindMaxReloads, Warning, "version is not known", nil, ""},
		{"a limit in a variable", []change{facts(func(f *instanceFacts) { f.config.Settings.MaxReloads = settingAt(4, "$N") })}, FindMaxReloads, Warning, "cannot be told", nil, ""},

		{"no exposed listeners, which 2.6 does not need", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD = nil })}, FindExposeFD, OK, "not needed", nil, ""},
		{"no exposed listeners on 2.4", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD, f.master.Version = nil, "2.4.0" })}, FindExposeFD, Warning, "opens its listeners anew", nil, ""},
		{"no exposed listeners on an unknown version", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD, f.master.Version = nil, "" })}, FindExposeFD, Warning, "version is not known", nil, ""},
		{"no exposed listeners on one whose last reload handed them over", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD, f.master.Version = nil, "" }), host(func(p *Facts) {
			list := p.Report.Instances[0].Processes
			list[len(list)-1].Args = []string{"haproxy", "-x", "sockpair@3"}
		})}, FindExposeFD, OK, "not needed", nil, ""},
		{"a daemon without exposed listeners", []change{facts(func(f *instanceFacts) { f.config.Settings.ExposeFD = nil }), host(func(p *Facts) { p.Report.Instances[0].Model = judge.ModelDaemon })}, FindExposeFD, Warning, "not set", nil, ""},

		{"a unit that cannot be read", []change{facts(func(f *instanceFacts) { f.unitErr = errors.New("gone") })}, FindUnit, Warning, "gone", nil, ""},
		{"a unit of Type=simple", []change{facts(func(f *instanceFacts) { f.service.Type = "simple" })}, FindUnitType, Warning, "Type=simple", nil, ""},
		{"a daemon's unit of Type=forking", []change{facts(func(f *instanceFacts) { f.service.Type = "forking" }), host(func(p *Facts) { p.Report.Instances[0].Model = judge.ModelDaemon })}, FindUnitType, OK, "Type=forking", nil, ""},
		{"a unit that leaves workers behind", []change{facts(func(f *instanceFacts) { f.service.KillMode = "process" })}, FindUnitKillMode, Warning, "outlive", nil, ""},
		{"a unit with systemd's own KillMode", []change{facts(func(f *instanceFacts) { f.service.KillMode = "control-group" })}, FindUnitKillMode, OK, "", nil, ""},
		{"a unit that does not come back", []change{facts(func(f *instanceFacts) { f.service.Restart = "on-failure" })}, FindUnitRestart, Warning, "Restart=on-failure", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Judge(preflightOf(c.changes...))
			at := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Name == c.finding })
			if at < 0 {
				t.Fatalf("no finding %s", c.finding)
			}
			f := r.Findings[at]
			if f.Status != c.status || !strings.Contains(f.Message, c.words) {
				t.Errorf("%s is %s: %q; want %s with %q", f.Name, f.Status, f.Message, c.status, c.words)
			}
			if (f.Status == OK) != (f.Advice == "") {
				t.Errorf("%s with the advice %q", f.Status, f.Advice)
			}
			if c.pids != nil && !slices.Equal(f.PIDs, c.pids) {
				t.Errorf("it is about %v, want %v", f.PIDs, c.pids)
			}
			if got := failuresOf(r); got != c.fails {
				t.Errorf("failures: %q, want %q", got, c.fails)
			}
		})
	}
}

func TestADaemonIsNotAskedForAMaster(t *testing.T) {
	r := Judge(preflightOf(func(p *Facts, _ *instanceFacts) { p.Report.Instances[0].Model = judge.ModelDaemon }))
	for _, f := range r.Findings {
		if f.Name == FindMasterCLI || f.Name == FindMaxReloads {
			t.Errorf("%+v", f)
		}
	}
}

// Every finding has a name of the closed set, in its order, and no name twice.
func TestFindingsAreInTheOrderOfTheirNames(t *testing.T) {
	p := preflightOf(func(p *Facts, f *instanceFacts) { f.unitErr = errors.New("gone") })
	last := -1
	for _, f := range Judge(p).Findings {
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
		finding Name
		want    Status
	}{
		"may not be signalled":               {0, false, FindCapKill, Warning},
		"could not be read":                  {0, false, FindReadable, Warning},
		"is refused":                         {0, false, FindActiveConfirmed, Warning},
		"could not be read, with CAP_KILL":   {1 << inspect.CapKill, false, FindReadable, Failure},
		"is refused, with CAP_KILL":          {1 << inspect.CapKill, false, FindActiveConfirmed, Failure},
		"may not be signalled, and is alone": {0, true, FindCapKill, Failure},
		"is refused, and is alone":           {0, true, FindActiveConfirmed, Failure},
	} {
		r := Judge(preflightOf(func(p *Facts, _ *instanceFacts) {
			p.Report = fixture.RefusedReport(judge.ReasonNotListening, "", fixture.OldWorker(6034, time.Minute, 1))
			for i := range p.Report.Instances[0].Processes {
				q := &p.Report.Instances[0].Processes[i]
				q.UID, q.Stranger, q.Error = 5001, true, "x"
			}
			if !row.alone {
				p.Report.Instances = append(p.Report.Instances, fixture.ReportOf().Instances...)
				p.Report.Instances[1].Name = "own.service"
			}
			p.Have.EUID, p.Have.Caps = 106, 1<<inspect.CapSysPtrace|1<<inspect.CapDACReadSearch|row.caps
		}))
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Name == row.finding })
		if got := r.Findings[i]; got.Status != row.want {
			t.Errorf("%s: %+v, want %s", name, got, row.want)
		}
	}
}
