package reaper

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Pass is one run over the host: look, decide, act, report.
type Pass struct {
	Host       *inspect.Host
	Policy     judge.Policy
	Timing     judge.Timing
	Terminator Terminator
	// MasterSocket is the master CLI's path, "" for the one in the master's
	// arguments, "none" to ask none.
	MasterSocket string
	// Clients asks for the clients of residual processes, peer by peer, which
	// costs more calls for each connection.
	Clients bool
	// ActiveClients asks for the clients of the active generation also where no
	// master CLI tells them. The kernel then walks all TCP sockets of the host:
	// some 0.3 us of CPU for each.
	ActiveClients bool
	// Memory is what earlier passes remember; Status and Run leave in it what the
	// next one should.
	Memory judge.Memory
	// MemoryOwner is the user whose state the memory is from, see Past.
	MemoryOwner *uint32
	// Qualified are the names that earlier passes qualified.
	Qualified judge.Qualified
	// MaySignal, when set, tells whether the agent may signal the processes of a user.
	// Instances of others come last where not all can be kept, see Owner.
	MaySignal func(uid uint32) bool
	// Approve, when set, is shown the decided report before anything is
	// signalled, if something is due. What it is not shown is not signalled.
	Approve func(judge.Report) (bool, error)
	// Step, when set, is called whenever the pass gets on: at each look, signal
	// and turn of a wait, by several goroutines at once.
	Step func()
	// Drained, when set, is called after each batch of an instance's client
	// connections that was closed, with how many are by now and how many there
	// were to close; by several goroutines at once.
	Drained func(instance string, closed, of int)
	// Signalled, when set, is called after each signal that was sent, so that it
	// can be put on record, with the memory, before anything is waited for; by
	// several goroutines at once.
	Signalled func(m judge.Memory, instance string, id inspect.ProcID, signal string)
	Log       *slog.Logger

	bootID string
}

// Status looks once and decides; it never waits and never signals.
func (p *Pass) Status(ctx context.Context) (judge.Report, error) {
	if p.Timing.PassTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.Timing.PassTimeout)
		defer cancel()
	}
	p.prepare(ctx)
	r, err := p.observe(ctx, nil)
	r.CanSignal = p.Host.CanSignal()
	if err == nil {
		p.Memory = judge.Remember(p.Memory, r).WithSilent(p.Host.Silent())
	}
	if len(p.Policy.Instances) > 0 {
		if err == nil {
			p.tellUnknown(r)
		}
		r.Instances = slices.DeleteFunc(r.Instances, func(in judge.Instance) bool { return !slices.Contains(p.Policy.Instances, in.Name) })
	}
	return judge.Foresee(judge.Decide(r, p.Policy), p.Policy, p.Timing), err
}

// tellUnknown says in a line which names of the policy no instance has, and which
// instances such a name may mean: those that it begins, or else those that are there,
// strangers' last.
func (p *Pass) tellUnknown(r judge.Report) {
	const most = 5
	there := judge.ByOwner(r.Instances, most, func(in judge.Instance) *judge.Owner { return &in.Owner }, func(a, b judge.Instance) int { return cmp.Compare(a.Name, b.Name) })
	for _, wanted := range p.Policy.Instances {
		var names, longer []string
		for _, in := range there {
			if in.Model != "" {
				names = append(names, in.Name)
			}
			if strings.HasPrefix(in.Name, wanted+"@") || strings.HasPrefix(in.Name, wanted+":") {
				longer = append(longer, in.Name)
			}
		}
		if slices.Contains(names, wanted) {
			continue
		}
		if len(longer) > 0 {
			names = longer
		}
		p.Log.Warn("no instance has the name that --instance gives", "name", wanted, "instances", strings.Join(names[:min(len(names), most)], ", "))
	}
}

// Run is a whole pass. The report holds what became of everything; the error
// says that the host could not be inspected, or that Approve failed, and then
// nobody was signalled.
func (p *Pass) Run(ctx context.Context) (judge.Report, error) {
	r, budget, err := p.firstLook(ctx)
	if err != nil {
		return r, err
	}
	asked := p.Host.Kernel().Boottime()
	approved, err := p.approve(r)
	if err != nil || approved == nil {
		return decline(r), err
	}
	// A person may think for minutes. Then the clients are not those of the report any more.
	if p.Host.Kernel().Boottime()-asked > lookApart {
		if r, budget, err = p.firstLook(ctx); err != nil {
			return r, err
		}
	}
	var wg sync.WaitGroup
	for i := range r.Instances {
		in := &r.Instances[i]
		if !hasDue(*in, r.Time) || in.Refusal == judge.ReasonPrivilege {
			continue
		}
		a := &act{pass: p, host: r, measured: *in, approved: approved}
		wg.Go(func() { *in = a.run(ctx, budget) })
	}
	wg.Wait()
	p.Memory = p.Memory.WithSilent(p.Host.Silent())
	r.Summary = judge.Summarize(r)
	return r, nil
}

