package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Whoever runs HAProxy with the service's file, before the service or beside it, takes
// neither its name nor a termination from it: an operator's --instance goes on to mean
// the service.
func TestTheServicesNameIsNotToBeHadByAnotherUser(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		with := setup{model: model, text: anybodys, env: asHAProxy}
		before := &service{b: b, setup: setup{model: model}, config: bedDir + "/web.cfg"}
		b.write(before.config, strings.ReplaceAll(anybodys, "BACKEND", "127.0.0.1:9"))
		name := before.unit()
		before.intrudeAt("8101")
		b.passAsShipped("reap", "--deadline", "0s")
		s := b.startService("web", with)
		s.intrudeAt("8102")
		old := s.makeResidual(1, 1)[0]
		processes := b.processes()
		a := b.passAsShipped("reap", "--deadline", "0s", "--instance", name).exits(0).finds(old, isTerminated)
		if got := a.instance(s.active()).Name; got != name {
			t.Errorf("the service is %q, and alone %q", got, name)
		}
		b.stay(without(processes, old)...)
		text := b.read(bedState + "/reaper.prom")
		for _, want := range []string{
			fmt.Sprintf("haproxy_reaper_terminated_processes_total{unit=%q} 1\n", name),
			fmt.Sprintf("haproxy_reaper_stranger{unit=%q} 0\n", name),
		} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
		b.passAsShipped("reap", "--deadline", "0s", "--instance", "web.cfg").exits(0).says("no instance has the name")
	})
}

// More processes than a state has room for, of long names that JSON makes longer: the
// deadline of an old daemon that nothing names counts from when a pass first saw it,
// and comes.
func TestStrangersWithLongNamesDelayNoDeadlineAndTakeNoSeries(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.write(bedDir+"/web.cfg", strings.ReplaceAll(holding, "BIND", `"${ADDRESS}"`))
	s := served{b, namesakes{uid: [2]int{uidOf(t, "haproxy"), 0}, address: [2]string{"127.0.0.1:8000", ""}}, 0}
	old := s.brings()
	s.hold()
	b.until(func() error { return b.age(old, oldEnough) })
	active := s.brings()
	b.signal(old, "USR1")
	b.until(func() error { return b.silent(old) })

	const strangers, read = 3600, 256
	program := bedDir + "/haproxy"
	if out, err := exec.Command("gcc", "-Wall", "-Werror", "-static", "-O1", "-o", b.path(program), filepath.Join("testdata", "strangers.c")).CombinedOutput(); err != nil {
		t.Fatalf("build the strangers: %v\n%s", err, out)
	}
	b.run(command{args: []string{"env", program, "many", strconv.Itoa(strangers)}, uid: bedNobody})

	var a *answer
	b.until(func() error {
		a = b.passAsShipped("reap", "--deadline", "2s").exits(0)
		if p := a.process(old); p.Outcome != judge.OutcomeTerminated {
			return fmt.Errorf("%s, residual for %v s", p.Role, *p.ResidualSeconds)
		}
		return nil
	})
	// A look reads strangers for a second at most, which is too short on a busy machine.
	all := fmt.Sprintf("haproxy_reaper_stranger_instances %d\n", read)
	b.until(func() error {
		if strings.Contains(b.read(bedState+"/reaper.prom"), all) {
			return nil
		}
		b.passAsShipped("reap", "--deadline", "2s").exits(0)
		return fmt.Errorf("not all of %d strangers were read in time", read)
	})
	t.Logf("a pass over %d strangers: %v of CPU", strangers, a.cmd.ProcessState.UserTime()+a.cmd.ProcessState.SystemTime())
	if strings.Contains(a.stderr.String(), "start again") {
		t.Error("the state was reset")
	}
	name := a.instance(active).Name
	text := b.read(bedState + "/reaper.prom")
	for _, want := range []string{
		fmt.Sprintf("haproxy_reaper_terminated_processes_total{unit=%q} 1\n", name),
		fmt.Sprintf("haproxy_reaper_active_confirmed{unit=%q} 1\n", name),
		"haproxy_reaper_stranger{unit=\"(others)\"} 1\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
}
