package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// withTwoPorts is a service with a frontend on port 8000 and one on 8001, whose
// server never ends a connection by itself. A third, on 8003, has a server that
// does not read either: a client that has gone leaves a worker without one.
func (b *bed) withTwoPorts(model judge.Model) *service {
	stubborn := b.serve(func(c net.Conn) {
		io.Copy(c, c)
		<-b.t.Context().Done()
	})
	deaf := b.serve(func(net.Conn) { <-b.t.Context().Done() })
	return b.startService("web", setup{model: model, sections: `
frontend other
    bind 127.0.0.1:8001
    default_backend stubborn
backend stubborn
    server s1 ` + stubborn + `
frontend unread
    bind 127.0.0.1:8003
    default_backend deaf
backend deaf
    server s1 ` + deaf + `
`})
}

// residualBy makes a residual process with clients on a port.
func (s *service) residualBy(address string, clients int) process {
	s.b.t.Helper()
	worker := s.active()
	for range clients {
		s.clients[worker.ProcID] = append(s.clients[worker.ProcID], s.b.dialFrom("127.0.0.1", address))
	}
	s.reload()
	return worker
}

func residualWith(verdict judge.Verdict, reason judge.Reason, outcome judge.Outcome) judgement {
	return judgement{judge.RoleResidual, verdict, reason, outcome}
}

func terminatedFor(reason judge.Reason) judgement {
	return residualWith(judge.VerdictTerminate, reason, judge.OutcomeTerminated)
}

func sparedFor(reason judge.Reason) judgement {
	return residualWith(judge.VerdictWait, reason, "")
}

// Each rule ends the one that it is about, for its own reason, and the others
// stay.
func TestEveryRuleEndsWhomItIsAbout(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.withTwoPorts(model)
		probe := s.probe()

		https, ssh := s.residualBy("127.0.0.1:8000", 1), s.residualBy("127.0.0.1:8001", 2)
		all := b.processes()
		b.agent("reap", "--deadline", "0s", "--deadline-for", "8001=1h").exits(0).
			finds(https, terminatedFor(judge.ReasonPastDeadline)).finds(ssh, sparedFor(judge.ReasonWithinPortDeadline))
		b.stay(without(all, https)...)

		// A byte moves now; so it is active, and a moment later it is idle.
		if err := echo(s.clients[ssh.ProcID][0]); err != nil {
			t.Fatal(err)
		}
		b.agent("reap", "--deadline", "0s", "--hard-deadline", "1h").exits(0).finds(ssh, sparedFor(judge.ReasonActiveClients))
		b.agent("reap", "--deadline", "1h", "--idle-after", "1h").exits(0).finds(ssh, isWaited)
		b.until(func() error {
			a := b.agent("status")
			if idle := a.process(ssh).IdleSeconds; idle == nil || *idle < 1 {
				return errors.New("its clients are not idle yet")
			}
			return nil
		})
		b.agent("reap", "--deadline", "1h", "--idle-after", "1s").exits(0).finds(ssh, terminatedFor(judge.ReasonIdle))
		b.stay(without(all, https, ssh)...)

		// The client of the next one goes.
		c := b.fill("127.0.0.1:8003")
		empty := s.makeOld(c)
		all = b.processes()
		b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(empty, isWaited)
		c.SetLinger(0)
		c.Close()
		b.until(func() error { return b.closed(empty, 1) })
		b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(empty, terminatedFor(judge.ReasonEmpty))
		b.stay(without(all, empty)...)

		// Of three the oldest is one too many; of the two that are left, the one
		// with fewer clients frees more for each.
		oldest, few, many := s.residualBy("127.0.0.1:8000", 1), s.residualBy("127.0.0.1:8000", 1), s.residualBy("127.0.0.1:8000", 8)
		all = b.processes()
		b.agent("reap", "--deadline", "1h", "--max-residual", "3").exits(0).finds(oldest, isWaited).finds(few, isWaited).finds(many, isWaited)
		b.agent("reap", "--deadline", "1h", "--max-residual", "2").exits(0).
			finds(oldest, terminatedFor(judge.ReasonMaxResidual)).finds(few, isWaited).finds(many, isWaited)
		b.stay(without(all, oldest)...)
		b.agent("reap", "--deadline", "1h", "--min-available-memory", "100").exits(0).
			finds(few, terminatedFor(judge.ReasonLowMemory)).finds(many, isWaited)
		b.stay(without(all, oldest, few)...)
		probe.unbroken(b)
	})
}

