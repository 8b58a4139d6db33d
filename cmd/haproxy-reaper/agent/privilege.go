package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// capability is one of capabilities(7), by its bit.
type capability uint

const (
	capDACReadSearch capability = unix.CAP_DAC_READ_SEARCH // listing /proc/PID/fd of a dumpable worker
	capKill          capability = unix.CAP_KILL            // signalling another user's process
	capSysPtrace     capability = unix.CAP_SYS_PTRACE      // /proc/PID/{exe,ns,fd/N}, pidfd_getfd(2)
)

func (c capability) String() string {
	switch c {
	case capDACReadSearch:
		return "CAP_DAC_READ_SEARCH"
	case capKill:
		return "CAP_KILL"
	case capSysPtrace:
		return "CAP_SYS_PTRACE"
	}
	return "capability " + strconv.Itoa(int(c))
}

func names(missing []capability) string {
	words := make([]string, len(missing))
	for i, c := range missing {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}

// errPrivilege is a missing privilege or kernel feature.
var errPrivilege = errors.New("missing privilege")

// privileges are what this process may do, as /proc/self/status of proc(5)
// tells it: the real and the effective user, and the effective capabilities.
type privileges struct {
	ruid, euid uint32
	caps       uint64
}

// rights are whom this process may signal.
func (p privileges) rights() *inspect.Rights {
	return &inspect.Rights{UIDs: []uint32{p.ruid, p.euid}, All: len(p.missing(capKill)) == 0}
}

func readPrivileges(kernel inspect.Kernel) (privileges, error) {
	const path = "/proc/self/status"
	b, err := kernel.ReadFile(path, 1<<16)
	if err != nil {
		return privileges{}, fmt.Errorf("read own privileges: %s: %w", path, err)
	}
	p, err := parsePrivileges(b)
	if err != nil {
		return privileges{}, fmt.Errorf("read own privileges: %s: %w", path, err)
	}
	return p, nil
}

// parsePrivileges reads the lines "Uid:" (real, effective, saved, filesystem)
// and "CapEff:" (hexadecimal).
func parsePrivileges(status []byte) (privileges, error) {
	var p privileges
	var haveUID, haveCaps bool
	for line := range bytes.Lines(status) {
		name, value, _ := strings.Cut(string(line), ":")
		fields := strings.Fields(value)
		switch name {
		case "Uid":
			if len(fields) < 2 {
				return p, errors.New("line Uid is too short")
			}
			for i, into := range []*uint32{&p.ruid, &p.euid} {
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
			p.caps, haveCaps = caps, true
		}
	}
	if !haveUID || !haveCaps {
		return p, errors.New("line Uid or CapEff is missing")
	}
	return p, nil
}

// missing are those of the wanted capabilities that this process lacks.
func (p privileges) missing(wanted ...capability) []capability {
	var missing []capability
	for _, c := range wanted {
		if p.caps&(1<<c) == 0 {
			missing = append(missing, c)
		}
	}
	return missing
}

// mayAct says what a live reap lacks before it has looked at anything: it must
// be able to prove what a process is, and to signal what it proved.
func (p privileges) mayAct(kernel inspect.Kernel) error {
	if missing := p.missing(capSysPtrace); len(missing) > 0 {
		return fmt.Errorf("%w: %s", errPrivilege, names(missing))
	}
	fd, err := kernel.PidfdOpen(os.Getpid())
	if err != nil {
		return fmt.Errorf("%w: pidfd_open(2), Linux 5.3: %w", errPrivilege, err)
	}
	return kernel.Close(fd)
}

// maySignalUser tells whether this process may signal those of a user (kill(2)).
func (p privileges) maySignalUser(uid uint32) bool {
	return uid == p.ruid || uid == p.euid || len(p.missing(capKill)) == 0
}
