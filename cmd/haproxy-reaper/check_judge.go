package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// findings makes findings of facts. It is a function of its argument alone.
func findings(p preflight) checkReport {
	r := checkReport{Version: 1, Host: p.report.Host, Time: p.report.Time, Findings: []finding{}}
	r.Findings = append(r.Findings, judgeKernel(p)...)
	r.Findings = append(r.Findings, judgePrivileges(p)...)
	r.Findings = append(r.Findings, judgeReadable(p), judgeInstances(p))
	r.Findings = append(r.Findings, judgeServiceUser(p)...)
	for i := range p.report.Instances {
		in := &p.report.Instances[i]
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
			if f.Status == findingFailure && p.strangers(in) {
				f.Status = findingWarning // any account can bring that about
			}
			f.Instance = in.Name
			r.Findings = append(r.Findings, f)
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		f.PIDs = append([]int{}, f.PIDs...)
		switch f.Status {
		case findingOK:
			r.Summary.OK++
		case findingWarning:
			r.Summary.Warning++
		case findingFailure:
			r.Summary.Failure++
		}
	}
	switch {
	case r.Summary.Failure > 0:
		r.Status = findingFailure
	case r.Summary.Warning > 0:
		r.Status = findingWarning
	default:
		r.Status = findingOK
	}
	return r
}

// passed, warning and failure make a finding.
func passed(name findingName, format string, args ...any) finding {
	return finding{Name: name, Status: findingOK, Message: fmt.Sprintf(format, args...)}
}

func warning(name findingName, advice, format string, args ...any) finding {
	return finding{Name: name, Status: findingWarning, Advice: advice, Message: fmt.Sprintf(format, args...)}
}

func failure(name findingName, advice, format string, args ...any) finding {
	return finding{Name: name, Status: findingFailure, Advice: advice, Message: fmt.Sprintf(format, args...)}
}

func (f finding) about(pids []int) finding {
	f.PIDs = pids
	return f
}

func judgeKernel(p preflight) []finding {
	const filter = "a newer kernel, or a system call filter that allows it (systemd: SystemCallFilter=pidfd_getfd)"
	list := []finding{passed(findPidfdOpen, "there: a signal reaches the process that was looked at, or nobody")}
	if err := p.features.PidfdOpen; err != nil {
		list[0] = failure(findPidfdOpen, "a kernel from Linux 5.3 on that allows it; until then only status and dry runs work", "refused (%v): no process can be signalled", err)
	}
	if err := p.features.PidfdSendSignal; err != nil {
		list = append(list, failure(findPidfdSendSignal, "a system call filter that allows it (systemd: SystemCallFilter=pidfd_open pidfd_send_signal); until then only status and dry runs work",
			"refused (%v): no process can be signalled", err))
	} else {
		list = append(list, passed(findPidfdSendSignal, "there"))
	}
	if err := p.features.PidfdGetfd; err != nil {
		list = append(list, warning(findPidfdGetfd, filter,
			"refused (%v): the kernel's tables of sockets stand in, in our own network namespace only", err))
	} else {
		list = append(list, passed(findPidfdGetfd, "there: each descriptor of an old worker can be looked at"))
	}
	if err := p.features.PidfdInfo; err != nil {
		list = append(list, passed(findPidfdInfo, "not there (%v), and not needed", err))
	} else {
		list = append(list, passed(findPidfdInfo, "there, and not needed"))
	}
	return append(list, judgeSocketClass(p))
}

// judgeSocketClass tells whether the sockets of HAProxy would take the class of this
// program from a look at its descriptors.
func judgeSocketClass(p preflight) finding {
	apart := pidsOf(p.report.Instances, func(q *judge.Process) bool { return mayBecomeDue(q) && p.otherClasses[q.PID] != "" })
	if len(apart) == 0 {
		return passed(findSocketClass, "HAProxy's sockets keep their class: cgroup v1 (net_cls, net_prio) gives them no other than this program's")
	}
	return warning(findSocketClass, "run this program in the same cgroup of net_cls and net_prio, or boot with cgroup_no_v1=net_cls,net_prio where nothing uses them",
		"pidfd_getfd would change the class of HAProxy's sockets, which cgroup v1 has (%s). The kernel's tables stand in, in our own network namespace only, and nothing is drained",
		p.otherClasses[apart[0]]).about(apart)
}

func judgePrivileges(p preflight) []finding {
	const advice = "run it as root or as its unit does"
	held := func(c capability) bool { return len(p.have.missing(c)) == 0 }
	var list []finding
	if p.haveErr != nil {
		for _, name := range []findingName{findCapSysPtrace, findCapDACRead, findCapKill} {
			list = append(list, failure(name, "a /proc that shows this process its own status", "not known: %v", p.haveErr))
		}
		return list
	}
	if held(capSysPtrace) {
		list = append(list, passed(findCapSysPtrace, "held"))
	} else {
		list = append(list, failure(findCapSysPtrace, advice, "missing: no executable, namespace or socket of another user's process can be read"))
	}
	switch {
	case held(capDACReadSearch):
		list = append(list, passed(findCapDACRead, "held"))
	case p.have.euid == 0:
		list = append(list, warning(findCapDACRead, advice, "missing: processes and files that are not root's may stay unread"))
	default:
		list = append(list, failure(findCapDACRead, advice, "missing: descriptors of other users' processes and their configuration cannot be read"))
	}
	foreign := pidsOf(p.report.Instances, func(q *judge.Process) bool {
		return mayBecomeDue(q) && uint32(q.UID) != p.have.euid && !p.stranger(q)
	})
	strangers := pidsOf(p.report.Instances, func(q *judge.Process) bool { return mayBecomeDue(q) && p.stranger(q) })
	switch {
	case held(capKill):
		list = append(list, passed(findCapKill, "held"))
	case len(foreign)+len(strangers) == 0:
		list = append(list, passed(findCapKill, "missing, and not needed: no worker runs as another user than uid %d, as this does", p.have.euid))
	case p.dryRun:
		list = append(list, warning(findCapKill, "before going live: CAP_KILL, or the user of the workers",
			"missing, which a dry run does not need: the workers run as other users").about(slices.Concat(foreign, strangers)))
	case len(foreign) == 0:
		list = append(list, warning(findCapKill, "CAP_KILL, or the user of the workers, if these are a service of this host",
			"missing: HAProxys of other users cannot be signalled").about(strangers))
	default:
		list = append(list, failure(findCapKill, "CAP_KILL, or the user of the workers", "missing: workers of other users cannot be signalled").about(foreign))
	}
	return list
}