// A service may be short of memory on a host that is not: systemd's MemoryMax= is
// the limit of a cgroup.
func TestAMemoryLimitOfTheServiceCounts(t *testing.T) {
	t.Parallel()
	const limit, weight = 64 << 20, 52 << 20 // less than a fifth is left
	group := memoryGroup(t, limit)
	var b *bed
	t.Cleanup(func() { b.until(func() error { return os.Remove(group) }) }) // when all in it are gone
	b = newBed(t)
	s := b.withTwoPorts(judge.ModelMasterWorker)
	few, many := s.residualBy("127.0.0.1:8000", 1), s.residualBy("127.0.0.1:8000", 8)
	all := b.processes()
	for _, p := range []process{few, many, s.active()} {
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(b.outside(p))), 0); err != nil {
			t.Fatal(err)
		}
	}
	a := b.agent("reap", "--deadline", "1h", "--min-available-memory", "25").exits(0).finds(few, isWaited).finds(many, isWaited)
	if got := a.instance(few).MemoryLimitBytes; got == nil || *got != limit {
		t.Errorf("the limit is told as %v, want %d", got, limit)
	}
	// A file in memory is charged to the group of who writes it.
	fill := b.start(command{args: []string{"sh", "-c", fmt.Sprintf("echo 0 >%s/cgroup.procs && head -c %d /dev/zero >%s/weight", group, weight, bedDir)}})
	if code := fill.wait(t); code != 0 {
		t.Fatalf("fill the group: exit status %d: %s", code, fill.stderr.String())
	}
	b.agent("reap", "--deadline", "1h", "--min-available-memory", "25").exits(0).
		finds(few, terminatedFor(judge.ReasonLowMemory)).finds(many, isWaited)
	b.stay(without(all, few)...)
}

// memoryGroup is a memory cgroup of the test's own, with a limit in bytes.
func memoryGroup(t *testing.T, limit int) (dir string) {
	t.Helper()
	root, file := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat(root); err != nil {
		root, file = "/sys/fs/cgroup", "memory.max"
	}
	dir, err := os.MkdirTemp(root, "haproxy-reaper-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, file), []byte(strconv.Itoa(limit)), 0); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestJitterIsTheSameInEveryPass(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.withTwoPorts(judge.ModelMasterWorker)
	old := s.residualBy("127.0.0.1:8000", 1)
	first := b.agent("reap", "--deadline", "0s", "--deadline-jitter", "1000d").exits(0).finds(old, sparedFor(judge.ReasonJitter))
	second := b.agent("status", "--deadline", "0s", "--deadline-jitter", "1000d").exits(0).finds(old, sparedFor(judge.ReasonJitter))
	share := first.report.HostShare
	if share == nil || second.report.HostShare == nil || *share != *second.report.HostShare {
		t.Fatalf("the host's share was %v, then %v", share, second.report.HostShare)
	}
	p := first.process(old)
	want := time.Duration(*share * float64(1000*24*time.Hour))
	if got := p.Due.Sub(*p.Superseded); (got - want).Abs() > 2*time.Second {
		t.Errorf("due %v after it was superseded, want %v", got, want)
	}
}

// The clients of a frontend that is gone from the configuration are nobody's that
// the active listens for; they are no less clients.
func TestClientsOfAFrontendThatIsGoneKeepAProcess(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.withTwoPorts(model)
		s.edit("bind 127.0.0.1:8001", "bind 127.0.0.1:8002")
		old := s.residualBy("127.0.0.1:8001", 2)
		a := b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, isWaited)
		if c := a.process(old).Connections; c.Client == nil || *c.Client != 0 || c.Former == nil || *c.Former != 2 {
			t.Errorf("connections %+v, want 2 of a former listener", c)
		}
		b.agent("reap", "--deadline", "0s", "--hard-deadline", "1h").exits(0).finds(old, sparedFor(judge.ReasonActiveClients))
		b.agent("reap", "--deadline", "0s", "--deadline-for", "8001=1h").exits(0).finds(old, sparedFor(judge.ReasonWithinPortDeadline))
	})
}

func TestABadPolicySignalsNobody(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.withTwoPorts(judge.ModelMasterWorker)
	s.residualBy("127.0.0.1:8000", 1)
	before := b.processes()
	for _, args := range [][]string{{"--deadline-for", "0=0s"}, {"--hard-deadline", "1m"}, {"--min-available-memory", "101"}, {"--max-residual", "-1"}} {
		j := b.start(command{args: append([]string{bedAgent, "reap", "--deadline", "5m", "--yes"}, args...)})
		if code := j.wait(t); code != 2 {
			t.Errorf("%q: exit status %d, want 2: %s", args, code, j.stderr.String())
		}
	}
	b.stay(before...)
}
