package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// service is one HAProxy service of a bed: a frontend that passes connections
// on to a backend which answers what it is sent.
type service struct {
	b *bed
	setup
	config  string                        // path of the configuration
	cli     string                        // master CLI
	clients map[inspect.ProcID][]net.Conn // held, by the process that serves them
	reloads atomic.Int64                  // beginnings and ends of reload: odd amid one
}

// setup says what is not usual about a service.
type setup struct {
	model      judge.Model       // master-worker when empty
	address    string            // of the frontend, host:port or the path of a unix socket; 127.0.0.1:8000 when empty
	backend    string            // host:port; one that sends back what it gets when empty
	global     string            // further lines of the global section
	defaults   string            // further lines of the defaults section
	sections   string            // further sections
	text       string            // the whole configuration instead, in which BACKEND stands for the backend
	files      map[string]string // further files that the configuration needs
	path       string            // of the configuration, as HAProxy's arguments have it; its own path when empty
	flags      []string          // further arguments of HAProxy
	env        []string          // further environment of HAProxy
	foreground bool              // -db in place of -D
	notify     bool              // -Ws in place of -W
	masterCLI  string            // value of an -S before the usual one
	uid        int               // started as this user
	exe        string            // executable; /usr/sbin/haproxy when empty
	container  bool              // in PID, mount and network namespaces of its own
	inherit    []*os.File        // descriptors from 3 on
	wrap       []string          // what runs it
}

// startService starts a service and waits until it serves. The name makes its
// files, so that two in a bed do not share any.
func (b *bed) startService(name string, with setup) *service {
	b.t.Helper()
	with.model = cmp.Or(with.model, judge.ModelMasterWorker)
	with.address = cmp.Or(with.address, "127.0.0.1:8000")
	with.exe = cmp.Or(with.exe, "/usr/sbin/haproxy")
	if with.backend == "" {
		with.backend = b.startBackend()
	}
	s := &service{
		b: b, setup: with,
		config:  bedDir + "/" + name + ".cfg",
		cli:     bedDir + "/" + name + "-master.sock",
		clients: map[inspect.ProcID][]net.Conn{},
	}
	if with.text == "" {
		with.text = s.usual(name)
	}
	b.write(s.config, strings.ReplaceAll(with.text, "BACKEND", with.backend))
	s.config = cmp.Or(with.path, s.config)
	for name, content := range with.files {
		b.write(name, content)
	}
	s.launch()
	b.until(func() error { return s.serving(nil, nil) })
	return s
}

// usual is the configuration of a service that needs no other.
func (s *service) usual(name string) string {
	bind := s.address
	if strings.HasPrefix(bind, "/") {
		bind = "unix@" + bind
	}
	return fmt.Sprintf(`
global
    user haproxy
    group haproxy
    chroot /var/lib/haproxy
    pidfile %[1]s/%[2]s.pid
    maxconn 500
    nbthread 2
    stats socket %[1]s/%[2]s-stats.sock level admin expose-fd listeners
%[3]s
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
%[4]s
frontend fe
    bind %[5]s
    default_backend be
backend be
    server s1 BACKEND
%[6]s
`, bedDir, name, s.global, s.defaults, bind, s.sections)
}

// launch starts HAProxy as a service manager does: with its configuration, and
// to be reparented to process 1.
func (s *service) launch(flags ...string) {
	s.b.t.Helper()
	var detach []string
	args := []string{s.exe, "-D"}
	switch {
	case s.foreground:
		args = []string{s.exe, "-db"}
	case s.model == judge.ModelMasterWorker && s.notify:
		args = []string{s.exe, "-Ws", "-S", s.cli}
	case s.model == judge.ModelMasterWorker:
		args = []string{s.exe, "-W", "-S", s.cli}
	}
	if s.masterCLI != "" {
		args = slices.Insert(args, 2, "-S", s.masterCLI)
	}
	if args[1] != "-D" {
		detach = []string{"setsid", "--fork"}
	}
	args = slices.Concat(s.wrap, detach, s.b.haproxyAs(s.uid, args...), []string{"-f", s.config})
	if s.container {
		args = append([]string{"unshare", "--pid", "--mount", "--fork"}, args[len(detach):]...)
		s.b.start(command{args: slices.Concat(args, s.flags, flags), env: s.env, log: s.b.log, net: true})
		return
	}
	s.b.run(command{args: slices.Concat(args, s.flags, flags), env: s.env, log: s.b.log, files: s.inherit})
}

