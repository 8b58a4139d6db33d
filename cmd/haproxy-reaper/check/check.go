package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Judge returns the findings that the facts come to. It reads nothing besides.
func Judge(p Facts) Report {
	r := Report{Version: 1, Host: p.Report.Host, Time: p.Report.Time, Findings: []Finding{}}
	r.Findings = append(r.Findings, judgeKernel(p)...)
	r.Findings = append(r.Findings, judgePrivileges(p)...)
	r.Findings = append(r.Findings, judgeReadable(p), judgeInstances(p))
	r.Findings = append(r.Findings, judgeServiceUser(p)...)
	for i := range p.Report.Instances {
		in := &p.Report.Instances[i]
		if in.Model == "" {
			continue
		}
		found := judgeProcesses(in)
		if facts, known := p.instances[in.Name]; known {
			found = append(found, judgeSurroundings(p, in, facts)...)
			found = append(found, judgeConfiguration(in, facts)...)
			found = append(found, judgeUnit(in, facts)...)
		}
		for _, f := range found {
			if f.Status == Failure && p.strangers(in) {
				f.Status = Warning // any account can bring that about
			}
			f.Instance = in.Name
			r.Findings = append(r.Findings, f)
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		f.PIDs = append([]int{}, f.PIDs...)
		switch f.Status {
		case OK:
			r.Summary.OK++
		case Warning:
			r.Summary.Warning++
		case Failure:
			r.Summary.Failure++
		}
	}
	switch {
	case r.Summary.Failure > 0:
		r.Status = Failure
	case r.Summary.Warning > 0:
		r.Status = Warning
	default:
		r.Status = OK
	}
	return r
}

// passed, warning and failure make a finding.
func passed(name Name, format string, args ...any) Finding {
	return Finding{Name: name, Status: OK, Message: fmt.Sprintf(format, args...)}
}

func warning(name Name, advice, format string, args ...any) Finding {
	return Finding{Name: name, Status: Warning, Advice: advice, Message: fmt.Sprintf(format, args...)}
}

func failure(name Name, advice, format string, args ...any) Finding {
	return Finding{Name: name, Status: Failure, Advice: advice, Message: fmt.Sprintf(format, args...)}
}

func (f Finding) about(pids []int) Finding {
	f.PIDs = pids
	return f
}

func judgeKernel(p Facts) []Finding {
	const filter = "a newer kernel, or a system call filter that allows it (systemd: SystemCallFilter=pidfd_getfd)"
	list := []Finding{passed(FindPidfdOpen, "there: a signal reaches the process that was looked at, or nobody")}
	if err := p.Features.PidfdOpen; err != nil {
		list[0] = failure(FindPidfdOpen, "a kernel from Linux 5.3 on that allows it; until then only status and dry runs work", "refused (%v): no process can be signalled", err)
	}
	if err := p.Features.PidfdSendSignal; err != nil {
		list = append(list, failure(FindPidfdSendSignal, "a system call filter that allows it (systemd: SystemCallFilter=pidfd_open pidfd_send_signal); until then only status and dry runs work",
			"refused (%v): no process can be signalled", err))
	} else {
		list = append(list, passed(FindPidfdSendSignal, "there"))
	}
	if err := p.Features.PidfdGetfd; err != nil {
		list = append(list, warning(FindPidfdGetfd, filter,
			"refused (%v): the kernel's tables of sockets stand in, in our own network namespace only", err))
	} else {
		list = append(list, passed(FindPidfdGetfd, "there: each descriptor of an old worker can be looked at"))
	}
	return append(list, judgeSocketClass(p))
}

// judgeSocketClass tells whether the sockets of HAProxy would take the class of this
// program from a look at its descriptors.
func judgeSocketClass(p Facts) Finding {
	apart := pidsOf(p.Report.Instances, func(q *judge.Process) bool { return mayBecomeDue(q) && p.otherClasses[q.PID] != "" })
	if len(apart) == 0 {
		return passed(FindSocketClass, "HAProxy's sockets keep their class: cgroup v1 (net_cls, net_prio) gives them no other than this program's")
	}
	return warning(FindSocketClass, "run this program in the same cgroup of net_cls and net_prio, or boot with cgroup_no_v1=net_cls,net_prio where nothing uses them",
		"pidfd_getfd would change the class of HAProxy's sockets, which cgroup v1 has (%s). The kernel's tables stand in, in our own network namespace only, and nothing is drained",
		p.otherClasses[apart[0]]).about(apart)
}

func judgePrivileges(p Facts) []Finding {
	const advice = "run it as root or as its unit does"
	held := func(c inspect.Capability) bool { return len(p.Have.Missing(c)) == 0 }
	var list []Finding
	if p.HaveErr != nil {
		for _, name := range []Name{FindCapSysPtrace, FindCapDACRead, FindCapKill} {
			list = append(list, failure(name, "a /proc that shows this process its own status", "not known: %v", p.HaveErr))
		}
		return list
	}
	if held(inspect.CapSysPtrace) {
		list = append(list, passed(FindCapSysPtrace, "held"))
	} else {
		list = append(list, failure(FindCapSysPtrace, advice, "missing: no executable, namespace or socket of another user's process can be read"))
	}
	switch {
	case held(inspect.CapDACReadSearch):
		list = append(list, passed(FindCapDACRead, "held"))
	case p.Have.EUID == 0:
		list = append(list, warning(FindCapDACRead, advice, "missing: processes and files that are not root's may stay unread"))
	default:
		list = append(list, failure(FindCapDACRead, advice, "missing: descriptors of other users' processes and their configuration cannot be read"))
	}
	foreign := pidsOf(p.Report.Instances, func(q *judge.Process) bool {
		return mayBecomeDue(q) && uint32(q.UID) != p.Have.EUID && !p.stranger(q)
	})
	strangers := pidsOf(p.Report.Instances, func(q *judge.Process) bool { return mayBecomeDue(q) && p.stranger(q) })
	switch {
	case held(inspect.CapKill):
		list = append(list, passed(FindCapKill, "held"))
	case len(foreign)+len(strangers) == 0:
		list = append(list, passed(FindCapKill, "missing, and not needed: no worker runs as another user than uid %d, as this does", p.Have.EUID))
	case p.DryRun:
		list = append(list, warning(FindCapKill, "before going live: CAP_KILL, or the user of the workers",
			"missing, which a dry run does not need: the workers run as other users").about(slices.Concat(foreign, strangers)))
	case len(foreign) == 0:
		list = append(list, warning(FindCapKill, "CAP_KILL, or the user of the workers, if these are a service of this host",
			"missing: HAProxys of other users cannot be signalled").about(strangers))
	default:
		list = append(list, failure(FindCapKill, "CAP_KILL, or the user of the workers", "missing: workers of other users cannot be signalled").about(foreign))
	}
	return list
}

// stranger tells a process of another user that this program may not signal, and that
// root has not started. What stands against it is a warning at the most: any account can
// have such processes. Where there is no other instance, it may be the service itself.
func (p Facts) stranger(q *judge.Process) bool {
	return q.Stranger && len(p.Have.Missing(inspect.CapKill)) > 0 && slices.ContainsFunc(p.Report.Instances, ofOwn)
}

// ofOwn tells an instance that has a process of no stranger's.
func ofOwn(in judge.Instance) bool {
	return in.Model != "" && slices.ContainsFunc(in.Processes, func(q judge.Process) bool { return !q.Stranger })
}

// strangers tells an instance of nothing else.
func (p Facts) strangers(in *judge.Instance) bool {
	for i := range in.Processes {
		if !p.stranger(&in.Processes[i]) {
			return false
		}
	}
	return true
}

// mayBecomeDue tells the processes that are, or will one day be, signalled.
func mayBecomeDue(p *judge.Process) bool {
	return text.IsWorker(p) || p.Role == judge.RoleStarting
}

// judgeReadable is about what the look came to, whatever privileges promise.
func judgeReadable(p Facts) Finding {
	errs := slices.Clone(p.Report.Errors)
	if p.err != nil {
		errs = append(errs, p.err.Error())
	}
	isUnread := func(q *judge.Process) bool { return q.Error != "" && !p.stranger(q) }
	unread := pidsOf(p.Report.Instances, isUnread)
	strangers := 0
	for _, in := range p.Report.Instances {
		for _, q := range in.Processes {
			switch {
			case isUnread(&q):
				errs = append(errs, fmt.Sprintf("process %d: %s", q.PID, q.Error))
			case q.Error != "":
				strangers++
			}
		}
	}
	switch {
	case len(errs) > 0:
		const shown = 2
		message := strings.Join(errs[:min(len(errs), shown)], "; ")
		if more := len(errs) - shown; more > 0 {
			message += fmt.Sprintf("; and %d more", more)
		}
		return failure(FindReadable, "the privileges above; with them, see what forbids it", "not everything could be read: %s", message).about(unread)
	case p.Hidden && len(p.Report.Instances) == 0:
		return failure(FindReadable, "CAP_SYS_PTRACE, or a /proc without hidepid and ProtectProc=", "/proc hides the processes of other users")
	}
	if strangers > 0 {
		return warning(FindReadable, "see status; it concerns their own instances alone",
			"not everything could be read of %s of other users", text.Processes(strangers))
	}
	return passed(FindReadable, "every fact of every HAProxy process could be read")
}

func judgeInstances(p Facts) Finding {
	n := 0
	for _, in := range p.Report.Instances {
		if in.Model != "" {
			n++
		}
	}
	switch {
	case n > 0:
		return passed(FindInstances, "%s of HAProxy", text.Plural(n, "instance", "instances"))
	case len(p.Wanted) > 0:
		return warning(FindInstances, "see the names that status prints", "no HAProxy instance of that name: %s", strings.Join(p.Wanted, ", "))
	}
	return warning(FindInstances, "start HAProxy, or name its executable with --exe", "no HAProxy instance found")
}

// judgeServiceUser tells whether our own systemd services can start, and whether
// their user is one that HAProxy's workers run as. The worst service is told of.
func judgeServiceUser(p Facts) []Finding {
	const dropIns = "the drop-in other-user.conf or several-users.conf, with the user that HAProxy's workers run as"
	workers := pidsOf(p.Report.Instances, mayBecomeDue)
	severe := func(f Finding) int {
		return slices.Index([]Status{OK, Warning, Failure}, f.Status)
	}
	var worst *Finding
	for _, s := range p.ownUnits {
		own := pidsOf(p.Report.Instances, func(q *judge.Process) bool { return mayBecomeDue(q) && uint32(q.UID) == s.uid })
		found := passed(FindServiceUser, "%s runs as %s", s.unit, cmp.Or(s.user, "root"))
		switch {
		case s.err != nil:
			found = warning(FindServiceUser, "getent passwd "+s.user, "%s runs as %s, and whether there is such a user is not known: %v", s.unit, s.user, s.err)
		case !s.found:
			found = failure(FindServiceUser, "systemd-sysusers haproxy-reaper.conf, which makes the user haproxy; or "+dropIns,
				"/etc/passwd has no user %s, as which %s runs: it does not start", s.user, s.unit)
		case s.uid != 0 && len(workers) > 0 && len(own) == 0:
			found = warning(FindServiceUser, dropIns, "%s runs as %s, and no worker of HAProxy does: it may not signal any", s.unit, s.user).about(workers)
		}
		if worst == nil || severe(found) > severe(*worst) {
			worst = &found
		}
	}
	if worst == nil {
		return nil
	}
	return []Finding{*worst}
}

// pidsOf are the processes of some kind.
func pidsOf(instances []judge.Instance, fits func(*judge.Process) bool) []int {
	var pids []int
	for i := range instances {
		for j := range instances[i].Processes {
			if p := &instances[i].Processes[j]; instances[i].Model != "" && fits(p) {
				pids = append(pids, p.PID)
			}
		}
	}
	return pids
}

// listed are pids as a sentence has them: "process 12", "processes 12, 18 and 26".
func listed(pids []int) string {
	words := make([]string, len(pids))
	for i, pid := range pids {
		words[i] = fmt.Sprint(pid)
	}
	if len(words) == 1 {
		return "process " + words[0]
	}
	last := len(words) - 1
	return "processes " + strings.Join(words[:last], ", ") + " and " + words[last]
}
