package metrics

import (
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// This file holds the gauges of one instance. Those that are sums are 0 for an
// instance that is gone; the others are absent.

func processes(_ *pass, u *unit, emit emitFunc) {
	for _, role := range reaper.Roles {
		emit(float64(len(u.in(role))), u.name, string(role))
	}
}

func connections(_ *pass, u *unit, emit emitFunc) {
	sides := []struct {
		name string
		of   func(*reaper.Process) *int
	}{
		{"client", func(p *reaper.Process) *int { return p.Connections.Client }},
		{"server", func(p *reaper.Process) *int { return p.Connections.Server }},
		{"other", func(p *reaper.Process) *int { return p.Connections.Other }},
	}
	for _, role := range reaper.Roles {
		for _, side := range sides {
			if n, ok := sum(u.in(role), side.of); ok {
				emit(n, u.name, string(role), side.name)
			}
		}
	}
}

func overdue(p *pass, u *unit, emit emitFunc) {
	n := 0
	for _, process := range u.here {
		if process.IsDue(p.Report.Time) {
			n++
		}
	}
	emit(float64(n), u.name)
}

func oldestSince(_ *pass, u *unit, emit emitFunc) {
	emitEarliest(u, reaper.RoleResidual, func(p *reaper.Process) *time.Time { return p.Superseded }, emit)
}

func oldestStart(_ *pass, u *unit, emit emitFunc) {
	emitEarliest(u, reaper.RoleResidual, func(p *reaper.Process) *time.Time { return p.Started }, emit)
}

func activeStart(_ *pass, u *unit, emit emitFunc) {
	emitEarliest(u, reaper.RoleActive, func(p *reaper.Process) *time.Time { return p.Started }, emit)
}

func confirmed(_ *pass, u *unit, emit emitFunc) {
	if u.instance != nil {
		emit(truth(u.instance.Confirmed), u.name)
	}
}

func residualMemory(_ *pass, u *unit, emit emitFunc) {
	bytes := func(p *reaper.Process) *uint64 { return p.PrivateBytes }
	if n, ok := sum(u.in(reaper.RoleResidual), bytes); ok {
		emit(n, u.name)
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

func emitEarliest(u *unit, role reaper.Role, at func(*reaper.Process) *time.Time, emit emitFunc) {
	var earliest *time.Time
	for _, p := range u.in(role) {
		if t := at(p); t != nil && (earliest == nil || t.Before(*earliest)) {
			earliest = t
		}
	}
	if earliest != nil {
		emit(timestamp(*earliest), u.name)
	}
}
