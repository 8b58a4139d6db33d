package inspect

import (
	"bytes"
	"strings"
)

// parseCgroup is the path of a process in the hierarchy that systemd keeps, of
// /proc/PID/cgroup (cgroups(7)): the named v1 hierarchy where it has one, else
// the unified one. A root path in the v1 hierarchy says that nobody keeps it.
func parseCgroup(b []byte) (path string) {
	var named, unified string
	for line := range bytes.Lines(b) {
		fields := bytes.SplitN(bytes.TrimSuffix(line, []byte{'\n'}), []byte{':'}, 3)
		switch {
		case len(fields) < 3:
		case string(fields[0]) == "0" && len(fields[1]) == 0:
			unified = string(fields[2])
		case string(fields[1]) == "name=systemd":
			named = string(fields[2])
		}
	}
	if named != "" && named != "/" || unified == "" {
		return named
	}
	return unified
}

// unitOf is the systemd unit of a cgroup path, "" when there is none: the first
// component that is a service or a scope, as systemd has it. Slices come before
// it, and on a host that is itself contained, directories of somebody else. What
// comes after it may be delegated to anybody, who can name it as he likes.
func unitOf(path string) string {
	for component := range strings.SplitSeq(path, "/") {
		dot := strings.LastIndexByte(component, '.')
		if dot < 1 {
			continue
		}
		switch component[dot:] {
		case ".service", ".scope":
			return component
		case ".socket", ".mount", ".swap":
			return "" // a unit of systemd's that HAProxy does not run in
		}
	}
	return ""
}

// IsSessionUnit says that a unit is somebody's login and not a service. A
// process started by hand lives there, and the next one of the same service in
// another: such a unit is no part of an instance's identity or name.
func IsSessionUnit(unit string) bool {
	return strings.HasPrefix(unit, "session-") && strings.HasSuffix(unit, ".scope") ||
		strings.HasPrefix(unit, "user@") && strings.HasSuffix(unit, ".service")
}
