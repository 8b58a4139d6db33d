package reaper_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

const (
	session     = "/user.slice/user-0.slice/session-1.scope"
	containerID = "4f3ac0e1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d"
)

// namesOf are the names of a report's instances, by the pids of their processes.
func namesOf(r judge.Report) map[int]string {
	names := map[int]string{}
	for _, in := range r.Instances {
		for _, p := range in.Processes {
			names[p.PID] = in.Name
		}
	}
	return names
}

// thief starts an instance that wants the name of another.
type thief struct {
	says   string
	uid    uint32
	cgroup string
	dir    string
	args   func(config, name string) []string // from the service's path and name
}

// start starts the thief's daemon.
func (s thief) start(w *fakehost.World, pid int, at uint64, config, name string) *fakehost.Proc {
	p := fakehost.Daemon(w, config, pid, at, nil, fakehost.Listen(9000+pid))
	p.UID, p.Cgroup = s.uid, "/user.slice/user-5001.slice/session-7.scope"
	if s.cgroup != "" {
		p.Cgroup = s.cgroup
	}
	if s.dir != "" {
		p.Dir, p.Root = s.dir, s.dir // it has changed its root: its directory is not known
	}
	if s.args != nil {
		p.Args = append([]string{"haproxy", "-D"}, s.args(config, name)...)
	}
	return p
}

func dashF(path func(config, name string) string) func(config, name string) []string {
	return func(config, name string) []string { return []string{"-f", path(config, name)} }
}

var thieves = []thief{
	{says: "the service's file", uid: 5001},
	{says: "the service's file, of a user with a lower number", uid: 7},
	{says: "the service's name for a file", uid: 5001, args: dashF(func(_, name string) string { return name })},
	{says: "the service's name for a file in a directory that is not known", uid: 5001, dir: "/jail", args: dashF(func(_, name string) string { return name })},
	{says: "the unit for a file in a directory that is not known", uid: 5001, dir: "/jail", args: dashF(func(string, string) string { return "haproxy.service" })},
	{says: "a qualifier in the path", uid: 5001, args: dashF(func(config, _ string) string { return config + "@102" })},
	{says: "the unit and the path", uid: 5001, dir: "/jail", args: dashF(func(config, _ string) string { return "haproxy.service:" + config })},
	{says: "another way to write the path", uid: 5001, args: dashF(func(config, _ string) string { return "/../" + config + "/./" })},
	{says: "a control character", uid: 5001, args: dashF(func(config, _ string) string { return config + "\x00" })},
	{says: "a unit of the user's own manager", uid: 5001, cgroup: "/user.slice/user-5001.slice/user@5001.service/app.slice/haproxy.service"},
	{says: "a cgroup below a unit of its own", uid: 5001, cgroup: "/system.slice/attacker.service/system.slice/haproxy.service"},
	{says: "a cgroup of the user's that looks like a container", uid: 5001, cgroup: "/user.slice/user-5001.slice/user@5001.service/" + containerID},
	{says: "the unit of a container, of a mapped user", uid: 100102, cgroup: "/lxc.payload.c1/system.slice/haproxy.service"},
	{says: "the unit of a container, of the container's root", uid: 100000, cgroup: "/lxc.payload.c1/system.slice/haproxy.service"},
	{says: "the unit of a container, of root", uid: 0, cgroup: "/lxc.payload.c1/system.slice/haproxy.service"},
	{says: "the path of a container, of root", uid: 0, cgroup: "/docker/" + containerID},
	{says: "the unit of another container, in a container", uid: 100000, cgroup: "/lxc.payload.c1/docker-" + containerID + ".scope"},
	{says: "the unit of a machine", uid: 0, cgroup: "/machine.slice/machine-c1.scope/payload/system.slice/haproxy.service"},
	{says: "a cgroup beside the agent's own namespace", uid: 5001, cgroup: "/../../user.slice/user-5001.slice/session-7.scope/haproxy.service"},
	{says: "the service's unit, from a program that the service started", uid: 5001, cgroup: "/system.slice/haproxy.service"},
}

