package check

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Facts are all that Judge goes by.
type Facts struct {
	Report  judge.Report // the look of status
	Have    inspect.Privileges
	HaveErr error    // why the privileges are unknown
	Hidden  bool     // /proc may hide processes from this program
	DryRun  bool     // as configured: nothing is to be signalled yet
	Wanted  []string // --instance
	Surroundings
}

// Surroundings are what Look reads: what a check goes by besides a report.
type Surroundings struct {
	Features inspect.Features // of the kernel

	pidNS, netNS uint64                   // our own, 0 when unreadable
	otherClasses map[int]string           // inspect.Process.SocketClass where it is not our own, by pid
	ownUnits     []ownUnit                // those of our own units that are installed
	instances    map[string]instanceFacts // by name
	err          error                    // the processes could not be read again
}

// ownUnit is one of our own systemd services, and its user.
type ownUnit struct {
	unit, user string
	uid        uint32
	found      bool  // the user exists
	err        error // whether it does is not known
}

// readOwnUnits reads our own units.
func readOwnUnits(host *inspect.Host) []ownUnit {
	var list []ownUnit
	for _, unit := range []string{"haproxy-reaper.service", "haproxy-reaper-serve.service"} {
		settings, err := host.UnitSettings(unit)
		if err != nil {
			continue // it is not installed, or not ours to read: then nothing is said of it
		}
		s := ownUnit{unit: unit, user: settings.User}
		s.uid, s.found, s.err = host.UserID(s.user)
		list = append(list, s)
	}
	return list
}

// instanceFacts are those of one instance.
type instanceFacts struct {
	pidNS, netNS uint64 // of its master or active worker, 0 when unreadable

	config inspect.Configuration
	// changed is config.Changed on CLOCK_BOOTTIME, that start times are counted on.
	changed time.Duration

	master inspect.MasterAnswer // Reloads by the pid that reports have
	cliErr error                // why there is no such answer

	unit    string // systemd service, "" without one
	service inspect.UnitSettings
	unitErr error
}

// ConfigPatience is the time limit for reading the configurations of all instances.
const ConfigPatience = 5 * time.Second

var errConfigPatience = fmt.Errorf("the configurations of this host take more than %v to read", ConfigPatience)

// errStranger says that a configuration is not read because of its process's user.
var errStranger = errors.New("a user that this agent may not signal")

// Look reads the kernel's features, this program's own units and namespaces, and the
// configuration, master and unit of each instance of the report. The socket is
// --master-socket. What could not be read is unknown in the Surroundings.
func Look(ctx context.Context, host *inspect.Host, socket string, r judge.Report, have inspect.Privileges) Surroundings {
	out := Surroundings{Features: host.Features(), otherClasses: map[int]string{}, instances: map[string]instanceFacts{}}
	out.pidNS, _ = host.PIDNamespace() // 0 is "unknown" for judge
	out.ownUnits = readOwnUnits(host)
	seen, err := host.Observe(ctx)
	if err != nil {
		out.err = err
		return out
	}
	out.netNS = seen.NetNS
	processes := map[inspect.ProcID]*inspect.Process{}
	own := host.SocketClass()
	for _, p := range seen.Processes {
		processes[p.ProcID] = p
		if p.SocketClass != own {
			out.otherClasses[p.PID] = p.SocketClass
		}
	}
	type told struct {
		judge.Instance
		by *inspect.Process
	}
	var list []told
	// Of a stranger's nothing is opened, and nothing is asked, unless there is no other.
	all := host.Rights.All || !slices.ContainsFunc(r.Instances, ofOwn)
	for _, in := range r.Instances {
		if teller := tellerOf(in, processes); in.Model != "" && teller != nil && (all || !teller.Stranger) {
			list = append(list, told{in, teller})
		}
	}
	// Root's come first, then those of services, whose users have low numbers
	// (SYS_UID_MAX of login.defs(5)): no account of a person can use up their time.
	slices.SortStableFunc(list, func(a, b told) int { return cmp.Compare(a.by.UID, b.by.UID) })
	reading, cancel := context.WithTimeoutCause(ctx, ConfigPatience, errConfigPatience)
	defer cancel()
	for _, in := range list {
		out.instances[in.Name] = instanceFacts{config: configuration(reading, host, seen, in.by, have)}
	}
	for _, in := range list {
		out.instances[in.Name] = instanceFactsOf(ctx, host, socket, seen, in.Instance, in.by, processes, out.instances[in.Name].config)
	}
	return out
}

// configuration reads that of a process, unless a stranger chose its files: they
// are opened with this program's rights, which may be more than the stranger's.
func configuration(ctx context.Context, host *inspect.Host, seen inspect.Snapshot, p *inspect.Process, have inspect.Privileges) inspect.Configuration {
	var err error
	switch isStranger := p.UID != 0 && p.UID != have.EUID && len(have.Missing(inspect.CapKill)) > 0; {
	case isStranger && p.UID != inspect.NoUID:
		err = fmt.Errorf("process %d runs as %s, %w", p.PID, p.User, errStranger)
	case p.Err != nil:
		err = p.Err
	default:
		return host.Configuration(ctx, seen, p)
	}
	return inspect.Configuration{Err: err, ChangedErr: err}
}

// tellerOf is the process whose arguments are the instance's: its master, else
// its youngest worker.
func tellerOf(in judge.Instance, processes map[inspect.ProcID]*inspect.Process) *inspect.Process {
	var teller *inspect.Process
	for _, q := range in.Processes {
		switch p := processes[q.ProcID]; {
		case p == nil:
		case q.Role == judge.RoleMaster:
			return p
		case text.IsWorker(&q):
			teller = p
		}
	}
	return teller
}

// instanceFactsOf reads what is to be known of an instance, but for its configuration.
func instanceFactsOf(ctx context.Context, host *inspect.Host, socket string, seen inspect.Snapshot, in judge.Instance, teller *inspect.Process, processes map[inspect.ProcID]*inspect.Process, config inspect.Configuration) instanceFacts {
	facts := instanceFacts{pidNS: teller.PIDNS, netNS: teller.NetNS, config: config}
	facts.changed = seen.Boottime - seen.Time.Sub(facts.config.Changed)
	if in.Model == judge.ModelMasterWorker {
		facts.master, facts.cliErr = host.AskReloads(ctx, seen, teller, socket)
		reloads := map[int]int{}
		for _, q := range in.Processes {
			if p := processes[q.ProcID]; p != nil {
				if n, known := facts.master.Reloads[p.NSPID]; known {
					reloads[q.PID] = n
				}
			}
		}
		facts.master.Reloads = reloads
	}
	if strings.HasSuffix(teller.Unit, ".service") && !inspect.IsSessionUnit(teller.Unit) {
		facts.unit = teller.Unit
		facts.service, facts.unitErr = host.UnitSettings(teller.Unit)
	}
	return facts
}