// members are the processes started with the service's configuration by those
// who run it, master included, oldest first. What carries traffic has a
// generation's identity from the moment it is ready.
func (s *service) members() []process {
	s.b.t.Helper()
	return slices.DeleteFunc(s.b.processes(), func(p process) bool {
		return !slices.Contains(p.args, s.config) || p.uid == bedNobody
	})
}

// master is the service's master process.
func (s *service) master() process {
	s.b.t.Helper()
	var masters []process
	// Amid its re-execution a master has no arguments, and is nobody's.
	s.b.until(func() error {
		if masters = s.masters(); len(masters) == 0 {
			return errors.New("the master is gone")
		}
		return nil
	})
	return masters[0]
}

// masters are the members that no other member is the parent of, none when the
// service has no master.
func (s *service) masters() []process {
	s.b.t.Helper()
	if s.model != judge.ModelMasterWorker {
		return nil
	}
	members := s.members()
	return slices.DeleteFunc(slices.Clone(members), func(p process) bool {
		return slices.ContainsFunc(members, func(q process) bool { return q.PID == p.ppid })
	})
}

// workers are the processes that carry traffic or will, oldest first.
func (s *service) workers() []process {
	s.b.t.Helper()
	masters := s.masters()
	return slices.DeleteFunc(s.members(), func(p process) bool {
		if s.model == judge.ModelMasterWorker {
			return !slices.ContainsFunc(masters, func(m process) bool { return m.PID == p.ppid })
		}
		return p.ppid != 1 // the launcher, a check's child
	})
}

// unit is the name of the instance: that of a daemon, which has no master of root's,
// ends in its user.
func (s *service) unit() string {
	if s.model == judge.ModelDaemon {
		return s.config + "@haproxy"
	}
	return s.config
}

// active is the youngest worker, residual the others, oldest first.
func (s *service) active() process {
	s.b.t.Helper()
	var workers []process
	s.b.until(func() error {
		if workers = s.workers(); len(workers) == 0 {
			return errors.New("no worker is left")
		}
		return nil
	})
	return workers[len(workers)-1]
}

func (s *service) residual() []process {
	s.b.t.Helper()
	workers := s.workers()
	return workers[:max(len(workers)-1, 0)]
}

// serving says what is missing until the service has come to rest with exactly
// these residual processes, and with none of the former workers as its active.
func (s *service) serving(former, residual []inspect.ProcID) error {
	if err := s.restored(former); err != nil {
		return err
	}
	if got := ids(s.residual()); !slices.Equal(got, residual) {
		return fmt.Errorf("residual processes of %s: %v, not %v", s.config, got, residual)
	}
	return nil
}

// restored says what is missing until a reload is over: the youngest worker is
// none of the former ones and listens, the others do not, the master waits.
func (s *service) restored(former []inspect.ProcID) error {
	workers := s.workers()
	if len(workers) == 0 {
		return fmt.Errorf("no worker of %s is there", s.config)
	}
	active := workers[len(workers)-1]
	if slices.Contains(former, active.ProcID) {
		return fmt.Errorf("%v is still the youngest worker of %s", active.ProcID, s.config)
	}
	listening := s.b.listening()
	for _, p := range workers {
		if !p.ready() {
			return fmt.Errorf("%v of %s is not ready", p.ProcID, s.config)
		}
		if p.holds(listening) != (p.ProcID == active.ProcID) {
			return fmt.Errorf("%v of %s listens: %v", p.ProcID, s.config, p.holds(listening))
		}
	}
	if s.model == judge.ModelMasterWorker {
		// A signal may be lost on a master that is not back in its polling loop,
		// where it also answers.
		if _, err := s.showProc(); err != nil {
			return fmt.Errorf("the master of %s still loads: %w", s.config, err)
		}
	}
	return nil
}

