package inspect

import "testing"

// A worker may have changed its root since it read its configuration, a master
// has not; in another mount namespace only the process's own root is any.
func TestWhoseRootTheConfigurationIsIn(t *testing.T) {
	const ours, another = 3, 4
	master, worker := SignalMasks{Caught: 0x716a03}, SignalMasks{Caught: 0x702205}
	for _, c := range []struct {
		name  string
		masks SignalMasks
		mntns uint64
		file  string
		want  string
	}{
		{"a worker's", worker, ours, "/etc/h.cfg", "/etc/h.cfg"},
		{"a worker's in another mount namespace", worker, another, "/etc/h.cfg", "/proc/7/root/etc/h.cfg"},
		{"a master's", master, ours, "/etc/h.cfg", "/proc/7/root/etc/h.cfg"},
		{"a master's in another mount namespace", master, another, "/etc/h.cfg", "/proc/7/root/etc/h.cfg"},
		{"one in the working directory", worker, ours, "h.cfg", "/proc/7/cwd/h.cfg"},
	} {
		p := &Process{ProcID: ProcID{PID: 7}, Signals: c.masks, MntNS: c.mntns, Command: Command{Config: []string{c.file}}}
		if got := configNames(Snapshot{MntNS: ours}, p)[0].path(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}
