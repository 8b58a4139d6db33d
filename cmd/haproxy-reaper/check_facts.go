package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// preflight is all that judge goes by.
type preflight struct {
	report  reaper.Report // the look of status
	have    privileges
	haveErr error    // why they are unknown
	hidden  bool     // /proc may hide processes from us
	dryRun  bool     // as configured: nothing is to be signalled yet
	wanted  []string // --instance
	surroundings
}

// surroundings is what check reads besides what a look does.
type surroundings struct {
	features     inspect.Features
	pidNS, netNS uint64                   // our own, 0 when unreadable
	otherClasses map[int]string           // inspect.Process.SocketClass where it is not our own, by pid
	instances    map[string]instanceFacts // by name
	err          error                    // the processes could not be read again
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

// Surroundings reads them for the instances of a report.
func (e hostEngine) Surroundings(ctx context.Context, r reaper.Report) surroundings {
	out := surroundings{features: e.Host.Features(), otherClasses: map[int]string{}, instances: map[string]instanceFacts{}}
	out.pidNS, _ = e.Host.PIDNamespace() // 0 is "unknown" for judge
	look, err := e.Host.Observe(ctx)
	if err != nil {
		out.err = err
		return out
	}
	out.netNS = look.NetNS
	processes := map[inspect.ProcID]*inspect.Process{}
	own := e.Host.SocketClass()
	for _, p := range look.Processes {
		processes[p.ProcID] = p
		if p.SocketClass != own {
			out.otherClasses[p.PID] = p.SocketClass
		}
	}
	// Of a stranger's nothing is opened, and nothing is asked, unless there is no other.
	all := e.Host.Rights.All || !slices.ContainsFunc(r.Instances, ofOwn)
	for _, in := range r.Instances {
		if teller := tellerOf(in, processes); in.Model != "" && teller != nil && (all || !teller.Stranger) {
			out.instances[in.Name] = e.instanceFacts(ctx, look, in, teller, processes)
		}
	}
	return out
}

// tellerOf is the process whose arguments are the instance's: its master, else
// its youngest worker.
func tellerOf(in reaper.Instance, processes map[inspect.ProcID]*inspect.Process) *inspect.Process {
	var teller *inspect.Process
	for _, q := range in.Processes {
		switch p := processes[q.ProcID]; {
		case p == nil:
		case q.Role == reaper.RoleMaster:
			return p
		case isWorker(&q):
			teller = p
		}
	}
	return teller
}

func (e hostEngine) instanceFacts(ctx context.Context, look inspect.Snapshot, in reaper.Instance, teller *inspect.Process, processes map[inspect.ProcID]*inspect.Process) instanceFacts {
	facts := instanceFacts{pidNS: teller.PIDNS, netNS: teller.NetNS, config: e.Host.Configuration(look, teller)}
	facts.changed = look.Boottime - look.Time.Sub(facts.config.Changed)
	if in.Model == reaper.ModelMasterWorker {
		facts.master, facts.cliErr = e.Host.AskReloads(ctx, look, teller, e.MasterSocket)
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
		facts.service, facts.unitErr = e.Host.UnitSettings(teller.Unit)
	}
	return facts
}
