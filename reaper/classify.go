package reaper

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Look is all that one look at the host saw, ready to be classified.
type Look struct {
	Host     string
	BootID   string
	Snapshot inspect.Snapshot
	Groups   []group

	// CLI is what asking a group's master CLI came to, by its key: nil where it
	// answered, inspect.ErrNoCLI itself where there was none to ask.
	CLI map[string]error
	// ActiveClients is the number of client connections of a group's active
	// generation, by its key; no entry when not known.
	ActiveClients map[string]int
	// Clients asks for the clients of residual processes, peer by peer.
	Clients bool

	// MemoryAvailable and MemoryTotal are the host's, in bytes; nil when unknown.
	MemoryAvailable, MemoryTotal *uint64
	// MemoryLimits are the limits of the cgroups that the groups' active ones run
	// in, by their key.
	MemoryLimits map[string]*inspect.MemoryLimit
	// HostShare is as in Report.
	HostShare *float64
}

// maxProcesses is the most that one instance is judged on: more is no service
// but an attack or a disaster, and for a person to look at.
const maxProcesses = 1000

// Classify gives every process its role and every instance what stands against
// acting on it. It knows no policy: what is due, and when, is Decide's.
func Classify(l Look, memory Memory) Report {
	r := Report{
		Version: 1, Host: l.Host, BootID: l.BootID, Time: l.Snapshot.Time,
		MemoryAvailableBytes: l.MemoryAvailable, MemoryTotalBytes: l.MemoryTotal, HostShare: l.HostShare,
		Instances: []Instance{}, Errors: []string{}, boottime: l.Snapshot.Boottime,
	}
	for _, err := range l.Snapshot.Incomplete {
		r.Errors = append(r.Errors, err.Error())
	}
	for i := range l.Groups {
		c := classifier{look: &l, group: &l.Groups[i], memory: memory}
		r.Instances = append(r.Instances, c.instance())
	}
	name(r.Instances, l.Groups)
	return r
}

// classifier judges one group.
type classifier struct {
	look   *Look
	group  *group
	memory Memory

	active []*inspect.Process // the youngest generation of ready workers
	served *places            // where it listens
	sides  map[inspect.ProcID]*teller
}

func (c *classifier) instance() Instance {
	in := Instance{Model: c.group.model, key: c.group.key, Witnesses: []string{}, Processes: []Process{}}
	if limit := c.look.MemoryLimits[c.group.key]; limit != nil {
		in.MemoryLimitBytes, in.MemoryLimitAvailableBytes = &limit.Limit, &limit.Available
	}
	c.active = youngest(c.group.workers())
	c.served, c.sides = served(c.active), map[inspect.ProcID]*teller{}
	if c.group.model != "" {
		in.Confirmed = c.listening(c.active)
		in.Refusal, in.RefusalDetail = c.refusal()
		in.Witnesses = c.witnesses()
		in.CLIError = c.cliError()
		in.ConnectionRate = connectionRate(c.active)
	}
	refused := in.Refusal != ""
	for _, m := range c.group.members {
		in.Processes = append(in.Processes, c.process(m, c.role(m, refused)))
	}
	in.sides = c.sides
	return in
}

// youngest is the youngest generation of ready workers: the youngest worker
// and, with nbproc (HAProxy up to 2.4), those of the same arguments, -sf list
// included, that started within a second of it. Another generation that started
// between them ties.
func youngest(workers []*inspect.Process) []*inspect.Process {
	var generation []*inspect.Process
	for _, w := range workers {
		if sameGeneration(w, workers[len(workers)-1]) {
			generation = append(generation, w)
		}
	}
	return generation
}

func sameGeneration(a, b *inspect.Process) bool {
	const second = 100 // ticks
	return slices.Equal(a.Command.Args, b.Command.Args) && b.StartTicks-a.StartTicks <= second
}

// listening tells whether one of a generation holds a stream socket in LISTEN.
func (c *classifier) listening(generation []*inspect.Process) bool {
	return slices.ContainsFunc(generation, func(p *inspect.Process) bool { return p.Sockets != nil && len(p.Sockets.Listening) > 0 })
}

// role says what a member is to its instance.
func (c *classifier) role(m member, refused bool) Role {
	switch m.kind {
	case kindMaster:
		return RoleMaster
	case kindStarting:
		return RoleStarting
	case kindProgram:
		return RoleProgram
	case kindCheck:
		return RoleCheck
	case kindStray:
		return RoleStray
	}
	if slices.Contains(c.active, m.Process) {
		if m.Sockets != nil && !c.listening(c.active) {
			return RolePaused
		}
		return RoleActive
	}
	return c.olderRole(m.Process, refused)
}

// olderRole says what a ready worker is that has been superseded by age. While
// the instance is refused nothing is signalled, so the list of a younger worker
// that is not confirmed keeps an old one residual, in name and in age.
func (c *classifier) olderRole(p *inspect.Process, refused bool) Role {
	told := c.wasTold(p, !refused)
	if p.Sockets == nil {
		if told {
			return RoleResidual
		}
		return RoleStranded
	}
	switch {
	case len(p.Sockets.Listening) > 0, len(c.unheld(p)) > 0:
		return RoleStranded
	case len(p.Sockets.Paused) > 0:
		return RolePaused
	case len(p.Sockets.Bound) > 0:
		return RoleStranded
	case told:
		return RoleResidual
	}
	return RoleStranded
}

