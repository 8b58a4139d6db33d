package metrics

import (
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// This file holds the gauges of one instance. Those that are sums are 0 for an
// instance that is gone; the others are absent.

func processes(_ *pass, u *unit, out sink) {
	for _, role := range judge.Roles {
		out.value(float64(len(u.in(role))), u.name, string(role))
	}
}

func connections(_ *pass, u *unit, out sink) {
	sides := []struct {
		name string
		of   func(*judge.Process) *int
	}{
		{"client", func(p *judge.Process) *int { return p.Connections.Client }},
		{"server", func(p *judge.Process) *int { return p.Connections.Server }},
		{"other", func(p *judge.Process) *int { return p.Connections.Other }},
		{"former", func(p *judge.Process) *int { return p.Connections.Former }},
		{"unknown", func(p *judge.Process) *int { return p.Connections.Unknown }},
	}
	for _, role := range judge.Roles {
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
		if process.Outcome == judge.OutcomeSurvived {
			n++
		}
	}
	out.value(float64(n), u.name)
}

func wedged(_ *pass, u *unit, out sink) {
	n := 0
	for _, process := range u.here {
		if process.Wedge != judge.WedgeNone {
			n++
		}
	}
	out.value(float64(n), u.name)
}

func oldestSince(_ *pass, u *unit, out sink) {
	earliest(u, judge.RoleResidual, func(p *judge.Process) *time.Time { return p.Superseded }, out)
}

func oldestStart(_ *pass, u *unit, out sink) {
	earliest(u, judge.RoleResidual, func(p *judge.Process) *time.Time { return p.Started }, out)
}

// activeStart is absent for the sum of several instances: a change is a reload.
func activeStart(_ *pass, u *unit, out sink) {
	if u.name == others {
		return
	}
	earliest(u, judge.RoleActive, func(p *judge.Process) *time.Time { return p.Started }, out)
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
	bytes := func(p *judge.Process) *uint64 { return p.PrivateBytes }
	if n, ok := sum(u.in(judge.RoleResidual), bytes); ok {
		out.value(n, u.name)
	}
}

// in lists the processes of one role.
func (u *unit) in(role judge.Role) []*judge.Process {
	var list []*judge.Process
	for _, p := range u.here {
		if p.Role == role {
			list = append(list, p)
		}
	}
	return list
}

// sum is not ok when one of the values is not known: part of a sum is no sum.
func sum[T int | uint64](list []*judge.Process, value func(*judge.Process) *T) (total float64, ok bool) {
	for _, p := range list {
		v := value(p)
		if v == nil {
			return 0, false
		}
		total += float64(*v)
	}
	return total, true
}

func earliest(u *unit, role judge.Role, at func(*judge.Process) *time.Time, out sink) {
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
