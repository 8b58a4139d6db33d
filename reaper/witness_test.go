package reaper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// The master CLI is a witness where it answers. Where there is none that is no
// error; where there is one that does not answer, the report says so.
func TestTheMasterCLIIsAWitnessWhereItAnswers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		host  func() *fakehost.World
		want  []string
		error string // a part of it
	}{
		{"it answers", func() *fakehost.World {
			w, s := reloaded()
			s.Answer(map[int]bool{101: true, 102: true, 103: false})
			return w
		}, []string{"sockets", "arguments", "cli"}, ""},
		{"nobody answers at its socket", func() *fakehost.World {
			w, _ := reloaded()
			return w
		}, []string{"sockets", "arguments"}, "refused"},
		{"a daemon has none", func() *fakehost.World {
			w := fakehost.New()
			ordinary(w)
			fakehost.Daemon(w, "/etc/d.cfg", 201, ticks(50*time.Minute), nil, fakehost.Client(443, 1, 0))
			fakehost.Daemon(w, "/etc/d.cfg", 202, ticks(10*time.Minute), []int{201}, fakehost.Listen(443))
			return w
		}, []string{"sockets", "arguments"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := look(t, tt.host()).Instances[0]
			if diff := cmp.Diff(tt.want, in.Witnesses); diff != "" {
				t.Errorf("witnesses (-want +got):\n%s", diff)
			}
			if (in.CLIError == "") != (tt.error == "") || !strings.Contains(in.CLIError, tt.error) {
				t.Errorf("error is %q, want %q", in.CLIError, tt.error)
			}
		})
	}
}

// Of two that started in one tick neither superseded the other: the deadline of
// both counts from the next one.
func TestWhoStartedInTheSameTickSupersedesNobody(t *testing.T) {
	w, s := reloaded()
	s.Worker(101, ticks(30*time.Minute), nil, fakehost.Client(443, 1, 0))
	r := look(t, w)
	for _, pid := range []int{101, 102} {
		p := process(t, r, pid)
		if p.Role != reaper.RoleResidual && p.Role != reaper.RoleStranded {
			t.Errorf("%d is %s", pid, p.Role)
		}
	}
	if got := *process(t, r, 102).ResidualSeconds; got != 600 {
		t.Errorf("102 is residual for %v s, want 600", got)
	}
}