// firstLook looks and decides, and returns what is left of the time that a pass has.
func (p *Pass) firstLook(ctx context.Context) (r judge.Report, budget time.Duration, err error) {
	began := p.Host.Kernel().Boottime()
	if r, err = p.Status(ctx); err != nil {
		return r, 0, err
	}
	if budget = p.Timing.PassTimeout; budget > 0 {
		budget = max(time.Millisecond, budget-(p.Host.Kernel().Boottime()-began))
	}
	p.refuseForbidden(&r)
	return r, budget, nil
}

// refuseForbidden refuses each instance with a due process that this program may not
// signal, whatever else stands against it: nothing in this pass gives the privilege.
// Privilege is a matter of each instance, or any account could keep the others'
// residual processes alive with one of its own.
func (p *Pass) refuseForbidden(r *judge.Report) {
	for i := range r.Instances {
		in := &r.Instances[i]
		for j := range in.Processes {
			q := &in.Processes[j]
			if !q.IsDue(r.Time) {
				continue
			}
			if err := p.Terminator.MaySignal(q.ProcID); err != nil && !errors.Is(err, inspect.ErrGone) {
				*in = forbid(*in, fmt.Sprintf("process %d of user %s may not be signalled: %v", q.PID, q.User, err), r.Time)
				p.logRefusal(*in)
				break
			}
		}
	}
	r.Summary = judge.Summarize(*r)
}

// forbid refuses an instance for want of a privilege.
func forbid(in judge.Instance, detail string, at time.Time) judge.Instance {
	in = in.Refuse(judge.ReasonPrivilege, detail)
	for i := range in.Processes {
		if q := &in.Processes[i]; q.Verdict == judge.VerdictRefuse && q.IsDue(at) {
			q.Reason = judge.ReasonPrivilege
		}
	}
	return in
}

// approve asks, if there is somebody to ask and something to ask about, and
// returns the processes that may be signalled; nil when the answer is no.
func (p *Pass) approve(r judge.Report) (map[inspect.ProcID]bool, error) {
	due := map[inspect.ProcID]bool{}
	for i := range r.Instances {
		for j := range r.Instances[i].Processes {
			if q := &r.Instances[i].Processes[j]; q.IsDue(r.Time) && r.Instances[i].Refusal != judge.ReasonPrivilege {
				due[q.ProcID] = true
			}
		}
	}
	if p.Approve == nil || len(due) == 0 {
		return due, nil
	}
	yes, err := p.Approve(r)
	if err != nil || !yes {
		return nil, err
	}
	return due, nil
}

// decline marks what would have been signalled, had the answer been yes.
func decline(r judge.Report) judge.Report {
	for i := range r.Instances {
		r.Instances[i] = r.Instances[i].Withhold(judge.VerdictWait, judge.ReasonDeclined)
	}
	r.Summary = judge.Summarize(r)
	return r
}

func hasDue(in judge.Instance, at time.Time) bool {
	return slices.ContainsFunc(in.Processes, func(p judge.Process) bool { return p.IsDue(at) })
}

func (p *Pass) step() {
	if p.Step != nil {
		p.Step()
	}
}

func (p *Pass) drained(instance string, closed, of int) {
	if p.Drained != nil {
		p.Drained(instance, closed, of)
	}
}

func (p *Pass) signalled(instance string, id inspect.ProcID, signal string) {
	if p.Signalled != nil {
		p.Signalled(p.Memory, instance, id, signal)
	}
}

func (p *Pass) logRefusal(in judge.Instance) {
	if in.Refusal != "" {
		p.Log.Warn("refused", "instance", in.Name, "reason", in.Refusal, "detail", in.RefusalDetail)
	}
}

// prepare fills in what may be left out.
func (p *Pass) prepare(ctx context.Context) {
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	for id, seen := range p.Memory {
		if seen.Silent {
			p.Host.Spare(id)
		}
	}
	// Without it nothing remembered is believed; that delays, and harms nobody.
	p.bootID, _ = orAbandon(ctx, func() (string, error) { return inspect.BootID(p.Host.Kernel()) })
}
