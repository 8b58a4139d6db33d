package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Capability is one of capabilities(7), by its bit.
type Capability uint

// The capabilities that the agent needs.
const (
	CapDACReadSearch Capability = unix.CAP_DAC_READ_SEARCH // listing /proc/PID/fd of a dumpable worker
	CapKill          Capability = unix.CAP_KILL            // signalling another user's process
	CapSysPtrace     Capability = unix.CAP_SYS_PTRACE      // /proc/PID/{exe,ns,fd/N}, pidfd_getfd(2)
)

// String returns the name that capabilities(7) has, or the number of another one.
func (c Capability) String() string {
	switch c {
	case CapDACReadSearch:
		return "CAP_DAC_READ_SEARCH"
	case CapKill:
		return "CAP_KILL"
	case CapSysPtrace:
		return "CAP_SYS_PTRACE"
	}
	return "capability " + strconv.Itoa(int(c))
}

// Capabilities are some of them.
type Capabilities []Capability

// String returns their names, separated by spaces.
func (list Capabilities) String() string {
	words := make([]string, len(list))
	for i, c := range list {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}

// Privileges are what this process may do, as /proc/self/status of proc(5) tells.
type Privileges struct {
	RUID, EUID uint32 // the real and the effective user
	Caps       uint64 // the effective capabilities, n in bit n
}

// Rights returns what this process may signal.
func (p Privileges) Rights() *Rights {
	return &Rights{UIDs: []uint32{p.RUID, p.EUID}, All: len(p.Missing(CapKill)) == 0}
}

// ReadPrivileges reads the privileges of this process. An error says that they
// are unknown, never that there are none.
func ReadPrivileges(kernel Kernel) (Privileges, error) {
	const path = "/proc/self/status"
	b, err := kernel.ReadFile(path, 1<<16)
	if err != nil {
		return Privileges{}, fmt.Errorf("read own privileges: %s: %w", path, err)
	}
	p, err := parsePrivileges(b)
	if err != nil {
		return Privileges{}, fmt.Errorf("read own privileges: %s: %w", path, err)
	}
	return p, nil
}

// parsePrivileges reads the lines "Uid:" (real, effective, saved, filesystem)
// and "CapEff:" (hexadecimal).
func parsePrivileges(status []byte) (Privileges, error) {
	var p Privileges
	var haveUID, haveCaps bool
	for line := range bytes.Lines(status) {
		name, value, _ := strings.Cut(string(line), ":")
		fields := strings.Fields(value)
		switch name {
		case "Uid":
			if len(fields) < 2 {
				return p, errors.New("line Uid is too short")
			}
			for i, into := range []*uint32{&p.RUID, &p.EUID} {
				uid, err := strconv.ParseUint(fields[i], 10, 32)
				if err != nil {
					return p, fmt.Errorf("line Uid: %w", err)
				}
				*into = uint32(uid)
			}
			haveUID = true
		case "CapEff":
			if len(fields) != 1 {
				return p, errors.New("line CapEff has no value")
			}
			caps, err := strconv.ParseUint(fields[0], 16, 64)
			if err != nil {
				return p, fmt.Errorf("line CapEff: %w", err)
			}
			p.Caps, haveCaps = caps, true
		}
	}
	if !haveUID || !haveCaps {
		return p, errors.New("line Uid or CapEff is missing")
	}
	return p, nil
}

// Missing returns those of the wanted capabilities that this process lacks.
func (p Privileges) Missing(wanted ...Capability) Capabilities {
	var list Capabilities
	for _, c := range wanted {
		if p.Caps&(1<<c) == 0 {
			list = append(list, c)
		}
	}
	return list
}

// MaySignal tells whether this process may signal the processes of a user (kill(2)).
func (p Privileges) MaySignal(uid uint32) bool {
	return uid == p.RUID || uid == p.EUID || len(p.Missing(CapKill)) == 0
}

// Hidden tells whether /proc hides other users' processes from this one (hidepid of
// proc(5), ProtectProc= of systemd.exec(5)). An empty list of pids says nothing then.
func (p Privileges) Hidden(kernel Kernel) bool {
	if len(p.Missing(CapSysPtrace)) == 0 {
		return false
	}
	_, err := kernel.ReadFile("/proc/1/comm", 64)
	return err != nil
}
