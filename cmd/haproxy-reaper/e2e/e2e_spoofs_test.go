package e2e

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// A spoof is a way for a user without privileges to have a process that looks
// like the service's youngest. It gets a shell, HAProxy's own arguments with a
// list of everybody before it as "$@", and a directory of its own.
type spoof struct {
	name, script string
	config       string // what its HAProxy binds, where it runs one
	runs         string // what shows in the list of processes once it is there
}

// The eight tricks that were tried on a naive agent (a prctl name, arguments of
// exec -a, the real executable, one mounted over it in a user namespace, the
// same address in a network namespace, the same port of the other family, the
// same port by SO_REUSEPORT, and a delegated cgroup, which the tests under
// systemd show), and a name that breaks parsers.
var spoofs = []spoof{
	{name: "any program copied to the name of HAProxy",
		script: `cp /bin/sleep $PWD/haproxy; exec ./haproxy 1000`, runs: "1000"},
	{name: "HAProxy's name, by prctl",
		script: `printf haproxy >/proc/$$/comm; while :; do read -r line <fifo; done`, runs: "fifo"},
	{name: "a name that ends the field of /proc/PID/stat early",
		script: `printf 'a) Z 1 1 (hap' >/proc/$$/comm; while :; do read -r line <fifo; done`, runs: "fifo"},
	{name: "HAProxy's arguments, by exec -a",
		script: `exec -a /usr/sbin/haproxy sleep 1000`, runs: "1000"},
	{name: "the real executable, with the service's arguments",
		script: `exec /usr/sbin/haproxy "$@"`, config: "127.0.0.1:8100", runs: "-sf"},
	{name: "another executable mounted over the real one",
		script: `cp /bin/sleep other; exec unshare --user --map-root-user --mount sh -c 'mount --bind other /usr/sbin/haproxy && exec /usr/sbin/haproxy 1000'`, runs: "1000"},
	{name: "the real executable on the same address, in a network of its own",
		script: `exec unshare --user --map-root-user --net /usr/sbin/haproxy "$@"`, config: "0.0.0.0:8000", runs: "-sf"},
	{name: "the same port of the other address family",
		script: `exec /usr/sbin/haproxy "$@"`, config: "[::]:8000 v6only", runs: "-sf"},
}

func TestSpoofsChangeNothing(t *testing.T) {
	for _, model := range models {
		for _, sp := range spoofs {
			t.Run(string(model)+"/"+strings.ReplaceAll(sp.name, "/", "_"), func(t *testing.T) {
				t.Parallel()
				b := newBed(t)
				s := b.startService("web", setup{model: model})
				old := s.makeResidual(1, 1)[0]
				fake := s.spoofed(sp)
				before := b.agent("status").exits(0).instance(s.active())
				a := s.reapsExactly(old)
				if got := a.instance(s.active()); len(got.Processes) != len(before.Processes) || got.Name != before.Name || got.Refusal != "" {
					t.Errorf("instance %s has %d processes, refusal %q (%s)", got.Name, len(got.Processes), got.Refusal, got.RefusalDetail)
				}
				for _, i := range a.report.Instances {
					for _, p := range i.Processes {
						if p.UID == bedNobody && (p.Verdict != judge.VerdictKeep || i.Name == a.instance(s.active()).Name) {
							t.Errorf("%v %q: of %q, %s", p.ProcID, p.Args, i.Name, p.Verdict)
						}
					}
				}
				select {
				case <-fake.done:
					t.Errorf("%s is gone: %s", sp.name, fake.stderr.String())
				default:
				}
			})
		}
	}
}

// spoofed starts a spoof and waits until it is what it wants to be.
func (s *service) spoofed(sp spoof) *job {
	s.b.t.Helper()
	dir := bedDir + "/spoof"
	s.b.run(command{args: []string{"sh", "-c", "mkdir " + dir + " && mkfifo " + dir + "/fifo && chown -R 65534:65534 " + dir}})
	// The same path in the arguments, and another configuration behind it: the
	// service has read its own.
	args := []string{"bash", "-c", "cd " + dir + " && " + sp.script, "bash", "-db", "-f", s.config}
	if s.model == judge.ModelMasterWorker {
		args = []string{"bash", "-c", "cd " + dir + " && " + sp.script, "bash", "-W", "-S", dir + "/master.sock", "-f", s.config}
	}
	args = append(args, "-sf")
	for _, p := range s.workers() {
		args = append(args, fmt.Sprint(p.PID))
	}
	if sp.config != "" {
		text := strings.ReplaceAll(tcpOnly, "    user haproxy\n    group haproxy\n", "")
		text = strings.ReplaceAll(text, "127.0.0.1:8000", sp.config)
		s.b.write(s.config, strings.ReplaceAll(text, "BACKEND", "127.0.0.1:9"))
	}
	fake := s.b.start(command{args: args, uid: bedNobody})
	s.b.until(func() error {
		select {
		case <-fake.done:
			s.b.t.Fatalf("%s: %s", sp.name, fake.stderr.String())
		default:
		}
		if sp.config != "" {
			for _, p := range s.b.processes() {
				if p.uid == bedNobody && p.ready() && slices.Contains(p.args, "-sf") {
					return nil
				}
			}
			return errors.New("the spoof is not there")
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", fake.cmd.Process.Pid))
		if err == nil && !strings.Contains(string(text), sp.runs) {
			err = fmt.Errorf("the spoof is still %q", text)
		}
		return err
	})
	return fake
}

// The kernel refuses one user a port that another has by SO_REUSEPORT.
func TestPortOfTheServiceIsNotToBeHadByAnotherUser(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	b.write(bedDir+"/other.cfg", strings.ReplaceAll(strings.ReplaceAll(tcpOnly, "    user haproxy\n    group haproxy\n", ""), "BACKEND", "127.0.0.1:9"))
	job := b.start(command{args: []string{"/usr/sbin/haproxy", "-db", "-f", bedDir + "/other.cfg"}, uid: bedNobody})
	if code := job.wait(t); code == 0 || !strings.Contains(job.stderr.String(), "8000") {
		t.Errorf("exit status %d: %s", code, job.stderr.String())
	}
	s.answers()
}
