package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// process is one HAProxy of a bed as the tests see it, read on a way of their
// own: what the agent says is compared with it.
type process struct {
	inspect.ProcID
	ppid    int
	uid     int
	state   byte
	args    []string
	blocked uint64 // signal masks of /proc/PID/status
	caught  uint64
	pending uint64
	inodes  []string // of its sockets
}

func (p process) has(mask uint64, signal unix.Signal) bool { return mask>>(signal-1)&1 == 1 }

// ready is a process that has come so far that SIGUSR1 means "stop softly", and
// that has bound: SIGTTIN and SIGTTOU are caught from then on (2.2 to 3.4).
func (p process) ready() bool {
	return p.has(p.caught, unix.SIGUSR1) && !p.has(p.blocked, unix.SIGUSR1) && p.has(p.caught, unix.SIGTTIN) && p.has(p.caught, unix.SIGTTOU)
}

// named tells whether the process was told to finish pid.
func (p process) named(pid int) bool { return slices.Contains(p.args, strconv.Itoa(pid)) }

// processes lists the HAProxys of the bed, oldest first. One that exits while
// it is read is left out.
func (b *bed) processes() []process {
	b.t.Helper()
	dirs, err := filepath.Glob(b.path("/proc/[0-9]*"))
	if err != nil || len(dirs) == 0 {
		b.t.Fatalf("list the bed's processes: %v", err)
	}
	var all []process
	for _, dir := range dirs {
		exe, err := os.Readlink(dir + "/exe")
		name := filepath.Base(strings.TrimSuffix(exe, " (deleted)"))
		if err != nil || name != "haproxy" && name != "haproxy.old" {
			continue
		}
		p, err := readProcess(dir)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(x, y process) int {
		if x.StartTicks != y.StartTicks {
			return int(int64(x.StartTicks) - int64(y.StartTicks))
		}
		return x.PID - y.PID
	})
	return all
}

func readProcess(dir string) (p process, err error) {
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return p, err
	}
	// The name is in parentheses and may hold any byte; what follows may not.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	p.PID, _ = strconv.Atoi(filepath.Base(dir))
	p.state = f[0][0]
	p.ppid, _ = strconv.Atoi(f[1])
	p.StartTicks, _ = strconv.ParseUint(f[19], 10, 64)

	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		switch key {
		case "Uid":
			p.uid, _ = strconv.Atoi(strings.Fields(value)[1])
		case "SigBlk":
			p.blocked, _ = strconv.ParseUint(value, 16, 64)
		case "SigCgt":
			p.caught, _ = strconv.ParseUint(value, 16, 64)
		case "ShdPnd":
			p.pending, _ = strconv.ParseUint(value, 16, 64)
		}
	}
	cmdline, err := os.ReadFile(dir + "/cmdline")
	if err != nil {
		return p, err
	}
	p.args = strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")

	links, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return p, err
	}
	for _, link := range links {
		if to, err := os.Readlink(dir + "/fd/" + link.Name()); err == nil && strings.HasPrefix(to, "socket:[") {
			p.inodes = append(p.inodes, strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]"))
		}
	}
	return p, nil
}

// sockets are the inodes of one of the bed's socket tables whose row passes,
// those of its clients' network included.
func (b *bed) sockets(table string, inode int, pass func(row []string) bool) map[string]bool {
	b.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", b.init.Process.Pid, table))
	if err != nil {
		b.t.Fatal(err)
	}
	if b.net != nil {
		err := onThread(func() error {
			if err := unix.Setns(int(b.net.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			more, err := os.ReadFile("/proc/thread-self/net/" + table)
			text = append(text, more...)
			return err
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if row := strings.Fields(line); len(row) > inode && pass(row) {
			found[row[inode]] = true
		}
	}
	return found
}

// listening are the inodes of everything in LISTEN, TCP and unix.
func (b *bed) listening() map[string]bool {
	b.t.Helper()
	found := b.sockets("tcp", 9, func(row []string) bool { return row[3] == "0A" })
	for inode := range b.sockets("tcp6", 9, func(row []string) bool { return row[3] == "0A" }) {
		found[inode] = true
	}
	for inode := range b.sockets("unix", 6, func(row []string) bool { return row[3] == "00010000" }) {
		found[inode] = true
	}
	return found
}

// holds tells whether the process holds one of the sockets.
func (p process) holds(sockets map[string]bool) bool {
	return slices.ContainsFunc(p.inodes, func(i string) bool { return sockets[i] })
}

// ids are the identities of processes, for comparing who is there before and after.
func ids(all []process) []inspect.ProcID {
	var list []inspect.ProcID
	for _, p := range all {
		list = append(list, p.ProcID)
	}
	return list
}

// signal sends a signal to one process of the bed, by its pid there.
func (b *bed) signal(p process, signal string) {
	b.t.Helper()
	b.run(command{args: []string{"sh", "-c", fmt.Sprintf("kill -%s %d", signal, p.PID)}})
}

// gone says that a process is still there.
func (b *bed) gone(p process) error {
	if slices.Contains(ids(b.processes()), p.ProcID) {
		return fmt.Errorf("%v is still there", p.ProcID)
	}
	return nil
}

// age says that a process has not been there that long.
func (b *bed) age(p process, want time.Duration) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		b.t.Fatal(err)
	}
	if age := time.Duration(now.Nano()) - inspect.TicksToBoottime(p.StartTicks); age < want {
		return fmt.Errorf("%v is %v old", p.ProcID, age)
	}
	return nil
}

// pending says that a signal does not wait for a process to take it.
func (b *bed) pending(p process, signal unix.Signal) error {
	for _, q := range b.processes() {
		if q.ProcID == p.ProcID && q.has(q.pending, signal) {
			return nil
		}
	}
	return fmt.Errorf("%v has no %v pending", p.ProcID, signal)
}

// count says that there are not so many HAProxys in the bed.
func (b *bed) count(want int) error {
	if got := len(b.processes()); got != want {
		return fmt.Errorf("%d processes in the bed, not %d", got, want)
	}
	return nil
}

// closed says that a process does not hold so many TCP sockets in CLOSE: those
// stand in none of the kernel's tables.
func (b *bed) closed(p process, want int) error {
	any := func([]string) bool { return true }
	tables := []map[string]bool{b.sockets("tcp", 9, any), b.sockets("tcp6", 9, any), b.sockets("udp", 9, any), b.sockets("unix", 6, any)}
	for _, q := range b.processes() {
		if q.ProcID != p.ProcID {
			continue
		}
		left := slices.DeleteFunc(q.inodes, func(i string) bool {
			return slices.ContainsFunc(tables, func(t map[string]bool) bool { return t[i] })
		})
		if len(left) == want {
			return nil
		}
		return fmt.Errorf("%v has %d sockets in CLOSE, not %d", p.ProcID, len(left), want)
	}
	return fmt.Errorf("%v is gone", p.ProcID)
}
