package e2e

import (
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Two agents that do not see each other's lock, in containers of their own say,
// are about to signal the same process. The later one finds it gone.
func TestTwoAgentsWithoutACommonLockDoNoHarm(t *testing.T) {
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{model: model})
			old := s.makeResidual(2, 1)
			before := b.processes()
			b.signal(old[0], "STOP")
			// The other sees another /run/haproxy-reaper.
			const script = "mount -t tmpfs tmpfs /run/haproxy-reaper && exec "
			args := []string{"unshare", "--mount", "sh", "-c", script + strings.Join([]string{bedAgent, "reap", "--deadline", "0s", "--kill-after", "1s", "-o", "json"}, " ")}
			var other *answer
			told := map[inspect.ProcID]bool{}
			a := b.supervise([]string{"reap", "--deadline", "0s"}, func(_ int, _ *job, c heldCall) {
				if c.signals() && other == nil {
					other = b.answer(b.start(command{args: args})).exits(agent.ExitOK)
				}
				b.wantsRightSignal(c, told, old...)
			}).exits(agent.ExitOK)
			other.finds(old[0], isKilled).finds(old[1], isTerminated).finds(s.active(), isActive)
			if len(told) > 0 {
				t.Errorf("signalled %v, who were gone", told)
			}
			a.finds(s.active(), isActive)
			vanished := judgement{judge.RoleResidual, judge.VerdictTerminate, judge.ReasonPastDeadline, judge.OutcomeVanished}
			a.finds(old[1], vanished)
			b.stay(without(before, old...)...)
			s.answers()
		})
	}
}
