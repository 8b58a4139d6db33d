package judge

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// How the oracle tells what a process is, by its signals and its parent.

func bit(mask uint64, signal unix.Signal) bool { return mask>>(uint(signal)-1)&1 != 0 }

func hasMasterHandlers(p *inspect.Process) bool {
	c := p.Signals.Caught
	return bit(c, unix.SIGTERM) && (bit(c, unix.SIGCHLD) || bit(c, unix.SIGUSR2))
}

func holdsSignalsBack(p *inspect.Process) bool {
	b := p.Signals.Blocked
	return bit(b, unix.SIGHUP) || bit(b, unix.SIGUSR1) || hasMasterHandlers(p) && bit(b, unix.SIGUSR2)
}

// hasStarted: it has the handlers of HAProxy's last step, be it to serve, to stop
// or to be a master.
func hasStarted(p *inspect.Process) bool {
	c := p.Signals.Caught
	return bit(c, unix.SIGUSR1) && bit(c, unix.SIGTTIN) && bit(c, unix.SIGTTOU) && !bit(p.Signals.Blocked, unix.SIGUSR1)
}

// ready: finished starting, and no master.
func ready(p *inspect.Process) bool { return hasStarted(p) && !hasMasterHandlers(p) }

// parent is the HAProxy that a process is a child of, nil when that is none. A
// pid that started after its child is another process's by now.
func (o oracle) parent(p *inspect.Process) *inspect.Process {
	for _, q := range o.procs {
		if q != p && q.HAProxy && q.PID == p.PPID && q.StartTicks <= p.StartTicks {
			return q
		}
	}
	return nil
}

// looksLikeMaster: by its handlers; amid a reload it has none, but a child.
func (o oracle) looksLikeMaster(p *inspect.Process) bool {
	child := slices.ContainsFunc(o.procs, func(c *inspect.Process) bool { return c.HAProxy && o.parent(c) == p })
	return p.HAProxy && (hasMasterHandlers(p) || holdsSignalsBack(p) && !hasStarted(p) && child)
}

// kind is what a process is. It does not change, and is found out once.
func (o oracle) kind(p *inspect.Process) string {
	k, known := o.kinds[p]
	if !known {
		k = o.findKind(p)
		o.kinds[p] = k
	}
	return k
}

// findKind: a child of a worker is a check, a child of a master is its worker, or,
// with other arguments than its own, a program.
func (o oracle) findKind(p *inspect.Process) string {
	above := ""
	if q := o.parent(p); q != nil {
		above = o.kind(q)
		if above == "master" && written(p) == written(q) {
			switch {
			case p.HAProxy && (ready(p) || o.leaves(p, q)):
				return "worker"
			case p.HAProxy:
				return "starting"
			case p.Forked && p.Comm == q.Comm && ready(p): // its file was renamed since
				return "worker"
			}
		}
	}
	switch {
	case !p.HAProxy:
		return "program"
	case above == "worker" || above == "orphan" || above == "check":
		return "check"
	case o.looksLikeMaster(p):
		return "master"
	case above == "master":
		return "program"
	case ready(p) && above == "" && p.Forked && p.Session != p.PID:
		// Up to 3.0 a daemon serves before it begins its session.
		if hasOption(p, "-D") && !hasOption(p, "-W") {
			return "worker"
		}
		return "orphan"
	case ready(p):
		return "worker"
	}
	return "starting"
}

// leaves: a worker that has given its handlers back is on its way out, if a ready
// one of its master's told it to stop.
func (o oracle) leaves(p, master *inspect.Process) bool {
	bare := !bit(p.Signals.Caught, unix.SIGUSR1) && !hasMasterHandlers(p) && !holdsSignalsBack(p)
	return bare && slices.ContainsFunc(o.procs, func(n *inspect.Process) bool {
		itsUser := n.UID == 0 || n.UID == p.UID || master.UID == 0 || master.UID == p.UID
		return n.HAProxy && o.parent(n) == master && ready(n) && written(n) == written(master) && names(n, p) && itsUser
	})
}

// head is the master, or the daemon, that a child belongs to; nil for a process
// that stands for itself.
func (o oracle) head(p *inspect.Process) *inspect.Process {
	for q := o.parent(p); q != nil; q = o.parent(q) {
		above := o.parent(q)
		switch o.kind(q) {
		case "master":
			return q
		case "worker", "orphan":
			if above == nil || o.kind(above) != "master" {
				return q
			}
		case "starting", "program":
			if o.kind(p) != "check" {
				return nil
			}
		}
	}
	return nil
}

// masterOf is the master that a worker is a child of, nil for every other process.
func (o oracle) masterOf(p *inspect.Process) *inspect.Process {
	if q := o.parent(p); q != nil && o.kind(q) == "master" && o.kind(p) == "worker" {
		return q
	}
	return nil
}

// arguments are those that are the same at every start of a service: its options
// but for -sf, -st, -x and the pid file, in any order, and then its configuration
// by resolved paths, in theirs.
func arguments(p *inspect.Process) string { return argumentsFrom(p, p.Dir) }

// written are the same with paths as they are written. A worker's are compared so with
// its master's: one that has changed its root has no working directory to tell.
func written(p *inspect.Process) string { return argumentsFrom(p, "") }

