package reaper_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

const attackConfig = "/etc/haproxy/haproxy.cfg"

// A process that is only shown in an instance does not make its user one of the instance.
func TestTheUserOfAProcessThatIsOnlyShownStaysAStranger(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *fakehost.World)
	}{
		{"starting", func(w *fakehost.World) {
			p := fakehost.Daemon(w, attackConfig, 301, ticks(time.Second), nil)
			p.UID, p.Masks = 5001, fakehost.StartingMasks
		}},
		{"unreadable", func(w *fakehost.World) {
			fakehost.Daemon(w, "/x.cfg", 301, ticks(time.Second), nil).UID = 5001
			w.Before = func(_ int, _, about string) error {
				if about == "/proc/301/cmdline" {
					return unix.EIO
				}
				return nil
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fakehost.New()
			ordinary(w)
			fakehost.Daemon(w, attackConfig, 201, ticks(50*time.Minute), nil)
			fakehost.Daemon(w, "/x.cfg", 300, ticks(40*time.Minute), nil).UID = 5001
			fakehost.Daemon(w, attackConfig, 202, ticks(10*time.Minute), []int{201, 300}, fakehost.Listen(443))
			tt.change(w)
			r := look(t, w)
			if r.Instances[0].Refusal != "" {
				t.Errorf("refused: %s %s; %v", r.Instances[0].Refusal, r.Instances[0].RefusalDetail, roles(r))
			}
		})
	}
}

// Masters of one configuration whose workers share an address (SO_REUSEPORT) are two instances.
func TestTwinMastersAreTwoInstances(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	a := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
	a.Worker(101, ticks(49*time.Minute), nil, fakehost.Listen(443))
	b := fakehost.NewService(w, "haproxy", 200, ticks(40*time.Minute))
	b.Worker(201, ticks(39*time.Minute), nil, fakehost.Listen(443))
	r := look(t, w)
	for _, in := range r.Instances {
		t.Logf("%s %s refusal %q", in.Name, in.Model, in.Refusal)
		for _, p := range in.Processes {
			t.Logf("  %d %s %v", p.PID, p.Role, p.Evidence)
		}
	}
	if e := process(t, r, 100).Evidence; len(e) > 0 {
		t.Errorf("the twin's master has evidence %q", e)
	}
}

// HAProxy closes an abstract listener when it pauses it. It opens it anew when it resumes.
func TestAConnectionOnAnAbstractSocketTellsNoStop(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	abns := func(peer string, listening bool) fakehost.Socket {
		s := fakehost.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, Local: "@haproxy", Listening: listening, Inode: 77}
		if !listening {
			s.Peer, s.Inode = peer, 78
		}
		return s
	}
	fakehost.Daemon(w, attackConfig, 201, ticks(50*time.Minute), nil, abns("@peer", false))
	fakehost.Daemon(w, attackConfig, 202, ticks(10*time.Minute), nil, abns("", true))
	r := look(t, w)
	if got := process(t, r, 201); got.Role == judge.RoleResidual {
		t.Errorf("201 is %s by %v", got.Role, got.Evidence)
	}
}

// What is remembered joins no instance whose owner could not tell the process.
func TestWhatIsRememberedJoinsNoInstanceOfAnotherSide(t *testing.T) {
	own := uint32(fakehost.UIDHAProxy)
	for _, kind := range []string{"daemon", "master"} {
		t.Run(kind, func(t *testing.T) {
			w := fakehost.New()
			ordinary(w)
			var s *fakehost.Service
			switch kind {
			case "daemon":
				fakehost.Daemon(w, "/x.cfg", 201, ticks(50*time.Minute), nil, fakehost.Client(8080, 1, 0)).NetNS = 4711
			case "master":
				s = fakehost.NewService(w, "x", 200, ticks(55*time.Minute))
				s.Master.NetNS = 4711
				s.Worker(201, ticks(50*time.Minute), nil, fakehost.Client(8080, 1, 0)).NetNS = 4711
			}
			v := fakehost.NewService(w, "victim", 300, ticks(50*time.Minute))
			v.Worker(301, ticks(49*time.Minute), nil, fakehost.Client(443, 1, 0)).UID = 7
			v.Worker(302, ticks(10*time.Minute), []int{301}, fakehost.Listen(443)).UID = 7
			p := pass(t, w)
			heir := judge.Heir{NSPID: 302}
			heir.PID, heir.StartTicks = 302, ticks(10*time.Minute)
			id := judge.Process{}.ProcID
			id.PID, id.StartTicks = 201, ticks(50*time.Minute)
			p.Memory, p.MemoryOwner = judge.Memory{id: {Told: true, Heir: heir}}, &own
			r, err := p.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, in := range r.Instances {
				if in.Refusal != "" {
					for _, q := range in.Processes {
						if q.PID == 302 {
							t.Errorf("the victim is refused: %s", in.RefusalDetail)
						}
					}
				}
			}
		})
	}
}

func timed(t *testing.T, w *fakehost.World) {
	t.Helper()
	began := time.Now()
	look(t, w)
	t.Logf("a look took %v", time.Since(began))
	if time.Since(began) > 5*time.Second {
		t.Errorf("a look took %v", time.Since(began))
	}
}

// A list of pids costs what its length is, whatever it repeats.
func TestALongListCostsLittle(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	junk := append(strings.Fields(strings.Repeat("1 ", 200000)), strings.Fields(strings.Repeat("301 ", 100000))...)
	fakehost.Daemon(w, "/x.cfg", 301, ticks(50*time.Minute), nil, fakehost.Client(8080, 1, 0))
	for i := range 2 {
		p := fakehost.Daemon(w, "/x.cfg", 302+i, ticks(40*time.Minute)+uint64(i), nil, fakehost.Listen(8080))
		p.Args = append([]string{"haproxy", "-D", "-f", "/x.cfg", "-sf"}, junk...)
	}
	timed(t, w)
}

// Arguments are not written out anew for each socket.
func TestManySocketsOfLongArgumentsCostLittle(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	var sockets []fakehost.Socket
	for i := range 5000 {
		s := fakehost.Listen(1000 + i)
		s.Blocking = true
		sockets = append(sockets, s)
	}
	sockets = append(sockets, fakehost.Listen(80))
	p := fakehost.Daemon(w, "/x.cfg", 302, ticks(40*time.Minute), nil, sockets...)
	p.Args = []string{"haproxy", "-D", "-f", strings.Repeat("x", 1<<19)}
	timed(t, w)
}

// Arguments are not parsed anew for each pair of processes.
func TestManyStartingProcessesCostLittle(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	for i := range 500 {
		p := fakehost.Daemon(w, fmt.Sprintf("/x%d.cfg", i), 1000+i, ticks(40*time.Minute)+uint64(i), nil, fakehost.Listen(1000+i))
		q := fakehost.Daemon(w, "/y.cfg", 5000+i, ticks(30*time.Minute)+uint64(i), nil)
		q.Masks = fakehost.StartingMasks
		for j := range 50 {
			p.Args = append(p.Args, "-f", fmt.Sprint("a", j))
			q.Args = append(q.Args, "-f", fmt.Sprint("a", j))
		}
	}
	timed(t, w)
}
