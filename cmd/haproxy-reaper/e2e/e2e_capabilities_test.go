package e2e

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Every set of the capabilities that could make a difference, for three users.
// Only who may look at everything and signal the workers reaps; the others say
// so, exit 4, and take nothing that they cannot read for something that is not
// there.
func TestCapabilitiesDecideWhoReapsAndNobodyIsBlindWithoutSayingSo(t *testing.T) {
	sets := [][]string{{}}
	for _, capability := range []string{"sys_ptrace", "kill", "dac_read_search"} {
		for _, set := range sets {
			sets = append(sets, append(slices.Clone(set), capability))
		}
	}
	sets = append(sets, []string{"net_admin"}, append([]string{"net_admin"}, sets[len(sets)-1]...))
	for name, uid := range map[string]int{"root": 0, "haproxy": uidOf(t, "haproxy"), "nobody": bedNobody} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{})
			old := s.makeResidual(1, 1)[0]
			for _, caps := range sets {
				has := func(name string) bool { return slices.Contains(caps, name) }
				// Who may not list a worker's descriptors, which are root's (proc(5), of a
				// process that is not dumpable), tries each number.
				looks := has("sys_ptrace")
				reaps := looks && (has("kill") || name == "haproxy")
				run := func(args ...string) *answer {
					b.ownedBy(uid, "/run/haproxy-reaper", "/run/state")
					args = append([]string{bedAgent}, append(args, "--state-dir", "/run/state", "-o", "json")...)
					return b.answer(b.start(command{args: append(withCapabilities(uid, caps), args...)}))
				}
				what := fmt.Sprintf("%s with %q", name, caps)
				runs := [][]string{{"status"}, {"reap", "--deadline", "0s"}}
				if looks && !reaps {
					runs = append(runs, []string{"reap", "--dry-run", "--deadline", "0s"})
				}
				for _, args := range runs {
					before := b.processes()
					a := run(args...)
					want := agent.ExitOK
					if live := args[0] == "reap" && args[1] != "--dry-run"; !looks || live && !reaps {
						want = agent.ExitPrivilege
					}
					if a.code != want {
						t.Errorf("%s, %s: exit status %d, want %d:\n%s", what, args, a.code, want, a.stderr.String())
					}
					if strings.Contains(strings.ToLower(a.stderr.String()), "no haproxy") {
						t.Errorf("%s, %s: says that there is none", what, args)
					}
					for _, p := range before {
						a.process(p) // is in the report
					}
					p := a.process(old)
					if !looks && (p.Verdict == judge.VerdictTerminate || p.Connections.Client != nil) {
						t.Errorf("%s, %s: %s, %v clients of what it may not look at", what, args, p.Verdict, p.Connections.Client)
					}
					if looks && (p.Role != judge.RoleResidual || p.Connections.Client == nil || *p.Connections.Client != 1) {
						t.Errorf("%s, %s: %s, %v clients", what, args, p.Role, p.Connections.Client)
					}
					if args[0] == "reap" && args[1] != "--dry-run" && reaps {
						a.finds(old, isTerminated)
						b.stay(without(before, old)...)
						s.release(old)
						old = s.makeResidual(1, 1)[0]
					} else {
						b.stay(before...)
					}
				}
			}
		})
	}
}

// uidOf is the number of a user.
func uidOf(t *testing.T, name string) int {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

// withCapabilities is a command that runs another as a user with these
// capabilities and no others.
func withCapabilities(uid int, caps []string) []string {
	set := "-all"
	for _, name := range caps {
		set += ",+" + name
	}
	if uid == 0 {
		return []string{"setpriv", "--bounding-set", set}
	}
	id := fmt.Sprint(uid)
	return []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--bounding-set", set, "--inh-caps", set, "--ambient-caps", set}
}

// ownedBy makes directories anew for a user.
func (b *bed) ownedBy(uid int, dirs ...string) {
	b.t.Helper()
	for _, dir := range dirs {
		if err := b.inside(func() error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			return os.Chown(dir, uid, uid)
		}); err != nil {
			b.t.Fatal(err)
		}
	}
}

// A /proc that hides processes (hidepid=, subset= of proc(5)) hides none from
// who may trace them; from others it does, and an empty list then says nothing.
func TestHiddenProcessesAreNotTakenForNone(t *testing.T) {
	all := []string{"sys_ptrace", "kill", "dac_read_search"}
	for _, test := range []struct {
		options string
	}{
		{"hidepid=1"}, {"hidepid=2"}, {"hidepid=4"},
		{"hidepid=0,subset=pid"}, // no boot id, and so no state
	} {
		t.Run(test.options, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{})
			b.run(command{args: []string{"mount", "-o", "remount," + test.options, "-t", "proc", "proc", "/proc"}})
			for _, uid := range []int{bedNobody, 0} {
				old := s.makeResidual(1, 1)[0]
				before := b.processes()
				run := func(caps []string, args ...string) *answer {
					b.ownedBy(uid, "/run/haproxy-reaper", "/run/state")
					args = append([]string{bedAgent}, append(args, "--state-dir", "/run/state", "-o", "json")...)
					return b.answer(b.start(command{args: append(withCapabilities(uid, caps), args...)}))
				}
				for _, args := range [][]string{{"status"}, {"reap", "--deadline", "0s"}} {
					a := run(nil, args...)
					if !(uid == 0 && args[0] == "status" && a.code == agent.ExitOK) {
						a.exits(agent.ExitPrivilege)
					}
				}
				b.stay(before...)
				run(all, "reap", "--deadline", "0s").exits(agent.ExitOK).finds(old, isTerminated)
				b.stay(without(before, old)...)
				s.release(old)
			}
		})
	}
}
