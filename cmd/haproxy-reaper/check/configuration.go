package check

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// judgeConfiguration judges what HAProxy itself does about its old workers. What
// the files say is known; what a process read when it was started is only as
// certain as instanceFacts.changed, see inspect.Configuration.
func judgeConfiguration(in *judge.Instance, facts instanceFacts) []Finding {
	list := []Finding{judgeFiles(facts.config)}
	list = append(list, judgeHardStop(in, facts)...)
	if in.Model == judge.ModelMasterWorker {
		list = append(list, judgeMaxReloads(in, facts))
	}
	return append(list, judgeExposeFD(in, facts))
}

func judgeFiles(c inspect.Configuration) Finding {
	switch {
	case errors.Is(c.Err, errStranger):
		return warning(FindConfiguration, "run check as root to read it too", "not read: %v", c.Err)
	case inspect.IsPermission(c.Err):
		return failure(FindConfiguration, "the privileges above", "%v", c.Err)
	case c.Err != nil:
		return warning(FindConfiguration, "see whether HAProxy could reload just now (haproxy -c)", "%v", c.Err)
	}
	return passed(FindConfiguration, "%s", strings.Join(c.Files, ", "))
}

// place is where a setting stands.
func place(s *inspect.Setting) string { return fmt.Sprintf("%s:%d", s.File, s.Line) }

// settingOff tells a setting that is not there or is 0, which is the same.
func settingOff(s *inspect.Setting) bool {
	if s == nil {
		return true
	}
	d, known := s.Duration()
	return known && d == 0
}

func judgeHardStop(in *judge.Instance, facts instanceFacts) []Finding {
	const set = "set hard-stop-after in the global section (30m, say) and reload: it needs no agent"
	residual := pidsOf([]judge.Instance{*in}, isResidual)
	setting := facts.config.Settings.HardStopAfter
	switch {
	case settingOff(setting) && facts.config.Err != nil:
		return []Finding{warning(FindHardStopAfter, "make the configuration readable", "not known: not all of the configuration could be read")}
	case settingOff(setting):
		message := "not set: old workers stay until their last connection is gone"
		if len(residual) > 0 {
			message = fmt.Sprintf("not set: %s may stay until the last connection is gone", listed(residual))
		}
		return []Finding{warning(FindHardStopAfter, set, "%s", message).about(residual)}
	}
	said := fmt.Sprintf("%s (%s)", setting.Value, place(setting))
	var list []Finding
	switch late, known := startedBefore(in, facts, func(q *judge.Process) bool { return q.Role == judge.RoleActive }); {
	case setting.Conditional:
		list = append(list, warning(FindHardStopAfter, "set it outside of .if", "%s stands under a condition, and whether that held cannot be told", said))
	case !known:
		list = append(list, warning(FindHardStopAfter, "reload to be sure", "%s, and whether the active worker has read it cannot be told: %v", said, facts.config.ChangedErr))
	case len(late) > 0:
		list = append(list, warning(FindHardStopAfter, "reload",
			"%s, perhaps in the file only: the active worker (%s) was started before the file last changed", said, listed(late)).about(late))
	default:
		list = append(list, passed(FindHardStopAfter, "%s, and the file has not changed since the active worker was started", said))
	}
	return append(list, judgeUnbound(in, facts, setting))
}

func isResidual(p *judge.Process) bool { return p.Role == judge.RoleResidual }

// startedBefore are the processes that were started before the configuration last
// changed: what they read is not what is there now. known is false when there is
// nothing to go by.
func startedBefore(in *judge.Instance, facts instanceFacts, fits func(*judge.Process) bool) (pids []int, known bool) {
	if facts.config.ChangedErr != nil {
		return nil, false
	}
	return pidsOf([]judge.Instance{*in}, func(p *judge.Process) bool {
		return fits(p) && inspect.TicksToBoottime(p.StartTicks) < facts.changed
	}), true
}

// hardStopSlack is how long past its hard-stop-after a worker may take to go: it
// closes its connections, and gives its tasks a second.
const hardStopSlack = 10 * time.Second

// judgeUnbound names the residual processes that hard-stop-after will not end.
// That one is still there long past it proves that it does not bind it, or that
// it is wedged; that one was started before the file changed only says that
// nobody knows.
func judgeUnbound(in *judge.Instance, facts instanceFacts, setting *inspect.Setting) Finding {
	limit, known := setting.Duration()
	if grace := facts.config.Settings.Grace; grace != nil {
		more, graceKnown := grace.Duration()
		limit, known = limit+more, known && graceKnown
	}
	overdue := pidsOf([]judge.Instance{*in}, func(p *judge.Process) bool {
		return isResidual(p) && known && p.ResidualSeconds != nil && judge.Seconds(*p.ResidualSeconds) > limit+hardStopSlack
	})
	before, timed := startedBefore(in, facts, isResidual)
	before = slices.DeleteFunc(before, func(pid int) bool { return slices.Contains(overdue, pid) })
	residual := pidsOf([]judge.Instance{*in}, isResidual)
	var parts []string
	if len(overdue) > 0 {
		parts = append(parts, fmt.Sprintf("%s: still there past it, so not started with it, or wedged", listed(overdue)))
	}
	if len(before) > 0 {
		parts = append(parts, fmt.Sprintf("%s: started before the file last changed, perhaps without it", listed(before)))
	}
	if !timed && len(residual) > len(overdue) {
		parts = append(parts, "the others: not known, the time of the file's last change cannot be read")
	}
	switch {
	case len(parts) > 0:
		return warning(FindHardStopUnbound, "this is what reap is for: it ends them at its --deadline",
			"%s", strings.Join(parts, "; ")).about(slices.Sorted(slices.Values(slices.Concat(overdue, before))))
	case len(residual) == 0:
		return passed(FindHardStopUnbound, "no residual process")
	}
	return passed(FindHardStopUnbound, "%s started since the file last changed", listed(residual)).about(residual)
}

