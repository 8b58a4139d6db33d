package check

import (
	"errors"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// passing are the refusals that clear by themselves.
var passing = []judge.Reason{judge.ReasonStarting, judge.ReasonReloading, judge.ReasonTie, judge.ReasonChanged}

// judgeProcesses judges the roles that a look gave to an instance's processes.
func judgeProcesses(in *judge.Instance) []Finding {
	one := []judge.Instance{*in}
	active := pidsOf(one, func(q *judge.Process) bool { return q.Role == judge.RoleActive })
	master := pidsOf(one, func(q *judge.Process) bool { return q.Role == judge.RoleMaster })
	superseded := pidsOf(one, func(q *judge.Process) bool { return q.Role == judge.RoleStranded })

	left := passed(FindStranded, "none")
	switch {
	case len(superseded) == 0 && in.Refusal == judge.ReasonUnreadable:
		left = warning(FindStranded, "the privileges above", "not known: not every fact could be read")
	case len(superseded) > 0:
		left = judgeStranded(in)
	}
	return []Finding{judgeActive(in, master, active).about(slices.Concat(master, active)), left.about(superseded)}
}

// judgeStranded says what keeps each stranded process, and what to do, a clause for
// each reason.
func judgeStranded(in *judge.Instance) Finding {
	var messages, advices []string
	for _, reason := range append(slices.Clone(judge.StrandedReasons), "") { // "" of an old report
		pids := pidsOf([]judge.Instance{*in}, func(p *judge.Process) bool { return p.Role == judge.RoleStranded && p.StrandedReason == reason })
		if len(pids) == 0 {
			continue
		}
		messages = append(messages, listed(pids)+": "+text.Stranded(reason))
		advices = append(advices, text.StrandedAdvice(in.Model, reason, pids...))
	}
	return warning(FindStranded, strings.Join(advices, "; "), "%s", strings.Join(messages, "; "))
}

// judgeActive tells whether there is one who serves, and nothing against acting.
func judgeActive(in *judge.Instance, master, active []int) Finding {
	switch {
	case in.Refusal != "" && slices.Contains(passing, in.Refusal):
		return warning(FindActiveConfirmed, "look again in a moment", "%s", text.RefusalWords(in))
	case in.Refusal == judge.ReasonDraining:
		return warning(FindActiveConfirmed, "start HAProxy again if this was not meant; it leaves when its last client does", "%s", text.RefusalWords(in))
	case in.Refusal != "":
		return failure(FindActiveConfirmed, "see status; nothing of this instance is signalled until then", "%s", text.RefusalWords(in))
	case !in.Confirmed || len(active) == 0:
		return failure(FindActiveConfirmed, "see status; nothing of this instance is signalled until then", "the active worker is not confirmed")
	case len(master) == 1:
		return passed(FindActiveConfirmed, "one master (%d) and one active generation (%s), which listens", master[0], listed(active))
	default:
		return passed(FindActiveConfirmed, "one active generation (%s), which listens", listed(active))
	}
}

// judgeSurroundings judges how the instance can be looked at from here.
func judgeSurroundings(p Facts, in *judge.Instance, facts instanceFacts) []Finding {
	list := []Finding{judgeNamespaces(p, facts)}
	if in.Model != judge.ModelMasterWorker {
		return list
	}
	switch {
	case slices.Contains(in.Witnesses, "cli") && facts.cliErr == nil && in.CLIError != "":
		list = append(list, warning(FindMasterCLI, "see the wedged processes in status", "is a witness, but for some workers: %s", strings.TrimPrefix(in.CLIError, "master CLI: ")))
	case slices.Contains(in.Witnesses, "cli") && facts.cliErr == nil:
		list = append(list, passed(FindMasterCLI, "answers, and is a witness"))
	case facts.cliErr == nil:
		list = append(list, warning(FindMasterCLI, "look again in a moment", "answers, and was no witness a moment ago"))
	case facts.cliErr == inspect.ErrNoCLI: // as such: what wraps it says more
		list = append(list, warning(FindMasterCLI, "start HAProxy with -S /run/haproxy-master.sock, for one witness more", "there is none to ask"))
	case errors.Is(facts.cliErr, inspect.ErrNoCLI):
		list = append(list, warning(FindMasterCLI, "start HAProxy with -S /run/haproxy-master.sock, for one witness more", "%v", facts.cliErr))
	case errors.Is(facts.cliErr, inspect.ErrCLIRule):
		list = append(list, warning(FindMasterCLI, "let the master run as root or as the user of this program, or name its socket with --master-socket, for one witness more", "%v", facts.cliErr))
	case inspect.IsPermission(facts.cliErr):
		list = append(list, warning(FindMasterCLI, "the right to connect (root, or user and group in the arguments of -S), for one witness more",
			"may not be asked: %v", facts.cliErr))
	default:
		list = append(list, warning(FindMasterCLI, "see whether HAProxy reloads just now, and whether its socket is there", "does not answer: %v", facts.cliErr))
	}
	return list
}

func judgeNamespaces(p Facts, facts instanceFacts) Finding {
	switch {
	case facts.netNS == 0 || facts.pidNS == 0 || p.netNS == 0 || p.pidNS == 0:
		return warning(FindNamespaces, "the privileges above", "HAProxy's, or ours, could not be read")
	case facts.netNS != p.netNS && p.Features.PidfdGetfd != nil:
		return warning(FindNamespaces, "pidfd_getfd, or run this program in HAProxy's network namespace",
			"HAProxy is in another network namespace, and without pidfd_getfd its sockets cannot be told: it is refused")
	case facts.netNS != p.netNS:
		return passed(FindNamespaces, "HAProxy is in another network namespace (a container?): its sockets are looked at one by one")
	case facts.pidNS != p.pidNS:
		return passed(FindNamespaces, "HAProxy is in another PID namespace (a container?): its pids are translated")
	}
	return passed(FindNamespaces, "HAProxy shares our PID and network namespace")
}

// judgeUnit judges what systemd does to the instance, by the files of its unit.
func judgeUnit(in *judge.Instance, facts instanceFacts) []Finding {
	if facts.unit == "" {
		return nil
	}
	if facts.unitErr != nil {
		return []Finding{warning(FindUnit, "systemctl show -p Type -p KillMode -p Restart "+facts.unit, "%s could not be read: %v", facts.unit, facts.unitErr)}
	}
	u := facts.service
	edit := func(setting string) string { return "systemctl edit " + facts.unit + ": " + setting }

	kind := passed(FindUnitType, "Type=%s", u.Type)
	if in.Model == judge.ModelMasterWorker && u.Type != "notify" && u.Type != "notify-reload" {
		kind = warning(FindUnitType, edit("Type=notify, with haproxy -Ws"), "Type=%s: systemd does not learn when the master is ready", u.Type)
	}
	kill := passed(FindUnitKillMode, "KillMode=%s: a stop of the unit leaves no worker", u.KillMode)
	if u.KillMode == "process" || u.KillMode == "none" {
		kill = warning(FindUnitKillMode, edit("KillMode=mixed"), "KillMode=%s: old workers outlive a stop and a restart of the unit", u.KillMode)
	}
	restart := passed(FindUnitRestart, "Restart=always")
	if u.Restart != "always" {
		restart = warning(FindUnitRestart, edit("Restart=always"),
			"Restart=%s: a master that ends with its active worker may exit with 0, and stays away then", u.Restart)
	}
	return []Finding{kind, kill, restart}
}
