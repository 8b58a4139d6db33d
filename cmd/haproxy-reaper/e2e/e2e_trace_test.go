package e2e

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// What the agent asks the kernel for, seen from outside of it: signals to the
// residual processes and to nobody else, through their pidfds alone, and those
// opened before the first fact and polled after the last.
func TestPassSignalsNothingButTheResidualProcessesThroughTheirPidfds(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model})
		other := b.startService("other", setup{model: model, address: "127.0.0.1:8001"})
		old := append(s.makeResidual(2, 1), other.makeResidual(1, 1)...)
		b.signal(old[0], "STOP")
		file := bedDir + "/trace"
		job := b.start(command{args: []string{"strace", "-f", "-o", file, "-e", traced,
			bedAgent, "reap", "--deadline", "0s", "--kill-after", "1s", "-o", "json"}})
		a := b.answer(job).exits(0)
		for _, p := range old[1:] {
			a.finds(p, isTerminated)
		}
		readTrace(t, b.read(file)).wants(t, old)
	})
}

// serve holds no pidfd and signals nobody: each of its passes does.
func TestServeSignalsNothingButTheResidualProcessesThroughTheirPidfds(t *testing.T) {
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.startService("web", setup{model: model})
			unit := s.unit()
			old := s.makeResidual(2, 1)
			b.signal(old[0], "STOP")
			file := bedDir + "/trace"
			serve := b.startServeAs(command{args: []string{"strace", "-f", "-o", file, "-e", traced,
				bedAgent, "serve", "--interval", "1h", "--deadline", "0s", "--kill-after", "1s"}})
			serve.has(fmt.Sprintf(`haproxy_reaper_terminated_processes_total{unit=%q}`, unit), 2)
			parent, _, _ := strings.Cut(b.read(file), " ")
			b.run(command{args: []string{"kill", "-TERM", parent}})
			if code := serve.wait(t); code != 0 {
				t.Errorf("serve ended with exit status %d: %s", code, serve.stderr.String())
			}
			tr := readTrace(t, b.read(file))
			if len(tr.programs) != 2 || strconv.Itoa(tr.programs[0]) != parent {
				t.Errorf("programs %v, want %s and its pass", tr.programs, parent)
			}
			tr.wants(t, old)
		})
	}
}

// wants wants a SIGTERM and a SIGKILL to the first of these processes and a
// SIGTERM to each of the others, in order, and nothing else.
func (tr trace) wants(t *testing.T, old []process) {
	t.Helper()
	want := map[int][]string{}
	for _, p := range old {
		want[p.PID] = []string{"SIGTERM"}
	}
	want[old[0].PID] = []string{"SIGTERM", "SIGKILL"}
	if diff := cmp.Diff(want, tr.sent); diff != "" {
		t.Errorf("signals by process (-want +got):\n%s", diff)
	}
	var wrong []error
	for pid := range want {
		wrong = append(wrong, tr.ordered(pid))
	}
	if err := errors.Join(wrong...); err != nil {
		t.Error(err)
	}
}
