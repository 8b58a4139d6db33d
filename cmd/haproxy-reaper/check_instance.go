package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// passing are the refusals that clear by themselves.
var passing = []judge.Reason{judge.ReasonStarting, judge.ReasonReloading, judge.ReasonTie, judge.ReasonChanged}

// judgeProcesses judges the roles that a look gave to an instance's processes.
func judgeProcesses(in *judge.Instance) []finding {
	one := []judge.Instance{*in}
	active := pidsOf(one, func(q *judge.Process) bool { return q.Role == judge.RoleActive })
	master := pidsOf(one, func(q *judge.Process) bool { return q.Role == judge.RoleMaster })
	stranded := pidsOf(one, func(q *judge.Process) bool { return q.Role == judge.RoleStranded })

	left := passed(findStranded, "none")
	switch {
	case len(stranded) == 0 && in.Refusal == judge.ReasonUnreadable:
		left = warning(findStranded, "the privileges above", "not known: not every fact could be read")
	case len(stranded) > 0:
		left = judgeStranded(in)
	}
	return []finding{judgeActive(in, master, active).about(slices.Concat(master, active)), left.about(stranded)}
}

// judgeStranded says what keeps each stranded process, and what to do, a clause for
// each reason.
func judgeStranded(in *judge.Instance) finding {
	var messages, advices []string
	for _, reason := range append(slices.Clone(judge.StrandedReasons), "") { // "" of an old report
		pids := pidsOf([]judge.Instance{*in}, func(p *judge.Process) bool { return p.Role == judge.RoleStranded && p.StrandedReason == reason })
		if len(pids) == 0 {
			continue
		}
		why, known := strandedWords[reason]
		if !known {
			why = words(judge.ReasonStranded)
		}
		messages = append(messages, listed(pids)+": "+why)
		advices = append(advices, strandedAdvice(in.Model, reason, pids...))
	}
	return warning(findStranded, strings.Join(advices, "; "), "%s", strings.Join(messages, "; "))
}

// judgeActive tells whether there is one who serves, and nothing against acting.
func judgeActive(in *judge.Instance, master, active []int) finding {
	switch {
	case in.Refusal != "" && slices.Contains(passing, in.Refusal):
		return warning(findActiveConfirmed, "look again in a moment", "%s", refusalWords(in))
	case in.Refusal == judge.ReasonDraining:
		return warning(findActiveConfirmed, "start HAProxy again if this was not meant; it leaves when its last client does", "%s", refusalWords(in))
	case in.Refusal != "":
		return failure(findActiveConfirmed, "see status; nothing of this instance is signalled until then", "%s", refusalWords(in))
	case !in.Confirmed || len(active) == 0:
		return failure(findActiveConfirmed, "see status; nothing of this instance is signalled until then", "the active worker is not confirmed")
	case len(master) == 1:
		return passed(findActiveConfirmed, "one master (%d) and one active generation (%s), which listens", master[0], listed(active))
	default:
		return passed(findActiveConfirmed, "one active generation (%s), which listens", listed(active))
	}
}

// judgeSurroundings judges how the instance can be looked at from here.
func judgeSurroundings(p preflight, in *judge.Instance, facts instanceFacts) []finding {
	list := []finding{judgeNamespaces(p, facts)}
	if in.Model != judge.ModelMasterWorker {
		return list
	}
	switch {
	case slices.Contains(in.Witnesses, "cli") && facts.cliErr == nil && in.CLIError != "":
		list = append(list, warning(findMasterCLI, "see the wedged processes in status", "is a witness, but for some workers: %s", strings.TrimPrefix(in.CLIError, "master CLI: ")))
	case slices.Contains(in.Witnesses, "cli") && facts.cliErr == nil:
		list = append(list, passed(findMasterCLI, "answers, and is a witness"))
	case facts.cliErr == nil:
		list = append(list, warning(findMasterCLI, "look again in a moment", "answers, and was no witness a moment ago"))
	case facts.cliErr == inspect.ErrNoCLI: // as such: what wraps it says more
		list = append(list, warning(findMasterCLI, "start HAProxy with -S /run/haproxy-master.sock, for one witness more", "there is none to ask"))
	case errors.Is(facts.cliErr, inspect.ErrNoCLI):
		list = append(list, warning(findMasterCLI, "start HAProxy with -S /run/haproxy-master.sock, for one witness more", "%v", facts.cliErr))
	case errors.Is(facts.cliErr, inspect.ErrCLIRule):
		list = append(list, warning(findMasterCLI, "let the master run as root or as the user of this program, or name its socket with --master-socket, for one witness more", "%v", facts.cliErr))
	case inspect.IsPermission(facts.cliErr):
		list = append(list, warning(findMasterCLI, "the right to connect (root, or user and group in the arguments of -S), for one witness more",
			"may not be asked: %v", facts.cliErr))
	default:
		list = append(list, warning(findMasterCLI, "see whether HAProxy reloads just now, and whether its socket is there", "does not answer: %v", facts.cliErr))
	}
	return list
}

func judgeNamespaces(p preflight, facts instanceFacts) finding {
	switch {
	case facts.netNS == 0 || facts.pidNS == 0 || p.netNS == 0 || p.pidNS == 0:
		return warning(findNamespaces, "the privileges above", "HAProxy's, or ours, could not be read")
	case facts.netNS != p.netNS && p.features.PidfdGetfd != nil:
		return warning(findNamespaces, "pidfd_getfd, or run this program in HAProxy's network namespace",
			"HAProxy is in another network namespace, and without pidfd_getfd its sockets cannot be told: it is refused")
	case facts.netNS != p.netNS:
		return passed(findNamespaces, "HAProxy is in another network namespace (a container?): its sockets are looked at one by one")
	case facts.pidNS != p.pidNS:
		return passed(findNamespaces, "HAProxy is in another PID namespace (a container?): its pids are translated")
	}
	return passed(findNamespaces, "HAProxy shares our PID and network namespace")
}

// judgeUnit judges what systemd does to the instance, by the files of its unit.
func judgeUnit(in *judge.Instance, facts instanceFacts) []finding {
	if facts.unit == "" {
		return nil
	}
	if facts.unitErr != nil {
		return []finding{warning(findUnit, "systemctl show -p Type -p KillMode -p Restart "+facts.unit, "%s could not be read: %v", facts.unit, facts.unitErr)}
	}
	u := facts.service
	edit := func(setting string) string { return "systemctl edit " + facts.unit + ": " + setting }

	kind := passed(findUnitType, "Type=%s", u.Type)
	if in.Model == judge.ModelMasterWorker && u.Type != "notify" && u.Type != "notify-reload" {
		kind = warning(findUnitType, edit("Type=notify, with haproxy -Ws"), "Type=%s: systemd does not learn when the master is ready", u.Type)
	}
	kill := passed(findUnitKillMode, "KillMode=%s: a stop of the unit leaves no worker", u.KillMode)
	if u.KillMode == "process" || u.KillMode == "none" {
		kill = warning(findUnitKillMode, edit("KillMode=mixed"), "KillMode=%s: old workers outlive a stop and a restart of the unit", u.KillMode)
	}
	restart := passed(findUnitRestart, "Restart=always")
	if u.Restart != "always" {
		restart = warning(findUnitRestart, edit("Restart=always"),
			"Restart=%s: a master that ends with its active worker may exit with 0, and stays away then", u.Restart)
	}
	return []finding{kind, kill, restart}
}