// showProc asks the master for its processes.
func (s *service) showProc() (string, error) {
	c, err := s.b.dial(s.cli)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if _, err := io.WriteString(c, "show proc;quit\n"); err != nil {
		return "", err
	}
	text, err := io.ReadAll(c)
	if err == nil && !strings.Contains(string(text), "# workers") {
		err = fmt.Errorf("no workers in %q", text)
	}
	return string(text), err
}

// reload loads the configuration again and waits until the new worker serves
// and of the older ones exactly those are left that hold clients. It returns
// the worker that was the active one before.
func (s *service) reload() process {
	s.b.t.Helper()
	former := s.workers()
	s.reloads.Add(1)
	defer s.reloads.Add(1)
	s.startReload()
	var residual []inspect.ProcID
	for _, p := range former {
		if len(s.clients[p.ProcID]) > 0 {
			residual = append(residual, p.ProcID)
		}
	}
	s.b.until(func() error { return s.serving(ids(former), residual) })
	return former[len(former)-1]
}

// startReload asks for a reload and does not wait for it: SIGUSR2 to the
// master, or another daemon that is told to finish the active one.
func (s *service) startReload() {
	s.b.t.Helper()
	if s.model == judge.ModelMasterWorker {
		s.b.signal(s.master(), "USR2")
		return
	}
	s.launch("-sf", strconv.Itoa(s.active().PID))
}

// loading says that no reload has come to its configuration: up to 3.0 the
// master loads it, and holds its signals back meanwhile, from 3.1 on the new
// worker does.
func (s *service) loading() error {
	for _, p := range s.members() {
		if !p.ready() && slices.Contains(p.args, "-sf") && (p.ppid == 1) != s.b.parsesInWorker() {
			return nil
		}
	}
	return fmt.Errorf("nobody loads %s", s.config)
}

// pause makes the active worker stop listening for the time being, as a
// reload does that cannot bind. HAProxy survives it with TCP listeners only.
func (s *service) pause() process {
	s.b.t.Helper()
	active := s.active()
	s.b.signal(active, "TTOU")
	s.b.until(func() error { return s.listens(active, false) })
	return active
}

// resume ends a pause.
func (s *service) resume() {
	s.b.t.Helper()
	active := s.active()
	s.b.signal(active, "TTIN")
	s.b.until(func() error { return s.listens(active, true) })
}

// listens says that a worker is not there, or does not listen as wanted.
func (s *service) listens(worker process, want bool) error {
	listening := s.b.listening()
	for _, p := range s.workers() {
		if p.ProcID == worker.ProcID {
			if p.holds(listening) != want {
				return fmt.Errorf("%v listens: %v", p.ProcID, !want)
			}
			return nil
		}
	}
	return fmt.Errorf("%v is gone", worker.ProcID)
}

// makeResidual opens connections and reloads, n times: n residual processes,
// each with so many clients, oldest first.
func (s *service) makeResidual(n, clients int) []process {
	s.b.t.Helper()
	for range n {
		s.hold(clients)
		s.reload()
	}
	residual := s.residual()
	if len(residual) < n {
		s.b.t.Fatalf("%d residual processes, want %d", len(residual), n)
	}
	return residual
}

// tcpOnly is a configuration without any socket but the frontend's.
const tcpOnly = `
global
    user haproxy
    group haproxy
    nbthread 2
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend fe
    bind 127.0.0.1:8000
    default_backend be
backend be
    server s1 BACKEND
`
