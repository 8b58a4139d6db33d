package inspect_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// asking is a host with a master, 100, that answers this, and two workers, of
// which 102 is starting.
func asking(t *testing.T, answers map[string]string) (*inspect.Host, inspect.Snapshot, []*inspect.Process) {
	t.Helper()
	w := fakehost.New()
	s := fakehost.NewService(w, "haproxy", 100, 1000)
	s.Master.CLI = answers
	s.Worker(101, 1100, nil)
	s.Worker(102, 1200, []int{101}).Masks = fakehost.ReloadingMasks
	h := inspect.NewHost(w, []string{"haproxy"})
	t.Cleanup(h.Close)
	snapshot, err := h.Observe(t.Context())
	if err != nil || len(snapshot.Processes) != 3 {
		t.Fatal(snapshot.Processes, err)
	}
	return h, snapshot, snapshot.Processes
}

const showProc = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n" +
	"100             master          2               0d01h00m00s     2.6.12\n# workers\n101             worker          1               0d00h10m00s     2.6.12\n\n"

func TestAMasterTellsHowManyReloadsItsWorkersHaveSeen(t *testing.T) {
	h, s, all := asking(t, map[string]string{"show proc": showProc})
	got, err := h.AskReloads(t.Context(), s, all[0], "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(inspect.MasterAnswer{Version: "2.6.12", Reloads: map[int]int{101: 1}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := h.AskReloads(t.Context(), s, all[0], "none"); !errors.Is(err, inspect.ErrNoCLI) {
		t.Errorf("none shall be asked: %v", err)
	}

	h, s, all = asking(t, nil)
	if got, err := h.AskReloads(t.Context(), s, all[0], ""); err == nil || errors.Is(err, inspect.ErrNoCLI) {
		t.Errorf("nobody answers: %v, %v", got, err)
	}
	h, s, all = asking(t, map[string]string{"show proc": "Permission denied\n\n"})
	if got, err := h.AskReloads(t.Context(), s, all[0], ""); err == nil || errors.Is(err, inspect.ErrNoCLI) {
		t.Errorf("it lets us ask nothing: %v, %v", got, err)
	}
	all[0].NSPID = 77
	h, s, _ = asking(t, map[string]string{"show proc": showProc})
	if got, err := h.AskReloads(t.Context(), s, all[0], ""); !errors.Is(err, inspect.ErrNoCLI) {
		t.Errorf("the answer of another master: %v, %v", got, err)
	}
}

func TestAMasterTellsSinceWhenTheClientsOfItsReadyWorkersAreThere(t *testing.T) {
	const info = "Pid: 101\nStopping: 1\nCurrConns: 1\n\n"
	ask := func(answers map[string]string, socket string) ([]*inspect.Process, error) {
		h, s, all := asking(t, answers)
		return all, h.AskMaster(t.Context(), s, all[0], inspect.Questions{Workers: all[1:], Sessions: all[1:]}, socket)
	}
	whole := map[string]string{
		"show proc": showProc, "@!101 show info": info,
		"@!101 show sess": "0x1: proto=tcpv4 src=10.0.0.1:1 age=10m\n\n", "@!102 show sess": "0x1: proto=tcpv4 src=10.0.0.2:2 age=10m\n\n",
	}
	all, err := ask(whole, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := all[1].Sessions[netip.MustParseAddrPort("10.0.0.1:1")]; got != 10*time.Minute || len(all[1].Sessions) != 1 {
		t.Errorf("of the ready one: %v", all[1].Sessions)
	}
	if all[2].Sessions != nil || all[2].CLI != nil {
		t.Errorf("one that starts was asked: %v", all[2].Sessions)
	}
	if _, err := ask(whole, "none"); !errors.Is(err, inspect.ErrNoCLI) {
		t.Errorf("none shall be asked: %v", err)
	}

	var unasked *inspect.UnaskedError
	all, err = ask(map[string]string{"show proc": showProc, "@!101 show info": info, "@!101 show sess": "Permission denied\n\n"}, "")
	if !errors.As(err, &unasked) || all[1].Sessions != nil {
		t.Errorf("it lets us ask nothing: %v, %v", all[1].Sessions, err)
	}
	all, err = ask(nil, "")
	if err == nil || errors.As(err, &unasked) || all[1].Sessions != nil {
		t.Errorf("nobody answers: %v, %v", all[1].Sessions, err)
	}
}

// counting counts the connections that are made, and may change what is connected to.
type counting struct {
	*fakehost.World
	dials      int
	mode, user uint32 // of the socket, 0 for its own
	listener   int    // pid of who listens, 0 for the master
	opened     string // the path that was opened, with its root
}

func (c *counting) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	c.dials++
	return c.World.Dial(ctx, network, address)
}

