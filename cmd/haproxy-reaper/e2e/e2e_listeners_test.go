package e2e

import (
	"cmp"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// A bind line can name a network namespace that is not the process's own. Its
// listener stands in no table that the host or the process can see.
func TestListenerInANetworkNamespaceOfItsOwnIsFound(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		backend := b.startBackend()
		b.moveClients()
		b.nameNet("blue")
		s := b.startService("web", setup{model: model, backend: backend, text: strings.ReplaceAll(tcpOnly,
			"bind 127.0.0.1:8000", "bind 127.0.0.1:8000 namespace blue")})
		old := s.makeResidual(2, 1)
		own := b.ownListening()
		if s.active().holds(own) {
			t.Fatal("the active listens in the bed's own network: this shows nothing")
		}
		s.reapsExactly(old...)
	})
}

// nameNet gives the network of the bed's clients a name, as ip-netns(8) does.
func (b *bed) nameNet(name string) {
	b.t.Helper()
	file := bedRoot + "/run/netns/" + name
	b.write(file, "")
	b.run(command{args: []string{"mount", "--bind", "/proc/self/fd/3", file}, files: []*os.File{b.net}})
}

// ownListening are the listeners of the bed's own network.
func (b *bed) ownListening() map[string]bool {
	b.t.Helper()
	clients := b.net
	b.net = nil
	defer func() { b.net = clients }()
	return b.listening()
}

func TestActiveWithOneOfItsFrontendsDisabledIsActive(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, sections: `
frontend other
    bind 127.0.0.1:8001
    default_backend be
`})
		old := s.makeResidual(2, 1)
		b.ask(bedDir+"/web-stats.sock", "disable frontend other")
		b.until(func() error {
			if c, err := b.dial("127.0.0.1:8001"); err == nil {
				c.Close()
				return errors.New("the frontend is not disabled")
			}
			return nil
		})
		s.reapsExactly(old...)
		if _, err := b.dial("127.0.0.1:8001"); err == nil {
			t.Error("the frontend is no longer disabled")
		}
	})
}

// With grace an old worker goes on listening for a while after it was told to
// stop, and gets its share of the new connections.
func TestOldWorkerWithinItsGraceIsNeverSignalled(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		with := setup{model: model, global: "    grace 1h\n"}
		if !b.since(2, 5) {
			with = setup{model: model, defaults: "    grace 1h\n"}
		}
		s := b.startService("web", with)
		s.hold(1)
		old := s.active()
		s.startReload()
		b.until(func() error {
			if young := s.active(); young.ProcID == old.ProcID || !young.ready() {
				return errors.New("the new worker is not there")
			}
			return cmp.Or(s.listens(old, true), s.listens(s.active(), true), s.settled())
		})
		before := b.processes()
		a := b.agent("reap", "--deadline", "0s", "--settle", "300ms").exits(0)
		a.finds(old, judgement{judge.RoleStranded, judge.VerdictKeep, judge.ReasonStranded, ""}).finds(s.active(), isActive)
		b.stay(before...)
	})
}

// settled says that the master is still loading.
func (s *service) settled() error {
	if s.model != judge.ModelMasterWorker {
		return nil
	}
	_, err := s.showProc()
	return err
}

// Syslog comes to a bound UDP socket, as a log client has one.
func TestServiceThatReceivesDatagramsHasItsResidualReaped(t *testing.T) {
	receives := func(r release) bool { return r.since(2, 3) }
	inReleases(t, receives, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{model: judge.ModelDaemon, sections: syslog})
		old := s.makeResidual(1, 1)[0]
		udp := b.sockets("udp", 9, func(row []string) bool { return strings.HasSuffix(row[1], ":05EA") })
		if !s.active().holds(udp) {
			t.Fatal("the active receives no datagrams: this shows nothing")
		}
		s.reapsExactly(old)
	})
}

const syslog = `
ring sink
    size 32768
log-forward syslog
    dgram-bind 127.0.0.1:1514
    log ring@sink local0
`

// Who listens to datagrams only is not told from a log client by the kernel.
func TestInstanceThatListensForDatagramsOnlyIsRefused(t *testing.T) {
	receives := func(r release) bool { return r.since(2, 3) }
	inReleases(t, receives, func(t *testing.T, b *bed) {
		s := &service{b: b, setup: setup{model: judge.ModelDaemon, exe: "/usr/sbin/haproxy"}, config: bedDir + "/syslog.cfg"}
		b.write(s.config, "global\n    user haproxy\n    group haproxy\n"+syslog)
		s.launch()
		b.until(func() error {
			if all := s.workers(); len(all) != 1 || !all[0].ready() {
				return errors.New("the daemon is not ready")
			}
			return nil
		})
		before := b.processes()
		b.agent("reap", "--deadline", "0s").exits(0).refuses(s.active(), judge.ReasonNoStreamListener)
		b.stay(before...)
	})
}

// A listener that the service manager opened (bind fd@) is held by the master
// too, and for good.
func TestListenerInheritedFromTheServiceManagerIsTheActivesAndTheMasters(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		var listener *net.TCPListener
		err := b.inside(func() error {
			l, err := net.Listen("tcp4", "127.0.0.1:8000")
			listener, _ = l.(*net.TCPListener)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		file, err := listener.File()
		listener.Close()
		if err != nil {
			t.Fatal(err)
		}
		s := b.startService("web", setup{inherit: []*os.File{file}, text: strings.ReplaceAll(tcpOnly, "bind 127.0.0.1:8000", "bind fd@3")})
		file.Close()
		old := s.makeResidual(2, 1)
		if !s.master().holds(b.listening()) {
			t.Fatal("the master holds no listener: this shows nothing")
		}
		s.reapsExactly(old...).finds(s.master(), isMaster)
	})
}