// victims are services whose names may be wanted. Each starts its first process, or
// the next one that replaces the last.
var victims = []struct {
	name  string // of the instance
	root  bool   // root owns it
	unit  bool
	start func(w *fakehost.World) func(pid int, at uint64, old []int)
}{
	{"haproxy.service", true, true, func(w *fakehost.World) func(int, uint64, []int) {
		s := fakehost.NewService(w, "haproxy", 100, ticks(40*time.Minute))
		return func(pid int, at uint64, old []int) { s.Worker(pid, at, old, fakehost.Listen(443)) }
	}},
	{"/etc/haproxy/haproxy.cfg", true, false, func(w *fakehost.World) func(int, uint64, []int) {
		s := fakehost.NewService(w, "haproxy", 100, ticks(40*time.Minute))
		s.Master.Cgroup, s.Cgroup = session, session
		return func(pid int, at uint64, old []int) { s.Worker(pid, at, old, fakehost.Listen(443)) }
	}},
	{"haproxy.service", false, true, func(w *fakehost.World) func(int, uint64, []int) {
		return func(pid int, at uint64, old []int) {
			fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", pid, at, old, fakehost.Listen(443)).Cgroup = "/system.slice/haproxy.service"
		}
	}},
	{"docker-" + containerID + ".scope", false, true, func(w *fakehost.World) func(int, uint64, []int) {
		return func(pid int, at uint64, old []int) {
			fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", pid, at, old, fakehost.Listen(443)).Cgroup = "/system.slice/docker-" + containerID + ".scope"
		}
	}},
	{"/etc/haproxy/haproxy.cfg@102", false, false, func(w *fakehost.World) func(int, uint64, []int) {
		return func(pid int, at uint64, old []int) {
			fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", pid, at, old, fakehost.Listen(443))
		}
	}},
}

// Whatever another user runs, before or after the service started, alone or several
// times, the service's name is the one that it would have alone. What passes remember
// of the strangers does not change it either.
func TestNothingThatAStrangerRunsTakesOrChangesTheNameOfAService(t *testing.T) {
	for _, v := range victims {
		for _, s := range thieves {
			if s.cgroup == "/system.slice/haproxy.service" && v.unit && !v.root {
				continue // it is in the service's own cgroup, and of no lower standing
			}
			if s.uid == 0 && strings.HasPrefix(s.cgroup, "/docker/") && v.unit {
				continue // wants no unit
			}
			for when, at := range map[string]time.Duration{"before": 50 * time.Minute, "after": time.Minute} {
				t.Run(v.name+"/"+s.says+"/"+when, func(t *testing.T) {
					w := fakehost.New()
					ordinary(w)
					p := pass(t, w)
					names := func() map[int]string {
						t.Helper()
						r, err := p.Status(t.Context())
						if err != nil {
							t.Fatal(err)
						}
						p.Qualified = r.Qualified
						return namesOf(r)
					}
					const config = "/etc/haproxy/haproxy.cfg"
					if when == "before" { // two of them, so that they need qualifiers
						s.start(w, 501, ticks(at), config, v.name)
						s.start(w, 502, ticks(at)+100, config, v.name)
						names()
					}
					worker := v.start(w)
					worker(201, ticks(39*time.Minute), nil)
					for n, change := range []func(){
						func() {},
						func() { s.start(w, 503, ticks(at)+200, config, v.name) },
						func() { worker(202, ticks(20*time.Minute), []int{201}) },
						func() { w.Exit(201) },
						func() { s.start(w, 504, ticks(at)+300, config, v.name) },
						func() { w.Exit(503) },
						func() { worker(203, ticks(10*time.Minute), []int{202}); w.Exit(202) },
					} {
						change()
						for pid, name := range names() {
							if ours := pid < 500; ours != (name == v.name) {
								t.Errorf("step %d: process %d is of %q", n, pid, name)
							}
						}
					}
				})
			}
		}
	}
}

// A start script of root's may name a pid that another process has meanwhile. That
// process is shown with the service, and has no part in its name.
func TestAListOfRootsThatNamesAStrangerGivesItNoNameToChoose(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	old := fakehost.Daemon(w, "/tmp/mine.cfg", 150, ticks(50*time.Minute), nil, fakehost.Client(443, 1, 0))
	old.UID, old.Cgroup = 5001, "/system.slice/cron.service"
	young := fakehost.Daemon(w, "/etc/haproxy/haproxy.cfg", 201, ticks(10*time.Minute), []int{150}, fakehost.Listen(443))
	young.UID = 0
	if got := namesOf(look(t, w))[201]; got != "/etc/haproxy/haproxy.cfg" {
		t.Errorf("the service is %q", got)
	}
}