// stranger tells a process of another user that this program may not signal, and that
// root has not started. What stands against it is a warning at the most: any account can
// have such processes. Where there is no other instance, it may be the service itself.
func (p preflight) stranger(q *judge.Process) bool {
	return q.Stranger && len(p.have.missing(capKill)) > 0 && slices.ContainsFunc(p.report.Instances, ofOwn)
}

// ofOwn tells an instance that has a process of no stranger's.
func ofOwn(in judge.Instance) bool {
	return in.Model != "" && slices.ContainsFunc(in.Processes, func(q judge.Process) bool { return !q.Stranger })
}

// strangers tells an instance of nothing else.
func (p preflight) strangers(in *judge.Instance) bool {
	for i := range in.Processes {
		if !p.stranger(&in.Processes[i]) {
			return false
		}
	}
	return true
}

// mayBecomeDue tells the processes that are, or will one day be, signalled.
func mayBecomeDue(p *judge.Process) bool {
	return isWorker(p) || p.Role == judge.RoleStarting
}

// judgeReadable is about what the look came to, whatever privileges promise.
func judgeReadable(p preflight) finding {
	errs := slices.Clone(p.report.Errors)
	if p.err != nil {
		errs = append(errs, p.err.Error())
	}
	isUnread := func(q *judge.Process) bool { return q.Error != "" && !p.stranger(q) }
	unread := pidsOf(p.report.Instances, isUnread)
	strangers := 0
	for _, in := range p.report.Instances {
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
		text := strings.Join(errs[:min(len(errs), shown)], "; ")
		if more := len(errs) - shown; more > 0 {
			text += fmt.Sprintf("; and %d more", more)
		}
		return failure(findReadable, "the privileges above; with them, see what forbids it", "not everything could be read: %s", text).about(unread)
	case p.hidden && len(p.report.Instances) == 0:
		return failure(findReadable, "CAP_SYS_PTRACE, or a /proc without hidepid and ProtectProc=", "/proc hides the processes of other users")
	}
	if strangers > 0 {
		return warning(findReadable, "see status; it concerns their own instances alone",
			"not everything could be read of %s of other users", processes(strangers))
	}
	return passed(findReadable, "every fact of every HAProxy process could be read")
}

func judgeInstances(p preflight) finding {
	n := 0
	for _, in := range p.report.Instances {
		if in.Model != "" {
			n++
		}
	}
	switch {
	case n > 0:
		return passed(findInstances, "%s of HAProxy", plural(n, "instance", "instances"))
	case len(p.wanted) > 0:
		return warning(findInstances, "see the names that status prints", "no HAProxy instance of that name: %s", strings.Join(p.wanted, ", "))
	}
	return warning(findInstances, "start HAProxy, or name its executable with --exe", "no HAProxy instance found")
}

// judgeServiceUser tells whether our own systemd services can start, and whether
// their user is one that HAProxy's workers run as. The worst service is told of.
func judgeServiceUser(p preflight) []finding {
	const dropIns = "the drop-in other-user.conf or several-users.conf, with the user that HAProxy's workers run as"
	workers := pidsOf(p.report.Instances, mayBecomeDue)
	severe := func(f finding) int {
		return slices.Index([]findingStatus{findingOK, findingWarning, findingFailure}, f.Status)
	}
	var worst *finding
	for _, s := range p.ownUnits {
		own := pidsOf(p.report.Instances, func(q *judge.Process) bool { return mayBecomeDue(q) && uint32(q.UID) == s.uid })
		found := passed(findServiceUser, "%s runs as %s", s.unit, cmp.Or(s.user, "root"))
		switch {
		case s.err != nil:
			found = warning(findServiceUser, "getent passwd "+s.user, "%s runs as %s, and whether there is such a user is not known: %v", s.unit, s.user, s.err)
		case !s.found:
			found = failure(findServiceUser, "systemd-sysusers haproxy-reaper.conf, which makes the user haproxy; or "+dropIns,
				"/etc/passwd has no user %s, as which %s runs: it does not start", s.user, s.unit)
		case s.uid != 0 && len(workers) > 0 && len(own) == 0:
			found = warning(findServiceUser, dropIns, "%s runs as %s, and no worker of HAProxy does: it may not signal any", s.unit, s.user).about(workers)
		}
		if worst == nil || severe(found) > severe(*worst) {
			worst = &found
		}
	}
	if worst == nil {
		return nil
	}
	return []finding{*worst}
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