func (c *counting) OpenIn(root, path string) (int, error) {
	c.opened = root + " " + path
	if root == "" {
		root = "/proc/100/root"
	}
	return c.World.OpenIn(root, path)
}

func (c *counting) ModeAndOwner(fd int) (mode, uid uint32, err error) {
	mode, uid, err = c.World.ModeAndOwner(fd)
	return cmp.Or(c.mode, mode), cmp.Or(c.user, uid), err
}

func (c *counting) PeerCred(conn net.Conn) (int, uint32, error) {
	pid, uid, err := c.World.PeerCred(conn)
	return cmp.Or(c.listener, pid), uid, err
}

// reloaded is a service of a master, 100, two old workers, 101 and 102, and the
// active, 103; all answer.
func reloaded() (*counting, *fakehost.Service) {
	w := &counting{World: fakehost.New()}
	s := fakehost.NewService(w.World, "haproxy", 100, 1000)
	s.Worker(101, 1100, nil)
	s.Worker(102, 1200, []int{101})
	s.Worker(103, 1300, []int{102})
	s.Answer(map[int]bool{101: true, 102: true, 103: false})
	return w, s
}

// pass looks so many times as one pass and tells who answered in the last look, and
// the error.
func pass(t *testing.T, w *counting, looks int, before func(*inspect.Host)) (answered []int, silent []inspect.ProcID, err error) {
	t.Helper()
	h := inspect.NewHost(w, []string{"haproxy"})
	defer h.Close()
	if before != nil {
		before(h)
	}
	for range looks {
		s, lookErr := h.Observe(t.Context())
		if lookErr != nil {
			t.Fatal(lookErr)
		}
		answered = nil
		all := s.Processes
		err = h.AskMaster(t.Context(), s, all[0], inspect.Questions{Workers: all[1:]}, "")
		for _, p := range all[1:] {
			if p.CLI != nil {
				answered = append(answered, p.PID)
			}
		}
	}
	return answered, h.Silent(), err
}

func TestALookMakesOneConnectionForAllWorkers(t *testing.T) {
	w, _ := reloaded()
	got, silent, err := pass(t, w, 1, nil)
	if !slices.Equal(got, []int{101, 102, 103}) || err != nil || silent != nil || w.dials != 1 {
		t.Errorf("%v answered, silent are %v, over %d connections: %v", got, silent, w.dials, err)
	}
}

// A question to a worker that is stopped may cost the master a connection for ever.
func TestAProcessThatCannotAnswerIsNotAsked(t *testing.T) {
	for state, why := range map[byte]string{'T': "101 (not asked: it is stopped)", 't': "101 (not asked: it is held by a debugger", 'D': "101 (not asked: it is blocked in the kernel"} {
		w, s := reloaded()
		w.Change(func() {
			s.Master.CLI["@!101 show info"] = fakehost.Silence
		})
		s.Worker(101, 1100, nil).State = state
		got, silent, err := pass(t, w, 1, nil)
		var unasked *inspect.UnaskedError
		if !slices.Equal(got, []int{102, 103}) || silent != nil || !errors.As(err, &unasked) || !strings.Contains(err.Error(), why) {
			t.Errorf("in state %c: %v answered, silent are %v: %v", state, got, silent, err)
		}
	}
	w, s := reloaded()
	w.Change(func() { s.Master.State = 'T' })
	if _, _, err := pass(t, w, 3, nil); w.dials != 0 || !strings.Contains(err.Error(), "the master is stopped") {
		t.Errorf("a stopped master: %d connections, %v", w.dials, err)
	}
}

