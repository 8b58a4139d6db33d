package inspect

import "golang.org/x/sys/unix"

// SignalMasks are the signals that a process blocks, ignores and catches:
// SigBlk, SigIgn and SigCgt of /proc/PID/status, signal n in bit n-1. Any
// process may read them, and HAProxy sets them up so regularly (1.7 to 3.4 were
// looked at) that they tell its roles apart without its help. Any other program
// can have the same masks: they confirm a role, they never make a HAProxy.
type SignalMasks struct{ Blocked, Ignored, Caught uint64 }

func signalBit(signal unix.Signal) uint64 { return 1 << (uint(signal) - 1) }

func (m SignalMasks) blocks(signal unix.Signal) bool  { return m.Blocked&signalBit(signal) != 0 }
func (m SignalMasks) catches(signal unix.Signal) bool { return m.Caught&signalBit(signal) != 0 }

// Ready says that a process has finished starting: it catches SIGUSR1, SIGTTIN
// and SIGTTOU, and does not block SIGUSR1. That holds for an active, a paused and
// a stopping worker, and for an idle master.
//
// It does not hold for a process that still parses its configuration, nor for
// `haproxy -c`: both would die of SIGUSR1 (all versions), or stop as soon as they
// are up (workers of 3.1 and later). A daemon that is still binding catches
// SIGUSR1 already, without the other two (1.5 to 3.3: SigCgt 205 or 402205).
func (m SignalMasks) Ready() bool {
	return m.catches(unix.SIGUSR1) && m.catches(unix.SIGTTIN) && m.catches(unix.SIGTTOU) && !m.blocks(unix.SIGUSR1)
}

// Master says that a process has the handlers only an idle master has: SIGTERM,
// which it passes on, and SIGCHLD (1.9 and later) or SIGUSR2 (1.8, which waits
// for its children instead). Workers never catch SIGTERM, though one that runs
// external checks catches SIGCHLD.
//
// A master is not always idle: while it loads a configuration (up to 3.0), and
// for good after a failed reload of 3.3.0, it has other masks, and Reloading
// says so. What makes a master then is its children.
func (m SignalMasks) Master() bool {
	return m.catches(unix.SIGTERM) && (m.catches(unix.SIGCHLD) || m.catches(unix.SIGUSR2))
}

// Reloading says that a process holds signals back: a master in the middle of a
// reload (up to 3.0), a master that a failed reload left deaf (3.3.0), or a
// worker that is starting (3.1 and later). A ready worker of 1.8 blocks SIGUSR2
// all its life, so that signal alone counts for a master only.
func (m SignalMasks) Reloading() bool {
	return m.blocks(unix.SIGHUP) || m.blocks(unix.SIGUSR1) || m.Master() && m.blocks(unix.SIGUSR2)
}

// HandedBack says that a process has neither handlers of HAProxy's nor holds
// signals back: a worker on its way out (2.6: deinit_signals), and one that has
// just begun to start, up to 3.0.
func (m SignalMasks) HandedBack() bool {
	return !m.catches(unix.SIGUSR1) && !m.Master() && !m.Reloading()
}

// Momentary says that these masks are those of an instant: HAProxy blocks nearly
// everything, SIGTERM included, while it works off the signals that have come
// (signal.c, all versions), and glibc does so around fork(2), from 2.41 at the
// latest. A worker that runs external checks does both many times a second. Of
// the masks that last, none blocks SIGTERM.
func (m SignalMasks) Momentary() bool { return m.blocks(unix.SIGTERM) }