func argumentsFrom(p *inspect.Process, dir string) string {
	var options, files []string
	for args := p.Command.Args[min(1, len(p.Command.Args)):]; len(args) > 0; {
		name, value := args[0], ""
		args = args[1:]
		if strings.Contains(" -f -p -n -m -N -C -L -S -x ", " "+name+" ") && len(args) > 0 {
			value, args = args[0], args[1:]
		}
		switch name {
		case "-sf", "-st":
			for len(args) > 0 {
				if n, err := strconv.Atoi(args[0]); err != nil || n <= 0 {
					break
				}
				args = args[1:]
			}
		case "-x", "-p":
		case "-f":
			files = append(files, value)
		case "-C":
			if path.IsAbs(value) {
				dir = value
			}
		default:
			options = append(options, name+" "+value)
		}
	}
	slices.Sort(options)
	text := strings.Join(slices.Compact(options), "\n")
	for _, file := range files {
		if !path.IsAbs(file) && dir != "" {
			file = dir + "/" + file
		}
		text += "\n-f " + path.Clean(file)
	}
	return text
}

// hasOption tells whether one of the arguments is just that.
func hasOption(p *inspect.Process, option string) bool {
	return slices.Contains(p.Command.Args, option)
}

// list are the pids of a process's own -sf or -st list.
func list(p *inspect.Process) []int { return p.Command.Finish }

// here: in the same PID and network namespace.
func here(p, q *inspect.Process) bool { return p.PIDNS == q.PIDNS && p.NetNS == q.NetNS }

// names: the list of a strictly younger process has the other's pid, as it is in
// the namespace of both.
func names(n, p *inspect.Process) bool {
	return n.StartTicks > p.StartTicks && n.PIDNS == p.PIDNS && slices.Contains(list(n), p.NSPID)
}

// alike: one user, equal arguments, the same namespaces.
func alike(p, q *inspect.Process) bool {
	return p.UID == q.UID && arguments(p) == arguments(q) && here(p, q)
}

// siblings are of one generation.
func siblings(p, q *inspect.Process) bool {
	if p == q {
		return true
	}
	apart := max(p.StartTicks, q.StartTicks) - min(p.StartTicks, q.StartTicks)
	same := slices.Equal(p.Command.Args, q.Command.Args) && p.Dir == q.Dir && p.UID == q.UID && p.PIDNS == q.PIDNS && p.Cgroup == q.Cgroup
	forked := p.Forked && q.Forked // else each was started by itself
	return same && (forked && apart <= 100 || shareSocket(p, q))
}

// shareSocket: one listener, of whatever kind.
func shareSocket(p, q *inspect.Process) bool {
	if p.Sockets == nil || q.Sockets == nil {
		return false
	}
	everything := func(s *inspect.Sockets) []inspect.Listener {
		return slices.Concat(s.Listening, s.Paused, s.Bound, s.Unused)
	}
	for _, a := range everything(p.Sockets) {
		for _, b := range everything(q.Sockets) {
			if a.Inode == b.Inode {
				return true
			}
		}
	}
	return false
}

// onePlace: both listen, on one address or by one socket.
func onePlace(p, q *inspect.Process) bool {
	if p.Sockets == nil || q.Sockets == nil {
		return false
	}
	for _, a := range p.Sockets.Listening {
		for _, b := range q.Sockets.Listening {
			if a.Network == b.Network && a.Address == b.Address || a.Inode == b.Inode {
				return true
			}
		}
	}
	return false
}

// hasListener: of any family, and be it a paused one.
func hasListener(p *inspect.Process) bool {
	s := p.Sockets
	return s != nil && len(s.Listening)+len(s.Paused)+len(s.Bound) > 0
}

// isConnected: one of its connections is, or may be, on the address of one of some
// listeners. One that has ended, or that it made itself, says nothing.
func isConnected(p *inspect.Process, to []inspect.Listener) bool {
	for end := range p.Sockets.Ends {
		made := end.Origin == inspect.OriginMade || end.Origin == inspect.OriginSource
		if !end.Gone && !made && slices.ContainsFunc(to, func(l inspect.Listener) bool { return takes(l, end) }) {
			return true
		}
	}
	return false
}

// isAccepted: it has accepted one of its connections at the address of one of some
// listeners, for sure. A path is no address.
func isAccepted(p *inspect.Process, at []inspect.Listener) bool {
	for end := range p.Sockets.Ends {
		accepted := end.Origin == inspect.OriginAccepted || end.Origin == inspect.OriginPassed
		if end.Network != inspect.NetworkUnix && !end.Gone && accepted && slices.ContainsFunc(at, func(l inspect.Listener) bool { return takes(l, end) }) {
			return true
		}
	}
	return false
}

// openListeners are those of a process that are not paused, allListeners are all.
func openListeners(p *inspect.Process) []inspect.Listener {
	if p.Sockets == nil {
		return nil
	}
	return slices.Concat(p.Sockets.Listening, p.Sockets.Bound)
}

func allListeners(p *inspect.Process) []inspect.Listener {
	if p.Sockets == nil {
		return nil
	}
	return slices.Concat(openListeners(p), p.Sockets.Paused)
}