// The state that the look read is old: it is read again right before the question.
func TestTheStateIsReadRightBeforeTheQuestion(t *testing.T) {
	w, s := reloaded()
	old := s.Worker(101, 1100, nil)
	w.Before = func(_ int, call, _ string) error {
		if call == "Dial" {
			w.Change(func() { old.State, s.Master.CLI["@!101 show info"] = 'T', fakehost.Silence })
		}
		return nil
	}
	if got, silent, err := pass(t, w, 1, nil); !slices.Equal(got, []int{102, 103}) || silent != nil || !strings.Contains(fmt.Sprint(err), "101 (not asked: it is stopped") {
		t.Errorf("%v answered, silent are %v: %v", got, silent, err)
	}
}

// One that stops between the two is asked once. Those after it are asked by the next
// look, and it is not, in no pass that knows of it.
func TestAWorkerThatDoesNotAnswerIsAskedOnce(t *testing.T) {
	w, s := reloaded()
	w.Change(func() { s.Master.CLI["@!102 show info"] = fakehost.Silence })
	id := inspect.ProcID{PID: 102, StartTicks: 1200}
	got, silent, err := pass(t, w, 1, nil)
	if !slices.Equal(got, []int{103}) || !slices.Equal(silent, []inspect.ProcID{id}) || !strings.Contains(fmt.Sprint(err), "102 (none within 1s), 101 (not asked after that)") {
		t.Errorf("the first look: %v answered, silent are %v: %v", got, silent, err)
	}
	got, silent, err = pass(t, w, 3, nil)
	if !slices.Equal(got, []int{101, 103}) || !slices.Equal(silent, []inspect.ProcID{id}) || !strings.Contains(fmt.Sprint(err), "102 (not asked: it did not answer before)") {
		t.Errorf("the third look: %v answered, silent are %v: %v", got, silent, err)
	}
	began := time.Now()
	got, silent, _ = pass(t, w, 1, func(h *inspect.Host) { h.Spare(id); h.Spare(inspect.ProcID{PID: 7, StartTicks: 7}) })
	if !slices.Equal(got, []int{101, 103}) || !slices.Equal(silent, []inspect.ProcID{id}) || time.Since(began) > time.Second/2 {
		t.Errorf("a later pass: %v answered, silent are %v, after %v", got, silent, time.Since(began))
	}
}

// A master hangs up when it is asked about a worker that it does not know.
func TestAWorkerThatTheMasterDoesNotListIsAskedLast(t *testing.T) {
	w, s := reloaded()
	s.Answer(map[int]bool{101: true, 103: false})
	if got, silent, err := pass(t, w, 1, nil); !slices.Equal(got, []int{101, 103}) || silent != nil || !strings.Contains(fmt.Sprint(err), "102 (the master hung up)") {
		t.Errorf("%v answered, silent are %v: %v", got, silent, err)
	}
}

func TestAMasterThatDoesNotAnswerIsAskedOnceAPass(t *testing.T) {
	w, s := reloaded()
	w.Change(func() { s.Master.CLI["show proc"] = fakehost.Silence })
	if _, silent, err := pass(t, w, 5, nil); w.dials != 1 || silent != nil || !strings.Contains(fmt.Sprint(err), "a moment ago") {
		t.Errorf("%d connections, silent are %v: %v", w.dials, silent, err)
	}
}

// stalling never comes to the end of a path, or of a connection.
type stalling struct {
	*counting
	in      string
	release chan struct{}
}

func (s *stalling) OpenIn(root, path string) (int, error) {
	s.wait("OpenIn")
	return s.counting.OpenIn(root, path)
}

func (s *stalling) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	s.wait("Dial")
	return s.counting.Dial(ctx, network, address)
}

func (s *stalling) wait(call string) {
	if call == s.in {
		<-s.release
	}
}

