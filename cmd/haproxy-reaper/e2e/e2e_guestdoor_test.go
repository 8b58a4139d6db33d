package e2e

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// The master CLI is a guest's door: it takes ten connections. In released versions
// of HAProxy a request to a worker that does not answer keeps one of them
// (haproxy/haproxy#3351), and reload tools and probes need them as well.

// guestDoor is a master CLI that the agent as shipped may use.
const guestDoor = bedDir + "/guest.sock,mode,666"

// looks are what a person or a timer runs, again and again.
var looks = [][]string{{"reap", "--dry-run", "--deadline", "0s"}, {"status"}, {"status", "--clients"}, {"check"}}

func TestMasterCLIOutlivesSixtyLooksAtAStoppedResidual(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{masterCLI: guestDoor})
		old := s.makeResidual(2, 1)[0]
		b.signal(old, "STOP")
		b.until(func() error { return b.isInState(old, 'T') })
		for n := range 60 {
			a := b.asShipped(looks[n%len(looks)]...)
			if n%len(looks) != 3 {
				in := a.exits(0).instance(s.active())
				if !slices.Contains(in.Witnesses, "cli") || !strings.Contains(in.CLIError, fmt.Sprintf("no answer of %d (not asked: it is stopped)", old.PID)) {
					t.Fatalf("look %d is checked by %q, and the error is %q", n, in.Witnesses, in.CLIError)
				}
			}
			if _, err := s.showProc(); err != nil {
				t.Fatalf("after %d looks the master CLI does not answer: %v", n+1, err)
			}
		}
		b.until(func() error { return s.holdsOpen(0) })
		b.until(func() error { return b.isInState(old, 'T') })
	})
}

// Wedged workers that are not stopped are asked once each, and not more than three,
// though these looks keep no state.
func TestMasterCLIOutlivesLooksAtWorkersThatDoNotAnswer(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{masterCLI: guestDoor, global: "nbthread 1\nstats timeout 1h"})
		var wedge []func()
		for range 4 {
			wedge = append(wedge, s.wedgeable())
			s.makeResidual(1, 1)
		}
		for _, f := range wedge {
			f()
		}
		for n := range 20 {
			in := b.asShipped(looks[n%3]...).exits(0).instance(s.active())
			if in.CLIError == "" {
				t.Fatalf("look %d does not say that workers did not answer", n)
			}
			if _, err := s.showProc(); err != nil {
				t.Fatalf("after %d looks the master CLI does not answer: %v", n+1, err)
			}
		}
		b.until(func() error { return s.holdsOpen(3) })
	})
}

// A pass that keeps a state asks such a worker once.
func TestWorkerThatDoesNotAnswerIsAskedOnceInItsLife(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{masterCLI: guestDoor, global: "nbthread 1\nstats timeout 1h"})
		wedge := s.wedgeable()
		old := s.makeResidual(1, 1)[0]
		wedge()
		pass := []string{"reap", "--dry-run", "--deadline", "0s", "--state-dir", bedState}
		for _, why := range []string{"none within 1s", "not asked: it did not answer before", "not asked: it did not answer before"} {
			in := b.asShipped(pass...).exits(0).finds(old, wouldTerminate).instance(old)
			if want := fmt.Sprintf("master CLI: no answer of %d (%s)", old.PID, why); in.CLIError != want {
				t.Errorf("the error is %q, want %q", in.CLIError, want)
			}
		}
		b.until(func() error { return s.holdsOpen(1) })
		b.asShipped("reap", "--deadline", "0s", "--kill-after", "1s", "--state-dir", bedState)
		b.until(func() error { return b.gone(old) })
		b.until(func() error { return s.holdsOpen(0) }) // the master has its connection back
		if text := b.read("/run/state/state.json"); strings.Contains(text, old.String()) {
			t.Errorf("the state still knows %v: %s", old.ProcID, text)
		}
	})
}

// The agent has privileges that a stranger lacks. It connects to nothing that a
// stranger's arguments name.
func TestNothingThatAStrangersMasterNamesIsConnectedTo(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	old := s.makeResidual(1, 1)[0]
	var connections atomic.Int64
	count := func(c net.Conn) { connections.Add(1) }
	secret := b.serveUnix(bedDir+"/secret", count) // behind a directory of root's
	address := b.serve(count)
	for i, named := range []string{bedDir + "/fake/link", "unix@link", secret, address, "ipv4@" + address} {
		b.fakeMaster(i, bedNobody, secret, named)
	}
	for _, args := range append(slices.Clone(looks), []string{"reap", "--deadline", "0s", "--state-dir", bedState}) {
		a := b.asShipped(args...)
		if args[0] == "check" {
			continue
		}
		a.exits(0)
		kept := 0
		for _, in := range a.report.Instances {
			if strings.Contains(in.CLIError, "master CLI not asked: the master runs as nobody, which is neither root nor the user of this program") {
				kept++
			}
		}
		if kept != 5 {
			t.Errorf("%q: %d instances say why their master is not asked, want 5", args, kept)
		}
	}
	b.until(func() error { return b.gone(old) })
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections to what a stranger named", n)
	}
}

