package e2e

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

var isStranded = judgement{judge.RoleStranded, judge.VerdictKeep, judge.ReasonStranded, ""}

// passedTwo starts a service that was passed two listening sockets, as a socket
// unit passes them, and uses one. HAProxy keeps the other in every generation.
func (b *bed) passedTwo(model judge.Model) *service {
	b.t.Helper()
	return b.passedTwoAs(setup{model: model, text: strings.ReplaceAll(tcpOnly, "bind 127.0.0.1:8000", "bind fd@3")})
}

func (b *bed) passedTwoAs(with setup) *service {
	b.t.Helper()
	with.inherit = b.listeners("127.0.0.1:8000", "127.0.0.1:8001")
	s := &service{
		b: b, setup: with, config: bedDir + "/web.cfg", cli: bedDir + "/web-master.sock",
		clients: map[inspect.ProcID][]net.Conn{},
	}
	s.exe, s.address, s.backend = "/usr/sbin/haproxy", "127.0.0.1:8000", b.startBackend()
	b.write(s.config, strings.ReplaceAll(with.text, "BACKEND", s.backend))
	s.launch()
	s.comesYounger(process{})
	return s
}

// comesYounger waits for an active worker that is not the former one. Its
// listeners do not tell it from an old worker: that keeps one too.
func (s *service) comesYounger(former process) {
	s.b.t.Helper()
	s.b.until(func() error {
		workers := s.workers()
		if len(workers) == 0 {
			return errors.New("no worker is there")
		}
		if young := workers[len(workers)-1]; young.ProcID == former.ProcID || !young.ready() || !young.holds(s.b.listening()) {
			return errors.New("the new worker does not listen")
		}
		return s.settled()
	})
}

// unused are the inodes of the socket that was passed and is not used.
func (b *bed) unused() map[string]bool { return b.listeningOn(8001) }

// oldOfTwo makes an old worker with a client, which keeps the socket that it was
// passed and does not use.
func (s *service) oldOfTwo() process {
	s.b.t.Helper()
	s.hold(1)
	old := s.active()
	s.startReload()
	s.comesYounger(old)
	used := s.b.listeningOn(8000)
	s.b.until(func() error {
		if now := s.residual(); len(now) != 1 || now[0].ProcID != old.ProcID || now[0].holds(used) {
			return errors.New("the old worker has not been told to stop")
		}
		return nil
	})
	if !s.residual()[0].holds(s.b.unused()) {
		s.b.t.Fatal("the old worker does not keep the socket: this shows nothing")
	}
	return s.residual()[0]
}

// The master CLI says that the old worker stops, and the master holds the same
// socket: the old worker was passed it, and never opened it.
func TestSocketThatWasPassedAndIsNotUsedIsNoListenerOfAnOldWorker(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.passedTwo(judge.ModelMasterWorker)
		old := s.oldOfTwo()
		if !s.master().holds(b.unused()) {
			t.Fatal("the master does not hold the socket: this shows nothing")
		}
		s.reapsExactly(old)
	})
}

// A unit with NonBlocking=yes passes sockets as HAProxy makes its own. Without a
// master CLI nothing tells one that is not used from a listener.
func TestSocketThatWasPassedAndIsNotUsedIsAListenerWhereNothingTells(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.passedTwo(model)
		old := s.oldOfTwo()
		if model == judge.ModelMasterWorker {
			b.run(command{args: []string{"rm", s.cli}})
		}
		if err := unix.SetNonblock(int(s.inherit[1].Fd()), true); err != nil {
			t.Fatal(err)
		}
		before := b.processes()
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isStranded).finds(s.active(), isActive)
		b.stay(before...)
		b.advises("listens on tcp 127.0.0.1:8001")
	})
}

// Within its grace an old worker says that it stops, holds the socket that its
// master holds as well, and goes on accepting on it. What tells it is Listeners of
// show info: 2 then, and 1, its end of the master's sockpair, when it has stopped
// listening (seen on 2.2, 2.6, 3.0, 3.2 and 3.4; Stopping is 1 in both).
func TestOldWorkerWithinItsGraceOnASocketThatWasPassedIsNeverSignalled(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		text := strings.ReplaceAll(tcpOnly, "bind 127.0.0.1:8000", "bind fd@3")
		if b.since(2, 5) {
			text = strings.Replace(text, "global\n", "global\n    grace 1h\n", 1)
		} else {
			text = strings.Replace(text, "defaults\n", "defaults\n    grace 1h\n", 1)
		}
		s := b.passedTwoAs(setup{model: model, text: text})
		s.hold(1)
		old := s.active()
		s.startReload()
		s.comesYounger(old)
		b.until(func() error { return errors.Join(s.listens(old, true), s.listens(s.active(), true)) })
		before := b.processes()
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isStranded).finds(s.active(), isActive)
		b.stay(before...)
	})
}

// A connection has the options of the listener that accepted it. A service manager
// sets others than HAProxy, and a service may have listeners of both.
func TestFormerClientOfASocketThatWasPassedKeepsAProcess(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{
			model: judge.ModelDaemon, inherit: b.listeners("127.0.0.1:40000"),
			sections: "\nfrontend passed\n    bind fd@3\n    default_backend be\n",
		})
		old := s.active()
		s.clients[old.ProcID] = []net.Conn{b.dialFrom("127.0.0.1", "127.0.0.1:40000"), b.dialFrom("127.0.0.1", "127.0.0.1:8000")}
		s.edit("bind fd@3", "bind 127.0.0.1:8002")
		s.inherit = nil
		s.reload()
		a := b.agent("status").exits(0).counts(old, "client", 1)
		if server := a.side(old, "server"); server != nil && server != float64(2) {
			t.Errorf("server connections of %v: %v, want 2 or null", old.ProcID, server)
		}
		former, unknown := a.side(old, "former"), a.side(old, "unknown")
		if former != float64(1) && unknown != nil && unknown != float64(1) {
			t.Errorf("former %v, unknown %v: the client of the passed socket is neither", former, unknown)
		}
		s.clients[old.ProcID][1].Close()
		b.until(func() error { return b.inState(old, "01", 8000, 0) })
		before := b.processes()
		b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, isWaited)
		b.stay(before...)
	})
}

// listeningOn are the inodes of what is in LISTEN on a port.
func (b *bed) listeningOn(port uint16) map[string]bool {
	b.t.Helper()
	return b.sockets("tcp", 9, func(row []string) bool {
		return row[3] == "0A" && strings.HasSuffix(row[1], fmt.Sprintf(":%04X", port))
	})
}

// Up to 3.0 a master that loads a configuration without a dgram-bind of the one
// before goes on holding its socket, and so does each worker from then on.
func TestDatagramSocketThatIsLeftOverIsNoListenerOfAnOldWorker(t *testing.T) {
	keeps := func(r release) bool { return r.since(2, 3) && !r.parsesInWorker() }
	inReleases(t, keeps, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{sections: strings.ReplaceAll(syslog, "1514", "40514")})
		s.edit("    dgram-bind 127.0.0.1:40514\n", "    dgram-bind 127.0.0.1:1514\n")
		s.reload()
		old := s.makeResidual(1, 1)[0]
		left := b.sockets("udp", 9, func(row []string) bool { return strings.HasSuffix(row[1], ":9E42") })
		if !old.holds(left) || !s.master().holds(left) {
			t.Fatal("the old worker does not keep the socket: this shows nothing")
		}
		s.reapsExactly(old)
	})
}
