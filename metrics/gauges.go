package metrics

import (
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// This file holds the gauges of one instance. Those that are sums are 0 for an
// instance that is gone; the others are absent.

func processes(_ *pass, u *unit, out sink) {
	for _, role := range reaper.Roles {
		out.value(float64(len(u.in(role))), u.name, string(role))
	}
}

func connections(_ *pass, u *unit, out sink) {
	sides := []struct {
		name string
		of   func(*reaper.Process) *int
	}{
		{"client", func(p *reaper.Process) *int { return p.Connections.Client }},
		{"server", func(p *reaper.Process) *int { return p.Connections.Server }},
		{"other", func(p *reaper.Process) *int { return p.Connections.Other }},
		{"former", func(p *reaper.Process) *int { return p.Connections.Former }},
		{"unknown", func(p *reaper.Process) *int { return p.Connections.Unknown }},
	}
	for _, role := range reaper.Roles {
		for _, side := range sides {
			if n, ok := sum(u.in(role), side.of); ok {
				out.value(n, u.name, string(role), side.name)
			}
		}
	}
}

func overdue(p *pass, u *unit, out sink) {
	n := 0
	for _, process := range u.here {
		if process.IsDue(p.Report.Time) {
			n++
		}
	}
	out.value(float64(n), u.name)
}

func surviving(_ *pass, u *unit, out sink) {
	n := 0
	for _, process := range u.here {
		if process.Outcome == reaper.OutcomeSurvived {
			n++
		}
	}
	out.value(float64(n), u.name)
}

func wedged(_ *pass, u *unit, out sink) {
	n := 0
	for _, process := range u.here {
		if process.Wedge != reaper.WedgeNone {
			n++
		}
	}
	out.value(float64(n), u.name)
}

func oldestSince(_ *pass, u *unit, out sink) {
	earliest(u, reaper.RoleResidual, func(p *reaper.Process) *time.Time { return p.Superseded }, out)
}

func oldestStart(_ *pass, u *unit, out sink) {
	earliest(u, reaper.RoleResidual, func(p *reaper.Process) *time.Time { return p.Started }, out)
}

// activeStart is absent for the sum of several instances: a change is a reload.
func activeStart(_ *pass, u *unit, out sink) {
	if u.name == others {
		return
	}
	earliest(u, reaper.RoleActive, func(p *reaper.Process) *time.Time { return p.Started }, out)
}

// writeConfirmed is absent for the processes of no instance: nothing is to confirm.
func writeConfirmed(_ *pass, u *unit, out sink) {
	if u.instance != nil && u.name != "" {
		out.value(truth(u.instance.Confirmed), u.name)
	}
}

func stranger(_ *pass, u *unit, out sink) {
	if u.instance != nil {
		out.value(truth(u.instance.Stranger), u.name)
	}
}

func residualMemory(_ *pass, u *unit, out sink) {
	bytes := func(p *reaper.Process) *uint64 { return p.PrivateBytes }
	if n, ok := sum(u.in(reaper.RoleResidual), bytes); ok {
		out.value(n, u.name)
	}
}

// in lists the processes of one role.
func (u *unit) in(role reaper.Role) []*reaper.Process {
	var list []*reaper.Process
	for _, p := range u.here {
		if p.Role == role {
			list = append(list, p)
		}
	}
	return list
}

// sum is not ok when one of the values is not known: part of a sum is no sum.
func sum[T int | uint64](list []*reaper.Process, value func(*reaper.Process) *T) (total float64, ok bool) {
	for _, p := range list {
		v := value(p)
		if v == nil {
			return 0, false
		}
		total += float64(*v)
	}
	return total, true
}

func earliest(u *unit, role reaper.Role, at func(*reaper.Process) *time.Time, out sink) {
	var first *time.Time
	for _, p := range u.in(role) {
		if t := at(p); t != nil && (first == nil || t.Before(*first)) {
			first = t
		}
	}
	if first != nil {
		out.value(timestamp(*first), u.name)
	}
}
