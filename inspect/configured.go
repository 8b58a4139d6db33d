package inspect

import (
	"bytes"
	"fmt"
	"path"
	"strings"
)

// ConfiguredPorts are the ports that an instance's configuration files name in
// their bind and dgram-bind lines.
type ConfiguredPorts struct {
	Ports map[uint16]bool
	// Unknown is set when some address could not be understood (an environment
	// variable, say) or some file could not be read: then any port may be named.
	Unknown bool
}

// configLimit is the most that is read of one configuration file.
const configLimit = 64 << 20

// ConfiguredPorts reads the configuration that a process was started with, by
// the paths in its arguments. A worker may have changed its root (chroot) since
// it read them, so a process of our own mount namespace is taken to mean our
// root; a master, and a process of another mount namespace, its own.
func (h *Host) ConfiguredPorts(s Snapshot, p *Process) ConfiguredPorts {
	all := ConfiguredPorts{Ports: map[uint16]bool{}}
	if len(p.Command.Config) == 0 {
		all.Unknown = true
	}
	for _, name := range p.Command.Config {
		for _, file := range h.configFiles(s, p, name) {
			b, err := h.kernel.ReadFile(file, configLimit)
			if err != nil {
				all.Unknown = true
				continue
			}
			ports, unknown := parseBindPorts(b)
			for port := range ports {
				all.Ports[port] = true
			}
			all.Unknown = all.Unknown || unknown
		}
	}
	return all
}

// configFiles is the file of that name, or the .cfg files of that directory, as
// HAProxy's -f takes either.
func (h *Host) configFiles(s Snapshot, p *Process, name string) []string {
	full := procPath(p.PID, "root") + name
	switch {
	case !strings.HasPrefix(name, "/"):
		full = procPath(p.PID, "cwd/") + name
	case !p.Signals.Master() && p.MntNS == s.MntNS:
		full = name
	}
	names, err := h.kernel.ReadDir(full)
	if err != nil {
		return []string{full}
	}
	var files []string
	for _, n := range names {
		if strings.HasSuffix(n, ".cfg") && !strings.HasPrefix(n, ".") {
			files = append(files, path.Join(full, n))
		}
	}
	return files
}

// EphemeralPorts is the range that the kernel takes ports from for sockets that
// ask for none (ip(7), ip_local_port_range), in our own network namespace.
func (h *Host) EphemeralPorts() (low, high uint16, err error) {
	const file = "/proc/sys/net/ipv4/ip_local_port_range"
	b, err := h.kernel.ReadFile(file, 64)
	if err == nil {
		_, err = fmt.Fscan(bytes.NewReader(b), &low, &high)
	}
	if err != nil {
		return 0, 0, readError("ephemeral ports", file, err)
	}
	return low, high, nil
}