// wasTold tells whether a worker was told to leave, by a list or by what stands
// in for one.
func (c *classifier) wasTold(p *inspect.Process, mustListen bool) bool {
	return c.told(p, mustListen) || c.group.model == ModelDaemon && c.ofLineage(p)
}

// told finds positive evidence that a worker was told to leave: its pid stands
// in the list of a younger, ready, listening worker of its instance, whose owner
// could have told it.
func (c *classifier) told(p *inspect.Process, mustListen bool) bool {
	return slices.ContainsFunc(c.group.workers(), func(n *inspect.Process) bool {
		return tells(n, p) && (!mustListen || n.Sockets != nil && len(n.Sockets.Listening) > 0)
	})
}

// ofLineage tells whether a process without a master is an older one of the
// active's lineage. The one that named it may be gone; that it holds no
// listener, proven descriptor by descriptor, stands in for the list. A check
// holds none either before it runs its program, and one whose daemon has gone
// has no parent to tell: but HAProxy begins a session when it becomes a daemon
// (-D, seen on 2.2 to 3.4), and not for a check.
func (c *classifier) ofLineage(p *inspect.Process) bool {
	a := c.active[0]
	return p.Session == p.PID && p.Sockets != nil && p.Sockets.Proof && p.UID == a.UID && lineageKey(p) == lineageKey(a)
}

// unheld are the sockets of an old worker that listen, that no HAProxy accepts
// through, and that the active does not hold. Those that it holds were passed to the
// service (a systemd socket unit) and its configuration does not use them: every
// generation has them, and none of them serves there.
func (c *classifier) unheld(p *inspect.Process) []inspect.Listener {
	return slices.DeleteFunc(slices.Clone(p.Sockets.Unused), func(l inspect.Listener) bool {
		return slices.ContainsFunc(c.active, func(a *inspect.Process) bool { return a.Sockets != nil && a.Sockets.Inodes[l.Inode] })
	})
}

// witnesses are those that had something to say of this instance.
func (c *classifier) witnesses() []string {
	list := []string{}
	workers := c.group.workers()
	if slices.ContainsFunc(workers, func(p *inspect.Process) bool { return p.Sockets != nil }) {
		list = append(list, "sockets")
	}
	if slices.ContainsFunc(workers, func(p *inspect.Process) bool { return c.told(p, false) }) {
		list = append(list, "arguments")
	}
	if err, asked := c.look.CLI[c.group.key]; asked && err == nil {
		list = append(list, "cli")
	}
	return list
}

// cliError says why a master CLI that is there is no witness.
func (c *classifier) cliError() string {
	if err := c.look.CLI[c.group.key]; err != nil && err != inspect.ErrNoCLI {
		return err.Error()
	}
	return ""
}

// superseded is the point of CLOCK_BOOTTIME that a residual process's deadline
// counts from: the start of the next younger generation, or when it was first
// seen residual if that is earlier. One that was stranded before was still
// serving then, so only what was seen since counts.
func (c *classifier) superseded(p *inspect.Process) time.Duration {
	now := c.look.Snapshot.Boottime
	since := now
	for _, y := range c.group.workers() {
		if y.StartTicks > p.StartTicks && !sameGeneration(p, y) {
			since = min(since, inspect.TicksToBoottime(y.StartTicks))
		}
	}
	seen := c.memory[p.ProcID]
	switch {
	case seen.Stranded && seen.Residual > 0:
		since = seen.Residual
	case seen.Stranded:
		since = now
	case seen.Residual > 0:
		since = min(since, seen.Residual)
	}
	return min(max(since, inspect.TicksToBoottime(p.StartTicks)), now)
}

// name names the instances: by systemd unit, with the configuration's path
// where two share one, by that path where there is none; on a further clash by
// order of start. The processes of no instance have no name.
func name(instances []Instance, groups []group) {
	byUnit := map[string]int{}
	for _, g := range groups {
		byUnit[g.unit()]++
	}
	taken := map[string]int{}
	for i, g := range groups {
		if g.model == "" {
			continue
		}
		base := g.unit()
		switch {
		case base == "":
			base = g.configPath()
		case byUnit[base] > 1:
			base += ":" + g.configPath()
		}
		base = printable(base)
		taken[base]++
		instances[i].Name = base
		if n := taken[base]; n > 1 {
			instances[i].Name = fmt.Sprintf("%s#%d", base, n)
		}
	}
}

// configPath is the first configuration path of the group's oldest process, or
// its executable where it has none.
func (g *group) configPath() string {
	p := g.members[0].Process
	if len(p.Command.Config) > 0 {
		return p.Command.Config[0]
	}
	return cmp.Or(p.Exe, p.Comm)
}

// maxName is the most bytes of an instance's name: paths are chosen by whoever
// starts a process, and names become metric labels and keys of the state.
const maxName = 200

// printable makes a name fit for a metric label.
func printable(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "?")
}
