package judge

import (
	"errors"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Look is all that one look at the host saw, ready to be classified.
type Look struct {
	Host     string
	BootID   string
	Snapshot inspect.Snapshot
	Groups   []Group

	// CLI is what asking a group's master CLI came to, by its key: nil where it
	// answered, inspect.ErrNoCLI itself where there was none to ask, and an
	// inspect.UnaskedError where it gave no answer of some workers.
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
	// MaySignal tells whether the agent may signal the processes of a user; nil is
	// those of all.
	MaySignal func(uid uint32) bool
}

// MaxProcesses is the most that one instance is judged on: more is no service
// but an attack or a disaster, and for a person to look at.
const MaxProcesses = 1000

// Classify gives every process its role and every instance what stands against
// acting on it. It knows no policy: what is due, and when, is Decide's.
func Classify(l Look, past Past) Report {
	r := Report{
		Version: 1, Host: l.Host, BootID: l.BootID, Time: l.Snapshot.Time,
		MemoryAvailableBytes: l.MemoryAvailable, MemoryTotalBytes: l.MemoryTotal, HostShare: l.HostShare,
		Instances: []Instance{}, Errors: []string{}, Boottime: l.Snapshot.Boottime,
	}
	for _, err := range l.Snapshot.Incomplete {
		r.Errors = append(r.Errors, err.Error())
	}
	for i := range l.Groups {
		c := classifier{look: &l, group: &l.Groups[i], past: past}
		r.Instances = append(r.Instances, c.instance())
	}
	r.Qualified = nameInstances(r.Instances, l.Groups, l.Snapshot.NetNS, past.Qualified)
	return r
}

// classifier judges one group.
type classifier struct {
	look  *Look
	group *Group
	past  Past

	active []*inspect.Process // the youngest generation of ready workers
	// activeIdentity is the Identity of its first one.
	activeIdentity string
	served         *Places // where it listens
	sides          map[inspect.ProcID]*teller
	generations    union
	evidence       map[*inspect.Process]evidence
	namers         map[*inspect.Process]*inspect.Process // by what their lists name, listening or not
}

func (c *classifier) instance() Instance {
	in := Instance{Owner: c.look.ownerOf(c.group), Model: c.group.Model, key: c.group.Key, Witnesses: []string{}, Processes: []Process{}}
	if limit := c.look.MemoryLimits[c.group.Key]; limit != nil {
		in.MemoryLimitBytes, in.MemoryLimitAvailableBytes = &limit.Limit, &limit.Available
	}
	workers := c.group.Workers()
	c.active, c.generations = Youngest(workers), generations(workers)
	if len(c.active) > 0 {
		c.activeIdentity = c.active[0].Identity()
	}
	c.served, c.sides = Served(c.active), map[inspect.ProcID]*teller{}
	c.findEvidence()
	if c.group.Model != "" {
		in.Confirmed = c.listening(c.active)
		in.Refusal, in.RefusalDetail = c.refusal()
		in.Witnesses = c.witnesses()
		in.CLIError = c.cliError()
		in.ConnectionRate = connectionRate(c.active)
	}
	refused := in.Refusal != ""
	for _, m := range c.group.Members {
		in.Processes = append(in.Processes, c.process(m, c.role(m, refused)))
	}
	in.sides = c.sides
	return in
}

// listening tells whether one of a generation holds a stream socket in LISTEN.
func (c *classifier) listening(generation []*inspect.Process) bool {
	return slices.ContainsFunc(generation, listens)
}

// role says what a member is to its instance.
func (c *classifier) role(m Member, refused bool) Role {
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
	case kindLeft:
		return RoleStranded
	}
	// An orphan that is not older may be a check that has not run its program yet.
	if c.group.Model == "" || m.kind == kindOrphan && (len(c.active) == 0 || m.StartTicks >= c.active[0].StartTicks) {
		return RoleStranded
	}
	if slices.Contains(c.active, m.Process) {
		if m.Sockets != nil && !c.listening(c.active) {
			if c.finishes() {
				return RoleDraining
			}
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
	told := c.evidence[p].any() || refused && c.listed(p)
	if p.Sockets == nil {
		if told {
			return RoleResidual
		}
		return RoleStranded
	}
	switch {
	case len(c.streams(p)) > 0:
		return RoleStranded
	case len(p.Sockets.Paused) > 0:
		return RolePaused
	case len(c.datagrams(p)) > 0:
		return RoleStranded
	case told:
		return RoleResidual
	}
	return RoleStranded
}

// streams and datagrams are the listeners of an old worker, without those that are
// none of its own.
func (c *classifier) streams(p *inspect.Process) []inspect.Listener {
	return slices.Concat(c.own(p.Sockets.Listening, hasStopped(p)), c.own(p.Sockets.Unused, true))
}

func (c *classifier) datagrams(p *inspect.Process) []inspect.Listener {
	return c.own(p.Sockets.Bound, hasStopped(p))
}

// own are the listeners that are a process's own. Those that are left over, and that
// the active holds too, were passed to the service (a systemd socket unit), or a
// master forgot to close them (up to 3.0, of a dgram-bind that is gone): every
// generation holds them, and this one does not accept through them.
func (c *classifier) own(list []inspect.Listener, leftOver bool) []inspect.Listener {
	if !leftOver {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(l inspect.Listener) bool {
		return slices.ContainsFunc(c.active, func(a *inspect.Process) bool { return a.Sockets != nil && a.Sockets.Inodes[l.Inode] })
	})
}

// hasStopped tells whether the master CLI says that a worker stops, and has no
// listener but its end of the master's socket pair.
func hasStopped(p *inspect.Process) bool {
	return p.CLI != nil && p.CLI.Stopping && p.CLI.Listeners == 1
}

// witnesses are those that had something to say of this instance.
func (c *classifier) witnesses() []string {
	list := []string{}
	workers := c.group.Workers()
	if slices.ContainsFunc(workers, func(p *inspect.Process) bool { return p.Sockets != nil }) {
		list = append(list, "sockets")
	}
	if slices.ContainsFunc(workers, c.listed) {
		list = append(list, "arguments")
	}
	var unasked *inspect.UnaskedError
	if err, asked := c.look.CLI[c.group.Key]; asked && (err == nil || errors.As(err, &unasked)) {
		list = append(list, "cli")
	}
	return list
}

// cliError says why a master CLI that is there is no witness, or which workers it gave
// no answer of.
func (c *classifier) cliError() string {
	if err := c.look.CLI[c.group.Key]; err != nil && err != inspect.ErrNoCLI {
		return err.Error()
	}
	return ""
}
