package reaper_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// guard is one thing that the agent looks at. To take a guard away, the kernel
// of the model lies about that one thing, always to the victim's harm: nothing
// in the product can be switched off.
type guard string

const (
	byPidfd    guard = "pidfd"          // a pidfd stands for whoever has the pid now
	byIdentity guard = "identity"       // who takes a worker's pid has its every fact
	byParent   guard = "parent"         // a check is the master's child
	byReady    guard = "ready"          // who starts has the handlers of one that is ready
	byReload   guard = "reload"         // the master is always idle
	byStray    guard = "stray"          // what else is in the unit is not there
	byList     guard = "-sf list"       // every list names everybody
	byListener guard = "no listener"    // an old worker's listeners cannot be found
	byPaused   guard = "nothing paused" // nor can paused ones
	byActive   guard = "active listens" // every worker is seen in LISTEN
	bySecond   guard = "second look"    // what was read once is read again, unchanged
)

var guards = []guard{byPidfd, byIdentity, byParent, byReady, byReload, byStray, byList, byListener, byPaused, byActive, bySecond}

func (k *kernel) lie(g guard) bool { return slices.Contains(k.lies, g) }

// again is what was read at the first look, where the second look is taken away.
func (k *kernel) again(key string, read func() ([]byte, error)) ([]byte, error) {
	if k.lie(bySecond) && k.looks > 1 {
		if b, known := k.first[key]; known {
			return b, nil
		}
	}
	b, err := read()
	if err == nil && k.looks == 1 {
		k.first[key] = b
	}
	return b, err
}

// forge lies about a file of a process.
func (k *kernel) forge(name string, text []byte) []byte {
	pids := pidOf(name)
	if len(pids) == 0 {
		return text
	}
	b := k.body(pids[0])
	if b == nil {
		return text
	}
	p := k.host.proc(*b)
	mask := func(m inspect.SignalMasks) {
		lines := strings.Split(string(text), "\n")
		for i, l := range lines {
			switch {
			case strings.HasPrefix(l, "SigBlk"):
				lines[i] = fmt.Sprintf("SigBlk:\t%016x", m.Blocked)
			case strings.HasPrefix(l, "SigCgt"):
				lines[i] = fmt.Sprintf("SigCgt:\t%016x", m.Caught)
			}
		}
		text = []byte(strings.Join(lines, "\n"))
	}
	switch file := name[strings.LastIndex(name, "/")+1:]; {
	case file == "stat" && b.sort == check && k.lie(byParent):
		text = bytes.Replace(text, []byte(fmt.Sprintf(") S %d ", p.PPID)), []byte(fmt.Sprintf(") S %d ", k.host.parent())), 1)
	case file == "status" && b.sort == worker && !b.ready && k.lie(byReady):
		mask(fakehost.WorkerMasks)
	case file == "status" && b.sort == master && k.lie(byReload):
		mask(fakehost.MasterMasks)
	case file == "cmdline" && b.sort == worker && k.lie(byList):
		text = []byte("haproxy\x00-sf\x00101\x00102\x00103\x00104\x00105\x00-f\x00/etc/haproxy.cfg\x00")
	}
	if k.lie(byIdentity) && b.sort == stranger {
		// As the worker was that had this pid, in the ordinary world.
		was := k.host.proc(ordinaryHost(k.host.daemon).bodies[slices.IndexFunc(ordinaryHost(k.host.daemon).bodies, func(o body) bool { return o.pid == b.pid })])
		other := fakehost.New()
		other.Start(was)
		text, _ = other.ReadFile(name, 1<<20)
	}
	return text
}

// now is a pidfd on whoever has the pid of another one now.
func (k *kernel) current(pidfd int) (fd int, done func(), err error) {
	if !k.lie(byPidfd) {
		return pidfd, func() {}, nil
	}
	fd, err = k.World.PidfdOpen(k.behind[pidfd])
	return fd, func() { _ = k.World.Close(fd) }, err
}