// Worlds of any services and any strangers: those of root and of this host have the
// names that they would have without the others. No two instances have one name, and
// every name prints and is short.
func TestNamesAreDistinctAndShortAndThoseOfRootDependOnRootAlone(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 12))
		pick := func(list ...string) string { return list[random.IntN(len(list))] }
		build := func(strangers bool) *fakehost.World {
			w := fakehost.New()
			ordinary(w)
			random = rand.New(rand.NewPCG(seed, 12))
			for n := range 8 {
				pid, own := 200+n, n < 3
				p := fakehost.Daemon(w, "", pid, ticks(time.Duration(1+random.IntN(50))*time.Minute)+uint64(n), nil, fakehost.Listen(1000+random.IntN(3)+10*n))
				long := pick("/", "/"+strings.Repeat("x", 100+random.IntN(200)), "/a\x01\x02", "/\xff\xfe", "/\u202e", "/"+strings.Repeat("\x7f", random.IntN(300)), "/é"+strings.Repeat("é", random.IntN(150)))
				p.Args[3] = pick("/etc/a.cfg", "/etc/b.cfg", "/etc/a.cfg@5001", "a.service", "/etc/a.cfg@netns:7", long, long+"y")
				p.Cgroup = pick(session, "/system.slice/a.service", "/system.slice/b.service", "/docker/"+containerID, "/lxc.payload.c/system.slice/a.service", "/user.slice/user-1.slice/user@1.service/a.service")
				p.Dir, p.Root = pick("/", "/home", "/home/x"), "/"
				p.NetNS = uint64(fakehost.NetNS + random.IntN(2))
				p.UID = []uint32{5001, 7, 100000}[random.IntN(3)]
				if own {
					p.UID, p.Cgroup = 0, pick(session, "/system.slice/a.service", "/system.slice/b.service")
				} else if !strangers {
					w.Exit(pid)
				}
			}
			return w
		}
		with, without := look(t, build(true)), look(t, build(false))
		names, owners := namesOf(with), map[string]bool{}
		for pid, name := range namesOf(without) {
			if names[pid] != name {
				t.Errorf("seed %d: process %d is of %q, and beside strangers of %q", seed, pid, name, names[pid])
			}
		}
		for _, in := range with.Instances {
			switch {
			case in.Model == "":
				continue
			case owners[in.Name]:
				t.Errorf("seed %d: two instances are %q", seed, in.Name)
			case len(in.Name) > 200 || !utf8.ValidString(in.Name) || strings.ContainsFunc(in.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
				t.Errorf("seed %d: %d bytes: %q", seed, len(in.Name), in.Name)
			}
			owners[in.Name] = true
		}
	}
}

// Names that are cut, or hold what does not print, differ where the paths do.
func TestTwoLongNamesNeverBecomeOne(t *testing.T) {
	long := "/" + strings.Repeat("a", 300)
	paths := []string{long + "b", long + "c", "/\x01", `/\x01`, "/\x02", "/\xff", "/\xfe", "/\u202e", "/" + strings.Repeat("\x01", 200), "/" + strings.Repeat("\x01", 201), strings.Repeat("/é", 100), strings.Repeat("/é", 101)}
	w := fakehost.New()
	ordinary(w)
	for i, path := range paths {
		fakehost.Daemon(w, path, 200+i, ticks(30*time.Minute)+uint64(i), nil, fakehost.Listen(1000+i))
	}
	seen := map[string]string{}
	for pid, name := range namesOf(look(t, w)) {
		path := paths[pid-200]
		if other, twice := seen[name]; twice {
			t.Errorf("%q and %q are both %q", path, other, name)
		}
		seen[name] = path
		written, err := json.Marshal(name)
		if err != nil || len(name) > 200 || len(written) > 2*200+2 {
			t.Errorf("%q: %d bytes, %d in JSON, %v", name, len(name), len(written), err)
		}
	}
	if len(seen) != len(paths) {
		t.Errorf("%d names of %d paths: %v", len(seen), len(paths), fmt.Sprint(seen))
	}
}
