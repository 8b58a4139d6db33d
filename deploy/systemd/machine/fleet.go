package machine

import (
	"fmt"
	"os/exec"
	"testing"
)

// A Fleet is machines with HAProxy and sshd, and one more that may log in on
// each of them, on a network that nothing else is on. All have Ansible and etcd.
type Fleet struct {
	Control *Machine
	Hosts   []*Machine
}

// BootFleet boots a fleet of so many hosts.
func BootFleet(t testing.TB, hosts int) *Fleet {
	t.Helper()
	const variable = "HAPROXY_REAPER_FLEET"
	f := &Fleet{Control: boot(t, variable)}
	f.Control.Must("ip", "link", "add", "fleet", "type", "bridge")
	f.Control.Must("ip", "address", "add", ControlAddress+"/24", "dev", "fleet")
	f.Control.Must("ip", "link", "set", "fleet", "up")
	f.Control.Must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/id_ed25519")
	f.Control.Write("/root/.ssh/config", "StrictHostKeyChecking accept-new\n", 0o600)
	key := f.Control.Read("/root/.ssh/id_ed25519.pub")
	for i := range hosts {
		host := boot(t, variable)
		f.Hosts = append(f.Hosts, host)
		host.Write("/root/.ssh/authorized_keys", key, 0o600)
		f.plug(i)
	}
	return f
}

// ControlAddress is that of the machine that controls a fleet.
const ControlAddress = "10.77.0.254"

// Address is that of a host in the network of its fleet.
func (f *Fleet) Address(host int) string { return fmt.Sprintf("10.77.0.%d", host+1) }

// cable is the name of a host's end of the network on the control machine.
func cable(host int) string { return fmt.Sprintf("host%d", host+1) }

// plug lays a cable from the host to the bridge. It goes when the host does.
func (f *Fleet) plug(host int) {
	t, m := f.Control.T, f.Hosts[host]
	t.Helper()
	out, err := exec.Command("ip", "link", "add", cable(host), "netns", f.Control.leader,
		"type", "veth", "peer", "name", "fleet", "netns", m.leader).CombinedOutput()
	if err != nil {
		t.Fatalf("lay a cable: %v\n%s", err, out)
	}
	f.Control.Must("ip", "link", "set", cable(host), "master", "fleet", "up")
	m.Must("ip", "address", "add", f.Address(host)+"/24", "dev", "fleet")
	m.Must("ip", "link", "set", "fleet", "up")
}

// Unplug takes a host off the network, without a word to whom it talks with.
func (f *Fleet) Unplug(host int) {
	f.Control.T.Helper()
	f.Control.Must("ip", "link", "set", cable(host), "down")
}

// Plug puts it back.
func (f *Fleet) Plug(host int) {
	f.Control.T.Helper()
	f.Control.Must("ip", "link", "set", cable(host), "up")
}
