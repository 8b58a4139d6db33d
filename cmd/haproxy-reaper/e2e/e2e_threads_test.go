package e2e

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// HAProxy 3.5 can give each thread group a table of descriptors of its own
// (tune.fd.tables per-thread-group). A thread of these workers has one, and in it a
// listener: only the first thread's table can be looked at.
func TestAWorkerWhoseThreadHasDescriptorsOfItsOwnIsRefused(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, env: b.preload("APART=1")})
		s.makeResidual(1, 1)
		before := b.processes()
		user := uidOf(t, "haproxy")
		for _, args := range [][]string{
			{bedAgent},
			refusing([]int{unix.SYS_KCMP}),
			append(withCapabilities(user, []string{"sys_ptrace", "dac_read_search"}), bedAgent), // as shipped
		} {
			args = append(args, "reap", "--deadline", "0s", "--state-dir", "/run/state", "-o", "json")
			b.ownedBy(user, "/run/haproxy-reaper", "/run/state")
			b.answer(b.start(command{args: args})).exits(agent.ExitRefused).refuses(s.active(), judge.ReasonApart)
			b.stay(before...)
		}
	})
}

// The threads of an ordinary HAProxy share their descriptors, whoever tells that.
func TestAWorkerOfManyThreadsIsReapedWithAndWithoutKcmp(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, global: "    nbthread 7"})
		old := s.makeResidual(2, 3)
		args := refusing([]int{unix.SYS_KCMP}, "reap", "--deadline", "0s", "--max-terminations", "1", "-o", "json")
		b.answer(b.start(command{args: args})).exits(agent.ExitOK).finds(old[0], isTerminated)
		b.agent("reap", "--deadline", "0s").exits(agent.ExitOK).finds(old[1], isTerminated)
	})
}
