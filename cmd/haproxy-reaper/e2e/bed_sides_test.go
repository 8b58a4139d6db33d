package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// told is what the JSON of a report says of a process, read field by field as a
// program of its users reads it: a field that is not there is nil, as null is.
type told map[string]any

// told finds a process in the JSON.
func (a *answer) told(p process) told {
	a.b.t.Helper()
	var report struct{ Instances []struct{ Processes []told } }
	if err := json.Unmarshal([]byte(a.stdout.String()), &report); err != nil {
		a.b.t.Fatalf("%q: %v", a.cmd.Args, err)
	}
	for _, i := range report.Instances {
		for _, q := range i.Processes {
			if q["pid"] == float64(p.PID) && q["start_ticks"] == float64(p.StartTicks) {
				return q
			}
		}
	}
	a.b.t.Fatalf("%q: no process of the report is %v", a.cmd.Args, p.ProcID)
	return nil
}

// side is the number of a process's connections on one side: client, server,
// other, former or unknown. It is nil where the report says null or nothing.
func (a *answer) side(p process, name string) any {
	a.b.t.Helper()
	sides, _ := a.told(p)["connections"].(map[string]any)
	return sides[name]
}

// counts wants the number of a process's connections on one side.
func (a *answer) counts(p process, name string, want int) *answer {
	a.b.t.Helper()
	if got := a.side(p, name); got != float64(want) {
		a.b.t.Errorf("%q: %s connections of %v: %v, want %d", a.cmd.Args, name, p.ProcID, got, want)
	}
	return a
}

// rows are the rows of a list in what is told of a process: ports or clients.
func (t told) rows(list string) (rows []told) {
	all, _ := t[list].([]any)
	for _, row := range all {
		fields, _ := row.(map[string]any)
		rows = append(rows, fields)
	}
	return rows
}

// inState says that a process does not hold so many TCP sockets in a state, by
// its hexadecimal number (include/net/tcp_states.h), on a local port.
func (b *bed) inState(p process, state string, port uint16, want int) error {
	found := b.sockets("tcp", 9, func(row []string) bool {
		return row[3] == state && strings.HasSuffix(row[1], fmt.Sprintf(":%04X", port))
	})
	for _, q := range b.processes() {
		if q.ProcID != p.ProcID {
			continue
		}
		n := 0
		for _, inode := range q.inodes {
			if found[inode] {
				n++
			}
		}
		if n != want {
			return fmt.Errorf("%v has %d sockets in state %s on port %d, not %d", p.ProcID, n, state, port, want)
		}
		return nil
	}
	return fmt.Errorf("%v is gone", p.ProcID)
}

// portsOfTheKernel are the ports that the kernel gives to sockets which ask for
// none, in the network of the bed.
func (b *bed) portsOfTheKernel(low, high int) {
	b.t.Helper()
	err := b.inside(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", fmt.Appendf(nil, "%d %d", low, high), 0)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// descriptors calls f with a copy of each descriptor of a process, one at a time,
// that is a socket.
func (b *bed) descriptors(p process, f func(fd int)) {
	b.t.Helper()
	outside := b.outside(p)
	pidfd, err := unix.PidfdOpen(outside, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	defer unix.Close(pidfd)
	links, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", outside))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, link := range links {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", outside, link.Name()))
		var number int
		if _, err := fmt.Sscan(link.Name(), &number); err != nil || !strings.HasPrefix(to, "socket:") {
			continue
		}
		fd, err := unix.PidfdGetfd(pidfd, number, 0)
		if err != nil {
			continue // closed meanwhile
		}
		f(fd)
		unix.Close(fd)
	}
}
