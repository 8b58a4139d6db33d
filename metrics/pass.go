package metrics

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// pass is an Input sorted by instance.
type pass struct {
	Input
	units []*unit // every instance ever seen, by name
}

// unit is what is known of one instance.
type unit struct {
	name string // a label value: valid UTF-8
	// known tells that the pass saw the instance, or saw that it is gone. An
	// instance that may only have been out of sight has no gauges.
	known    bool
	instance *judge.Instance  // nil: the pass did not see it
	here     []*judge.Process // its processes at the end of the pass
	counters state.UnitCounters
	owner    *judge.Owner // nil: not known
}

func newPass(in Input) *pass {
	byName := make(map[string]*unit)
	for name, counters := range in.Counters.Units {
		name = label(name)
		byName[name] = &unit{name: name, known: in.seen() && len(in.Report.Errors) == 0, counters: counters, owner: counters.Owner}
	}
	for i := range in.Report.Instances {
		instance := &in.Report.Instances[i]
		name := label(instance.Name)
		u := byName[name]
		if u == nil {
			u = &unit{name: name}
			byName[name] = u
		}
		if u.instance != nil {
			continue // names differ in invalid bytes only: two of one name would spoil every metric
		}
		u.known, u.instance, u.owner = true, instance, &instance.Owner
		for j := range instance.Processes {
			if p := &instance.Processes[j]; !p.Left() {
				u.here = append(u.here, p)
			}
		}
	}
	p := &pass{Input: in}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		p.units = append(p.units, byName[name])
	}
	p.units = foldOthers(p.units)
	return p
}

// label makes a label value of an instance's name, which may be a path of any
// bytes.
func label(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }

// instances is absent when nothing was seen for an error and not for want of
// HAProxy.
func (p *pass) instances() (float64, bool) {
	return p.count(func(*judge.Instance) bool { return true })
}

// strangers is the same of those that strangers own.
func (p *pass) strangers() (float64, bool) {
	return p.count(func(i *judge.Instance) bool { return i.Stranger })
}

// count counts instances. The processes of no instance have no name, and are none.
func (p *pass) count(counts func(*judge.Instance) bool) (n float64, ok bool) {
	for i := range p.Report.Instances {
		if instance := &p.Report.Instances[i]; instance.Name != "" {
			ok = true
			if counts(instance) {
				n++
			}
		}
	}
	return n, ok || p.seen() && len(p.Report.Errors) == 0
}

func (p *pass) deadline() (float64, bool)    { return p.Report.DeadlineSeconds, p.seen() }
func (p *pass) dryRun() (float64, bool)      { return truth(p.Report.DryRun), p.seen() }
func (p *pass) canSignal() (float64, bool)   { return truth(p.Report.CanSignal), p.seen() }
func (p *pass) lastRun() (float64, bool)     { return timestamp(p.Run), !p.Run.IsZero() }
func (p *pass) lastSuccess() (float64, bool) { return timestamp(p.Success), !p.Success.IsZero() }
func (p *pass) lastDuration() (float64, bool) {
	return p.Duration.Seconds(), !p.Run.IsZero()
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// timestamp is in seconds since 1970, to the millisecond.
func timestamp(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
