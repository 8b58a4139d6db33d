package e2e

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// anybodys is a configuration that any user can run, with a port of his own.
const anybodys = `
global
    user "${RUN_AS}"
    group "${RUN_GROUP}"
    nbthread 2
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend fe
    bind "127.0.0.1:${PORT}"
    default_backend be
backend be
    server s1 BACKEND
`

var asHAProxy = []string{"RUN_AS=haproxy", "RUN_GROUP=haproxy", "PORT=8000"}

// intrude starts HAProxy as a user without privileges: the same binary, the
// same arguments, and a list that names the given processes.
func (s *service) intrude(named ...process) process {
	s.b.t.Helper()
	return s.intrudeAt("8100", named...)
}

// intrudeAt is the same at another port.
func (s *service) intrudeAt(port string, named ...process) process {
	s.b.t.Helper()
	args := s.b.haproxyAs(bedNobody, "/usr/sbin/haproxy", "-D", "-f", s.config)
	if s.model == judge.ModelMasterWorker {
		args = append([]string{"setsid", "--fork"}, s.b.haproxyAs(bedNobody, "/usr/sbin/haproxy", "-W", "-f", s.config)...)
	}
	if len(named) > 0 {
		args = append(args, "-sf")
		for _, p := range named {
			args = append(args, strconv.Itoa(p.PID))
		}
	}
	before := s.b.processes()
	env := []string{"RUN_AS=nobody", "RUN_GROUP=nogroup", "PORT=" + port}
	s.b.run(command{args: args, env: env, log: s.b.log})
	var intruder process
	s.b.until(func() error {
		listening := s.b.listening()
		for _, p := range without(s.b.processes(), before...) {
			if p.uid == bedNobody && p.ready() && p.holds(listening) {
				intruder = p
				return nil
			}
		}
		return errors.New("the look-alike is not there")
	})
	if c, err := s.b.dial("127.0.0.1:" + port); err != nil {
		s.b.t.Fatal("the look-alike does not serve:", err)
	} else {
		c.Close()
	}
	return intruder
}

// The look-alike is the youngest of all, listens, and says that everybody
// before it was told to leave.
func TestLookAlikeOfAnotherUserIsNeitherActiveNorShieldNorTarget(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, text: anybodys, env: asHAProxy})
		old := s.makeResidual(1, 1)[0]
		active := s.active()
		intruder := s.intrude(s.workers()...)
		before := b.processes()
		probe := s.probe()
		a := b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).finds(active, isActive)
		if a.instance(intruder).Name == a.instance(active).Name {
			t.Errorf("the look-alike %v is taken for one of %s", intruder.ProcID, a.instance(active).Name)
		}
		b.stay(without(before, old)...)
		probe.unbroken(b)
	})
}

// With nothing residual there is nothing to terminate, however many processes
// of another user say so.
func TestLookAlikeThatNamesTheActiveDoesNotMakeItResidual(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, text: anybodys, env: asHAProxy})
		active := s.active()
		s.intrude(active)
		before := b.processes()
		probe := s.probe()
		b.agent("reap", "--deadline", "0s").exits(0).finds(active, isActive)
		b.stay(before...)
		probe.unbroken(b)
	})
}

// A program under HAProxy's name and arguments is not HAProxy.
func TestOtherProgramUnderHAProxysNameIsIgnored(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	old := s.makeResidual(1, 1)[0]
	fake := b.start(command{args: []string{"bash", "-c",
		"exec -a /usr/sbin/haproxy sleep 1000"}, uid: bedNobody})
	before := b.processes()
	a := b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated)
	for _, i := range a.report.Instances {
		if slices.ContainsFunc(i.Processes, func(p judge.Process) bool { return slices.Contains(p.Args, "1000") }) {
			t.Errorf("the program is reported in %s", i.Name)
		}
	}
	b.stay(without(before, old)...)
	select {
	case <-fake.done:
		t.Error("the program is gone")
	default:
	}
}
