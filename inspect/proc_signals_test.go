package inspect

import "testing"

// The masks were read from running HAProxy, versions 1.7, 1.8 and 2.0 to 3.4.
func TestSignalMasksTellHAProxysRolesApart(t *testing.T) {
	const setXID = 1 << 32 // glibc's own signal, in every process with threads
	type roles struct{ Ready, Master, Reloading bool }
	for _, c := range []struct {
		name  string
		masks SignalMasks
		want  roles
	}{
		{"a ready worker or standalone process, stopping or not", SignalMasks{Caught: setXID | 0x702205}, roles{Ready: true}},
		{"a ready process of 1.7", SignalMasks{Caught: 0x300205}, roles{Ready: true}},
		{"a ready worker of 1.8, which blocks SIGUSR2 all its life", SignalMasks{Blocked: 0x800, Caught: setXID | 0x702205}, roles{Ready: true}},
		{"a ready worker that runs external checks and so catches SIGCHLD", SignalMasks{Ignored: 0x800, Caught: setXID | 0x712205}, roles{Ready: true}},
		{"a starting daemon, or haproxy -c", SignalMasks{Caught: setXID}, roles{}},
		{"haproxy -v", SignalMasks{}, roles{}},
		{"a worker of 3.1 and later that parses its configuration", SignalMasks{Blocked: 0x310a01, Caught: setXID}, roles{Reloading: true}},
		{"the same, a little later", SignalMasks{Blocked: 0x310a01, Caught: setXID | 0x402205}, roles{Reloading: true}},
		{"a daemon that binds, up to 1.9", SignalMasks{Caught: 0x205}, roles{}},
		{"a daemon that binds, from 2.0 on", SignalMasks{Caught: setXID | 0x402205}, roles{}},
		{"a process that does not catch SIGTTIN", SignalMasks{Caught: 0x602205}, roles{}},
		{"an idle master", SignalMasks{Caught: setXID | 0x716a03}, roles{Ready: true, Master: true}},
		{"an idle master of 1.8, which does not catch SIGCHLD", SignalMasks{Caught: 0x304a07}, roles{Ready: true, Master: true}},
		{"a master that loads a configuration, up to 3.0", SignalMasks{Blocked: 0x310a01, Caught: setXID}, roles{Reloading: true}},
		{"the deaf master of 3.3.0 after a failed reload", SignalMasks{Blocked: 0x300a01, Ignored: 0x4001a05, Caught: setXID | 0x712000}, roles{Reloading: true}},
		{"a master that blocks SIGUSR2 alone", SignalMasks{Blocked: 0x800, Caught: setXID | 0x716a03}, roles{Ready: true, Master: true, Reloading: true}},
		{"a process that blocks the SIGUSR1 it catches", SignalMasks{Blocked: 0x200, Caught: 0x702205}, roles{Reloading: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := roles{c.masks.Ready(), c.masks.Master(), c.masks.Reloading()}
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// On its way out a worker has given its handlers back, and holds nothing back.
func TestWhoHasHandedItsHandlersBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		masks SignalMasks
		want  bool
	}{
		{"one on its way out", SignalMasks{Caught: 1 << 32}, true},
		{"a ready worker", SignalMasks{Caught: 0x702205}, false},
		{"a master", SignalMasks{Caught: 0x716a03}, false},
		{"a master without a handler of SIGUSR1", SignalMasks{Caught: 0x716a03 &^ 0x200}, false},
		{"one that starts and holds its signals back", SignalMasks{Blocked: 0x310a01, Caught: 1 << 32}, false},
	} {
		if got := c.masks.HandedBack(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