// defaultMaxReloads is mworker-max-reloads where it is not set, since HAProxy 3.3.
const defaultMaxReloads = 50

// judgeMaxReloads tells how near each residual process is to the end that its
// master makes: SIGTERM at the first load after which it has seen more reloads.
func judgeMaxReloads(in *judge.Instance, facts instanceFacts) Finding {
	setting := facts.config.Settings.MaxReloads
	limit, said := 0, ""
	version, versionKnown := parseVersion(facts.master.Version)
	switch {
	case setting != nil:
		n, known := setting.Count()
		if !known || setting.Conditional {
			return warning(FindMaxReloads, "write it as a plain number outside of .if", "%s (%s): what it comes to cannot be told", setting.Value, place(setting))
		}
		limit, said = n, place(setting)
	case facts.config.Err != nil:
		return warning(FindMaxReloads, "make the configuration readable", "not known: not all of the configuration could be read")
	case !versionKnown:
		return warning(FindMaxReloads, "set it, to be sure",
			"not set: from HAProxy 3.3 on an old worker gets SIGTERM after %d reloads, before that never; the version is not known", defaultMaxReloads)
	case version < 303:
		return passed(FindMaxReloads, "not set: HAProxy %s ends no old worker for its number of reloads", facts.master.Version)
	default:
		limit, said = defaultMaxReloads, "default of HAProxy "+facts.master.Version
	}
	var near []int
	var parts []string
	for i := range in.Processes {
		p := &in.Processes[i]
		if !isResidual(p) {
			continue
		}
		seen, exact := facts.master.Reloads[p.PID]
		message := fmt.Sprintf("%d has seen %d", p.PID, seen)
		if !exact {
			seen = youngerGenerations(in, p)
			message = fmt.Sprintf("%d has seen at least %d", p.PID, seen)
		}
		parts = append(parts, message)
		if 5*seen >= 4*limit {
			near = append(near, p.PID)
		}
	}
	message := fmt.Sprintf("%d reloads (%s)", limit, said)
	if len(parts) > 0 {
		message += ": " + strings.Join(parts, ", ")
	} else {
		message += ", no residual process"
	}
	if len(near) > 0 {
		return warning(FindMaxReloads, "expect HAProxy to cut off their clients itself; reload less often, or raise it", "%s", message).about(near)
	}
	return passed(FindMaxReloads, "%s", message)
}

// youngerGenerations is the number of generations of an instance that are younger
// than a process and still there, those started within a second of each other
// being one: no more than the reloads that it has seen.
func youngerGenerations(in *judge.Instance, p *judge.Process) int {
	var starts []uint64
	for i := range in.Processes {
		if q := &in.Processes[i]; text.IsWorker(q) && q.StartTicks > p.StartTicks {
			starts = append(starts, q.StartTicks)
		}
	}
	slices.Sort(starts)
	n, last := 0, p.StartTicks
	for _, start := range starts {
		if inspect.TicksToBoottime(start-last) > time.Second {
			n++
		}
		last = start
	}
	return max(n, min(len(starts), 1))
}

// judgeExposeFD tells whether a reload hands the listening sockets over. Masters
// do so by themselves since 2.6; before, and without a master, a stats socket
// that exposes them is needed.
func judgeExposeFD(in *judge.Instance, facts instanceFacts) Finding {
	const advice = `add "expose-fd listeners" to a stats socket, and with -sf pass -x and its path`
	setting := facts.config.Settings.ExposeFD
	version, versionKnown := parseVersion(facts.master.Version)
	switch {
	case setting != nil && setting.Conditional:
		return warning(FindExposeFD, "set it outside of .if", "%s: stands under a condition", place(setting))
	case setting != nil:
		return passed(FindExposeFD, "%s", place(setting))
	case in.Model == judge.ModelMasterWorker && (versionKnown && version >= 206 || handsOver(in)):
		return passed(FindExposeFD, "not set, and not needed: the master hands the listeners over")
	case facts.config.Err != nil:
		return warning(FindExposeFD, "make the configuration readable", "not known: not all of the configuration could be read")
	case in.Model == judge.ModelMasterWorker && !versionKnown:
		return warning(FindExposeFD, advice, "not set, which HAProxy up to 2.5 needs to hand the listeners over; the version is not known")
	}
	return warning(FindExposeFD, advice, "not set: a reload opens its listeners anew, and connections waiting in the old ones are lost")
}

// handsOver tells an instance whose last reload passed listeners through a socket
// of the master's own: -x sockpair@N in a worker's arguments, 2.6 and later.
func handsOver(in *judge.Instance) bool {
	return slices.ContainsFunc(in.Processes, func(p judge.Process) bool {
		at := slices.Index(p.Args, "-x")
		return p.Role == judge.RoleActive && at >= 0 && at+1 < len(p.Args) && strings.HasPrefix(p.Args[at+1], "sockpair@")
	})
}

// parseVersion is 206 for 2.6.12.
func parseVersion(message string) (number int, ok bool) {
	major, rest, _ := strings.Cut(message, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		rest = rest[:end]
	}
	a, errA := strconv.ParseUint(major, 10, 16)
	b, errB := strconv.ParseUint(rest, 10, 16)
	return int(a)*100 + int(b), errA == nil && errB == nil
}
