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

// The most that is read of a configuration. Anybody's process can name a million
// files in its arguments, and all instances wait for one look.
const (
	configLimit    = 64 << 20 // of one file; for ConfiguredPorts of all together
	maxConfigFiles = 1000
)

// ConfiguredPorts reads the ports of the configuration that a process was
// started with.
func (h *Host) ConfiguredPorts(s Snapshot, p *Process) ConfiguredPorts {
	all := ConfiguredPorts{Ports: map[uint16]bool{}}
	if len(p.Command.Config) == 0 {
		all.Unknown = true
	}
	files, whole := h.configFiles(s, p)
	all.Unknown = all.Unknown || !whole
	left := configLimit
	for _, file := range files {
		b, err := h.kernel.ReadFile(file.path(), left)
		if err != nil {
			all.Unknown = true
			continue
		}
		left -= len(b)
		ports, unknown := parseBindPorts(b)
		for port := range ports {
			all.Ports[port] = true
		}
		all.Unknown = all.Unknown || unknown
	}
	return all
}

// configFile is a configuration file as HAProxy was told it, and the directory
// that this name is to be followed from: "" for our root.
type configFile struct{ base, name string }

func (f configFile) path() string {
	if strings.HasPrefix(f.name, "/") {
		return f.base + f.name
	}
	return f.base + "/" + f.name
}

// configFiles are the files that a process was started with, in the order it
// reads them; not whole are the first of too many.
func (h *Host) configFiles(s Snapshot, p *Process) (all []configFile, whole bool) {
	names := configNames(s, p)
	for _, named := range names[:min(len(names), maxConfigFiles)] {
		files, _ := h.openDirectory(named)
		if all = append(all, files...); len(all) > maxConfigFiles {
			return all[:maxConfigFiles], false
		}
	}
	return all, len(names) <= maxConfigFiles
}

// configNames are the paths in a process's arguments. A worker may have changed
// its root (chroot) since it read them, so a process of our own mount namespace
// is taken to mean our root; a master, and a process of another mount namespace,
// its own.
func configNames(s Snapshot, p *Process) []configFile {
	var names []configFile
	for _, name := range p.Command.Config {
		file := configFile{procPath(p.PID, "root"), name}
		switch {
		case !strings.HasPrefix(name, "/"):
			file.base = procPath(p.PID, "cwd")
		case !p.Signals.Master() && p.MntNS == s.MntNS:
			file.base = ""
		}
		names = append(names, file)
	}
	return names
}

// openDirectory is the file itself, or the .cfg files of that directory, as
// HAProxy's -f takes either.
func (h *Host) openDirectory(file configFile) (files []configFile, isDirectory bool) {
	names, err := h.kernel.ReadDir(file.path())
	if err != nil {
		return []configFile{file}, false
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".cfg") && !strings.HasPrefix(n, ".") {
			files = append(files, configFile{file.base, path.Join(file.name, n)})
		}
	}
	return files, true
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
