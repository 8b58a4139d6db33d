package inspect

import (
	"bytes"
	"regexp"
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

// socketClass is the part of /proc/PID/cgroup that says which class a process gives
// to its sockets: the controllers net_cls and net_prio of cgroup v1, each with its
// path, in the order of the kernel. It is "" where no hierarchy of them is in use, in
// whichever mount namespace that is mounted.
func socketClass(b []byte) string {
	var classes []string
	for line := range bytes.Lines(b) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":")
		controllers, _, _ := strings.Cut(rest, ":")
		for controller := range strings.SplitSeq(controllers, ",") {
			if controller == "net_cls" || controller == "net_prio" {
				classes = append(classes, rest)
				break
			}
		}
	}
	return strings.Join(classes, " ")
}

// SocketClass is Process.SocketClass of this program, "" also where it cannot be
// read: then no process that has one is like it.
func (h *Host) SocketClass() string {
	b, err := h.kernel.ReadFile("/proc/self/cgroup", factLimit)
	if err != nil {
		return ""
	}
	return socketClass(b)
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

// ContainerOf is the container, or else the pod, that a cgroup path names, "" for
// none. It is the first 12 characters of a container's id, as container tools
// print it, or the pod's uid. A path names a container by 64 hexadecimal digits,
// alone or in a scope (docker-ID.scope, cri-containerd-ID.scope), and a pod by
// podUID, in which systemd's driver writes "_" for "-".
func ContainerOf(cgroup string) string {
	pod := ""
	for component := range strings.SplitSeq(cgroup, "/") {
		if m := containerID.FindStringSubmatch(component); m != nil {
			return m[1][:12]
		}
		if m := podUID.FindStringSubmatch(component); m != nil {
			pod = strings.ReplaceAll(m[1], "_", "-")
		}
	}
	return pod
}

var (
	containerID = regexp.MustCompile(`^(?:.*[-:])?([0-9a-f]{64})(?:\.scope)?$`)
	podUID      = regexp.MustCompile(`^(?:.*-)?pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})(?:\.slice)?$`)
)