// Of its own user there may be a worker that was taken over. It cannot reach further
// with the agent than without it.
func TestNothingOfAnotherUserThatAMasterOfOurOwnUserNamesIsConnectedTo(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.startService("web", setup{})
	var connections atomic.Int64
	count := func(c net.Conn) { connections.Add(1) }
	secret := b.serveUnix(bedDir+"/secret", count)
	address := b.serve(count)
	whys := []string{"belongs to another user than the master", "belongs to another user than the master", "is not seen to listen at"}
	for i, named := range []string{bedDir + "/fake/link", secret, address} {
		b.fakeMaster(i, uidOf(t, "haproxy"), secret, named)
	}
	a := b.asShipped("status").exits(0)
	for _, why := range whys {
		if !slices.ContainsFunc(a.report.Instances, func(in judge.Instance) bool { return strings.Contains(in.CLIError, why) }) {
			t.Errorf("no instance says %q", why)
		}
	}
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections to what it named", n)
	}
}

// A worker of the service may write where its master's socket is. What it puts there
// gets no question.
func TestSocketInPlaceOfTheMastersGetsNoQuestion(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	var questions atomic.Int64
	secret := b.serveUnix(bedDir+"/secret", func(c net.Conn) {
		if n, _ := c.Read(make([]byte, 1)); n > 0 {
			questions.Add(1)
		}
	})
	b.run(command{args: []string{"sh", "-c", "rm " + s.cli + " && ln -s " + secret + " " + s.cli}})
	in := b.agent("status").exits(0).instance(s.active())
	if n := questions.Load(); n > 0 || !strings.Contains(in.CLIError, "belongs to process") && !strings.Contains(in.CLIError, "runs as another user") {
		t.Errorf("%d questions, and the error is %q", n, in.CLIError)
	}
}

// isInState says that a process is not in a state of proc(5).
func (b *bed) isInState(p process, state byte) error {
	for _, q := range b.processes() {
		if q.ProcID == p.ProcID && q.state == state {
			return nil
		}
	}
	return fmt.Errorf("%v is not in state %c", p.ProcID, state)
}

// holdsOpen says that the master has more connections of its CLI open: connected unix
// sockets with a name.
func (s *service) holdsOpen(most int) error {
	s.b.t.Helper()
	named := s.b.sockets("unix", 6, func(row []string) bool { return len(row) > 7 && row[3] == "00000000" })
	n := 0
	for _, inode := range s.master().inodes {
		if named[inode] {
			n++
		}
	}
	if n > most {
		return fmt.Errorf("the master has %d connections open, more than %d", n, most)
	}
	return nil
}

// wedgeable opens a session on the active's own CLI, and returns what wedges that
// process from then on, with its only thread asleep for ten minutes.
func (s *service) wedgeable() (wedge func()) {
	s.b.t.Helper()
	active := s.active()
	c, err := s.b.dial(strings.TrimSuffix(s.cli, "-master.sock") + "-stats.sock")
	if err != nil {
		s.b.t.Fatal(err)
	}
	s.b.t.Cleanup(func() { c.Close() })
	send := func(text string) {
		s.b.t.Helper()
		c.SetDeadline(time.Now().Add(bedPatience))
		if _, err := c.Write([]byte(text)); err != nil {
			s.b.t.Fatal(err)
		}
	}
	send("prompt\n")
	if _, err := c.Read(make([]byte, 100)); err != nil {
		s.b.t.Fatal(err)
	}
	return func() {
		s.b.t.Helper()
		send("expert-mode on\ndebug dev delay 600000\n")
		s.b.until(func() error {
			in, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", s.b.outside(active)))
			if err == nil && !strings.Contains(string(in), "nanosleep") {
				err = fmt.Errorf("the worker waits in %q", in)
			}
			return err
		})
	}
}

// serveUnix serves a unix socket in a directory that only root may enter, until the
// test ends.
func (b *bed) serveUnix(dir string, each func(net.Conn)) (path string) {
	b.t.Helper()
	path = dir + "/socket"
	var listener net.Listener
	err := b.inside(func() (err error) {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if listener, err = net.Listen("unix", path); err != nil {
			return err
		}
		return os.Chmod(path, 0o777)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			each(c)
			c.Close()
		}
	}()
	b.t.Cleanup(func() { listener.Close(); <-done })
	return path
}

// fakeMaster starts a program of a user's that looks like a master with a worker: a
// shell under HAProxy's name, with a master's signal handlers and these arguments. A
// link beside it leads to a secret.
func (b *bed) fakeMaster(n, uid int, secret, named string) {
	b.t.Helper()
	dir := fmt.Sprintf("%s/fake%d", bedDir, n)
	named = strings.Replace(named, bedDir+"/fake/", dir+"/", 1)
	script := `
worker() { trap : USR1 TTIN TTOU; trap - TERM; while :; do read -r line <>fifo; done; }
trap : TERM CHLD USR1 TTIN TTOU
worker &
while :; do read -r line <>fifo; done
`
	b.ownedBy(uid, dir)
	b.run(command{args: []string{"sh", "-c", fmt.Sprintf("cp /bin/bash %[1]s/haproxy && mkfifo -m 666 %[1]s/fifo && ln -s %[2]s %[1]s/link", dir, secret)}})
	b.write(dir+"/script", script)
	b.start(command{args: []string{"sh", "-c", fmt.Sprintf("cd %s && exec ./haproxy script -W -f fake%d.cfg -S %s", dir, n, named)}, uid: uint32(uid), log: b.log})
	b.until(func() error {
		there := 0
		for _, p := range b.processes() {
			if p.ready() && slices.Contains(p.args, named) && slices.Contains(p.args, fmt.Sprintf("fake%d.cfg", n)) {
				there++
			}
		}
		if there != 2 {
			return fmt.Errorf("%d processes of the fake service are ready", there)
		}
		return nil
	})
}