// A path may lead to a file system that does not answer, and a queue may be full.
func TestAMasterThatCannotBeReachedCostsASecondOnceAPass(t *testing.T) {
	for _, call := range []string{"OpenIn", "Dial"} {
		t.Run(call, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := reloaded()
				k := &stalling{counting: w, in: call, release: make(chan struct{})}
				h := inspect.NewHost(k, []string{"haproxy"})
				s, err := h.Observe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				for range 5 {
					err = h.AskMaster(t.Context(), s, s.Processes[0], inspect.Questions{Workers: s.Processes[1:]}, "")
				}
				if took := time.Since(began); took != time.Second || !strings.Contains(fmt.Sprint(err), "a moment ago") {
					t.Errorf("%v, %v", took, err)
				}
				close(k.release)
				synctest.Wait()
				h.Close()
				if n := w.Open(); n > 0 {
					t.Errorf("%d descriptors are open", n)
				}
			})
		})
	}
}

// The connections of a master's CLI that are open count, whoever made or lost them.
// Where they cannot be counted, the workers that did not answer do.
func TestTheWorkersOfAMasterWithConnectionsOpenAreNotAsked(t *testing.T) {
	open := func(n int) []fakehost.Socket {
		cli := fakehost.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, Listening: true, Local: "/run/haproxy.sock", Inode: 900}
		pair := fakehost.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, Peer: "", Inode: 901}
		list := []fakehost.Socket{cli, pair}
		for i := range n {
			list = append(list, fakehost.Socket{Family: unix.AF_UNIX, Type: unix.SOCK_STREAM, Local: "/run/haproxy.sock", Inode: 910 + uint64(i)})
		}
		return list
	}
	for n, want := range map[int][]int{0: {101, 102, 103}, 2: {101, 102, 103}, 3: nil, 9: nil} {
		w, s := reloaded()
		w.Change(func() { s.Master.Sockets = open(n) })
		got, _, err := pass(t, w, 1, nil)
		if !slices.Equal(got, want) || (want == nil) != strings.Contains(fmt.Sprint(err), fmt.Sprintf("%d connections open already", n)) {
			t.Errorf("%d open: %v answered: %v", n, got, err)
		}
	}
	w, _ := reloaded()
	w.Before = func(_ int, call, _ string) error {
		if call == "PidfdGetfd" {
			return unix.EPERM
		}
		return nil
	}
	spare := func(ids ...inspect.ProcID) func(*inspect.Host) {
		return func(h *inspect.Host) {
			for _, id := range ids {
				h.Spare(id)
			}
		}
	}
	one, two, three := inspect.ProcID{PID: 101, StartTicks: 1100}, inspect.ProcID{PID: 102, StartTicks: 1200}, inspect.ProcID{PID: 103, StartTicks: 1300}
	if got, _, err := pass(t, w, 1, spare(one, two)); !slices.Equal(got, []int{103}) {
		t.Errorf("two silent ones, not counted: %v answered: %v", got, err)
	}
	if got, _, err := pass(t, w, 1, spare(one, two, three)); got != nil || !strings.Contains(fmt.Sprint(err), "3 connections") {
		t.Errorf("three silent ones, not counted: %v answered: %v", got, err)
	}
}

// A worker that was taken over may answer for the next one as well.
func TestAnswersThatDoNotFitAreAllLeftOut(t *testing.T) {
	w, s := reloaded()
	w.Change(func() {
		s.Master.CLI["@!103 show cli sockets"] = "\n" + s.Master.CLI["@!102 show info"]
	})
	if got, _, err := pass(t, w, 1, nil); got != nil || !strings.Contains(fmt.Sprint(err), "do not fit") {
		t.Errorf("%v answered: %v", got, err)
	}
}

