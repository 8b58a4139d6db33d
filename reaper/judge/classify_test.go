package judge

import (
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// A check that has lost its daemon looks like an old worker until it runs its program.
// It is younger than the active. Whatever took it into the instance, it is not residual.
func TestAnOrphanThatIsNotOlderThanTheActiveIsStranded(t *testing.T) {
	t.Parallel()
	serving := child(103, 500, handlersReady)
	for _, row := range []struct {
		name   string
		start  uint64
		active []*inspect.Process
		want   Role
	}{
		{"older", 499, []*inspect.Process{serving}, RoleResidual},
		{"of the same tick", 500, []*inspect.Process{serving}, RoleStranded},
		{"younger", 501, []*inspect.Process{serving}, RoleStranded},
		{"without an active", 499, nil, RoleStranded},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			orphan := child(101, row.start, handlersReady)
			c := classifier{
				look: &Look{}, group: &Group{Model: ModelDaemon}, active: row.active,
				evidence: map[*inspect.Process]evidence{orphan: {remembered: true}},
			}
			if got := c.role(Member{orphan, kindOrphan, nil}, false); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

func TestWhichWorkerOfAMasterIsOfALaterGeneration(t *testing.T) {
	t.Parallel()
	master := func(pid int, start uint64) *inspect.Process {
		return &inspect.Process{ProcID: inspect.ProcID{PID: pid, StartTicks: start}}
	}
	older, younger, beside := master(100, 10), master(200, 20), master(300, 10)
	worker := func(master *inspect.Process, cmdline string) Member {
		p := child(0, 30, handlersReady)
		p.Command = inspect.ParseCommand([]byte(cmdline))
		return Member{p, kindWorker, master}
	}
	const first, reloaded = "haproxy\x00-W\x00", "haproxy\x00-W\x00-sf\x007\x00"
	for _, row := range []struct {
		name string
		y, p Member
		want bool
	}{
		{"another list under one master", worker(older, reloaded), worker(older, first), true},
		{"the same arguments under one master: forked by one start", worker(older, first), worker(older, first), false},
		{"under a younger master", worker(younger, first), worker(older, first), true},
		{"under an older master, that was replaced and is reloaded", worker(older, reloaded), worker(younger, first), false},
		{"under a master of the same tick", worker(beside, reloaded), worker(older, first), false},
		{"without a master", worker(nil, reloaded), worker(older, first), false},
		{"of a process without a master", worker(older, reloaded), worker(nil, first), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := follows(row.y, row.p); got != row.want {
				t.Errorf("%t, want %t", got, row.want)
			}
		})
	}
}
