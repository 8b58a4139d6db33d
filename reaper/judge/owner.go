package judge

import (
	"cmp"
	"slices"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Owner is the user that an instance belongs to: the user of its master, or else
// of its youngest ready worker. The user of a process cannot be taken by arguments.
type Owner struct {
	UID uint32 `json:"uid"`
	// Stranger is set where that user is not root, and the agent may not signal
	// its processes.
	Stranger bool `json:"stranger"`
}

// ownerOf is the owner of a group. Processes of no instance may have several
// users: a stranger owns them where all are strangers.
func (l *Look) ownerOf(g *Group) Owner {
	if g.Model != "" {
		return l.owner(g.head())
	}
	first := l.owner(g.Members[0].Process)
	for _, m := range g.Members {
		if o := l.owner(m.Process); first.Stranger && !o.Stranger {
			first = o
		}
	}
	return first
}

func (l *Look) owner(p *inspect.Process) Owner {
	return Owner{UID: p.UID, Stranger: p.UID != 0 && l.MaySignal != nil && !l.MaySignal(p.UID)}
}

// head is the process that speaks for a group: its master, or else its youngest
// ready worker, or else its oldest process.
func (g *Group) head() *inspect.Process {
	if g.Master != nil {
		return g.Master
	}
	if workers := g.Workers(); len(workers) > 0 {
		return workers[len(workers)-1]
	}
	i := slices.IndexFunc(g.Members, func(m Member) bool { return m.kind == kindMaster || m.kind == kindWorker })
	return g.Members[max(i, 0)].Process
}

// standing is the place of an owner where not all can be kept: root's come first,
// then those of users that the agent may signal, then strangers, then what has no
// known owner.
func (o *Owner) standing() int {
	switch {
	case o == nil:
		return 3
	case o.Stranger:
		return 2
	case o.UID != 0:
		return 1
	}
	return 0
}

// ByOwner sorts a list into the order in which it is kept. Owners come by their
// standing. Among users of one standing each has so many places before any has
// more, so that no user takes the places of others by number. The less compares
// what is of one user.
func ByOwner[T any](list []T, perUser int, owner func(T) *Owner, less func(a, b T) int) []T {
	type place struct {
		of       T
		standing int
		uid      uint32
		turn     int
	}
	places := make([]place, len(list))
	for i, of := range list {
		o := owner(of)
		places[i] = place{of: of, standing: o.standing()}
		if o != nil {
			places[i].uid = o.UID
		}
	}
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.standing, b.standing), cmp.Compare(a.uid, b.uid), less(a.of, b.of))
	})
	for i := 1; i < len(places); i++ {
		if before := places[i-1]; before.standing == places[i].standing && before.uid == places[i].uid {
			places[i].turn = before.turn + 1
		}
	}
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.standing, b.standing), cmp.Compare(a.turn/perUser, b.turn/perUser))
	})
	sorted := make([]T, len(places))
	for i, p := range places {
		sorted[i] = p.of
	}
	return sorted
}