func TestWhichMasterIsAsked(t *testing.T) {
	const eve, ours = 1001, 102
	for _, tt := range []struct {
		name   string
		change func(*counting, *fakehost.Service)
		socket string
		err    error
		why    string
		dials  int
	}{
		{"root's", func(*counting, *fakehost.Service) {}, "", nil, "", 1},
		{"root's, by root", func(w *counting, _ *fakehost.Service) { w.EUID = 0 }, "", nil, "", 1},
		{"our own user's", func(_ *counting, s *fakehost.Service) { s.Master.UID = ours }, "", nil, "", 1},
		{"another user's", func(_ *counting, s *fakehost.Service) { s.Master.UID = eve }, "", inspect.ErrCLIRule, "neither root nor", 0},
		{"another user's, by root", func(w *counting, s *fakehost.Service) { w.EUID, s.Master.UID = 0, eve }, "", inspect.ErrCLIRule, "neither root nor", 0},
		{"another user's, at TCP", func(_ *counting, s *fakehost.Service) {
			s.Master.UID, s.Master.Args = eve, []string{"haproxy", "-W", "-f", "/f", "-S", "127.0.0.1:9999"}
		}, "", inspect.ErrCLIRule, "neither root nor", 0},
		{"another user's, whose socket the operator named", func(_ *counting, s *fakehost.Service) { s.Master.UID = eve }, "/run/h.sock", nil, "", 1},
		{"another user's than of the socket that the operator named", func(w *counting, s *fakehost.Service) { w.user, s.Master.UID = ours, eve }, "/run/h.sock", inspect.ErrCLIRule, "neither root nor", 0},
		{"our own user's, that leads to a socket of another", func(w *counting, s *fakehost.Service) { w.user, s.Master.UID = eve, ours }, "", inspect.ErrCLIRule, "belongs to another user", 0},
		{"root's, that leads to no socket", func(w *counting, _ *fakehost.Service) { w.mode = unix.S_IFIFO }, "", inspect.ErrCLIRule, "is no socket", 0},
		{"root's, at whose place another process listens", func(w *counting, s *fakehost.Service) { w.listener = 103 }, "", inspect.ErrNoCLI, "belongs to process 103", 1},
		{"root's, at whose place a process listened that has gone", func(w *counting, _ *fakehost.Service) { w.listener = 99 }, "", nil, "", 1},
		{"root's, at a TCP address where it does not listen", func(_ *counting, s *fakehost.Service) {
			s.Master.Args = []string{"haproxy", "-W", "-f", "/f", "-S", "127.0.0.1:9999"}
		}, "", inspect.ErrCLIRule, "not seen to listen", 0},
		{"root's, at a TCP address where it listens", func(_ *counting, s *fakehost.Service) {
			s.Master.Args, s.Master.Sockets = []string{"haproxy", "-W", "-f", "/f", "-S", "127.0.0.1:9999"}, []fakehost.Socket{fakehost.Listen(9999)}
		}, "", unix.ECONNREFUSED, "", 1}, // no TCP in the fake host
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, s := reloaded()
			w.EUID = ours
			w.Change(func() { tt.change(w, s) })
			h := inspect.NewHost(w, []string{"haproxy"})
			defer h.Close()
			look, err := h.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			err = h.AskMaster(t.Context(), look, look.Processes[0], inspect.Questions{Workers: look.Processes[1:]}, tt.socket)
			if !errors.Is(err, tt.err) || !strings.Contains(fmt.Sprint(err), tt.why) || w.dials != tt.dials {
				t.Errorf("%d connections, %v; want %d, %v %s", w.dials, err, tt.dials, tt.err, tt.why)
			}
			if n := w.Open(); n != 4 { // the pidfds
				t.Errorf("%d descriptors are open", n)
			}
		})
	}
}

func TestAPathIsFollowedInTheMastersOwnRoot(t *testing.T) {
	for _, tt := range []struct{ address, dir, root, want string }{
		{"/run/m.sock", "", "", "/proc/100/root /run/m.sock"},
		{"unix@m.sock", "/srv/haproxy", "", "/proc/100/root /srv/haproxy/m.sock"},
		{"unix@../m.sock", "/jail/srv/haproxy", "/jail", "/proc/100/root /srv/m.sock"},
	} {
		w, s := reloaded()
		w.Change(func() {
			s.Master.Args, s.Master.Dir, s.Master.Root = []string{"haproxy", "-W", "-f", "/f", "-S", tt.address}, tt.dir, tt.root
		})
		if got, _, err := pass(t, w, 1, nil); w.opened != tt.want || len(got) != 3 {
			t.Errorf("-S %s in %s: opened %q, %v answered: %v", tt.address, tt.dir, w.opened, got, err)
		}
	}
}
