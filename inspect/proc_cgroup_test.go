package inspect

import (
	"slices"
	"strings"
	"testing"
)

func TestParseCgroup(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unified alone", "0::/system.slice/haproxy.service\n", "/system.slice/haproxy.service"},
		{"hybrid: the hierarchy of systemd's", "12:cpu,cpuacct:/\n1:name=systemd:/system.slice/haproxy.service\n0::/elsewhere\n", "/system.slice/haproxy.service"},
		{"a v1 hierarchy that nobody keeps", "1:name=systemd:/\n0::/payload/system.slice/haproxy.service\n", "/payload/system.slice/haproxy.service"},
		{"v1 alone, at its root", "2:cpu:/x\n1:name=systemd:/\n", "/"},
		{"a colon in the path", "0::/a:b/x.service\n", "/a:b/x.service"},
		{"another named hierarchy", "1:name=other:/x.service\n0::/y.service\n", "/y.service"},
		{"no newline at the end", "0::/x.service", "/x.service"},
		{"nothing", "", ""},
		{"no hierarchy that systemd could keep", "3:cpu:/x.service\n", ""},
		{"garbage", "0\n::\n:", ""},
		{"a hierarchy 0 that has controllers, and a numbered one that has none", "0:cpu:/x.service\n5::/y.service\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := parseCgroup([]byte(c.text)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestTheClassOfSocketsIsThePlaceInTheHierarchiesThatGiveOne(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"cgroup v2 alone", "0::/system.slice/haproxy.service\n", ""},
		{"v1 without them", "12:cpu,cpuacct:/\n1:name=systemd:/system.slice/haproxy.service\n", ""},
		{"both in one hierarchy", "5:net_cls,net_prio:/docker/7\n0::/x\n", "net_cls,net_prio:/docker/7"},
		{"the one alone", "5:net_cls:/a\n", "net_cls:/a"},
		{"the other alone, beside another controller", "5:pids,net_prio:/b\n", "pids,net_prio:/b"},
		{"each in its own", "6:net_prio:/b\n5:net_cls:/a\n", "net_prio:/b net_cls:/a"},
		{"a path that is named like one", "1:name=systemd:/x:net_cls:/y\n0::/net_cls\n", ""},
		{"a named hierarchy of a like name", "4:name=net_cls:/y\n", ""},
		{"a last line without its end", "5:net_cls:/a", "net_cls:/a"},
		{"nothing", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := socketClass([]byte(c.text)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestUnitOf(t *testing.T) {
	for _, c := range []struct{ name, path, want string }{
		{"a service", "/system.slice/haproxy.service", "haproxy.service"},
		{"an instance of a template, in a slice of its own", "/system.slice/system-haproxy.slice/haproxy@a.service", "haproxy@a.service"},
		{"an escaped name", `/system.slice/haproxy@a\x2db.service`, `haproxy@a\x2db.service`},
		{"a user's service belongs to the user's manager", "/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "user@1000.service"},
		{"a login", "/user.slice/user-1000.slice/session-4.scope", "session-4.scope"},
		{"a delegated look-alike", "/system.slice/atk.service/system.slice/haproxy.service", "atk.service"},
		{"a delegated look-alike in a scope", "/machine.slice/atk.scope/haproxy.service", "atk.scope"},
		{"a look-alike below a socket unit", "/system.slice/atk.socket/haproxy.service", ""},
		{"a contained host's prefix", "/bed-x/payload/system.slice/haproxy.service", "haproxy.service"},
		{"outside of our cgroup namespace", "/../../system.slice/haproxy.service", "haproxy.service"},
		{"a name of one letter", "/system.slice/a.service", "a.service"},
		{"a subgroup of the service's", "/system.slice/haproxy.service/workers", "haproxy.service"},
		{"the root", "/", ""},
		{"no path", "", ""},
		{"a slice alone", "/system.slice", ""},
		{"suffixes without a name", "/.service/.scope", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := unitOf(c.path); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestIsSessionUnit(t *testing.T) {
	for unit, want := range map[string]bool{
		"session-4.scope":     true,
		"session-c1.scope":    true,
		"user@1000.service":   true,
		"haproxy.service":     false,
		"haproxy@a.service":   false,
		"session-x.service":   false,
		"run-user@1000.scope": false,
		"":                    false,
	} {
		if got := IsSessionUnit(unit); got != want {
			t.Errorf("%q: got %v, want %v", unit, got, want)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add([]byte("12:cpu,cpuacct:/\n1:name=systemd:/system.slice/haproxy.service\n0::/x\n"))
	f.Add([]byte("0::/system.slice/atk.service/system.slice/haproxy.service"))
	f.Add([]byte("0::/.service\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := parseCgroup(b)
		unit := unitOf(path)
		if unit == "" {
			return
		}
		if !slices.Contains(strings.Split(path, "/"), unit) {
			t.Errorf("unit %q is not in path %q", unit, path)
		}
		if got := unitOf(path + "/system.slice/haproxy.service"); got != unit {
			t.Errorf("a delegated cgroup turned %q into %q", unit, got)
		}
	})
}

func TestAContainerIsKnownByItsCgroup(t *testing.T) {
	const id = "4f3ac0e1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d"
	for _, tt := range []struct{ name, path, want string }{
		{"docker, cgroupfs", "/docker/" + id, "4f3ac0e1a2b3"},
		{"docker, systemd", "/system.slice/docker-" + id + ".scope", "4f3ac0e1a2b3"},
		{"podman", "/machine.slice/libpod-" + id + ".scope/container", "4f3ac0e1a2b3"},
		{"Kubernetes, cgroupfs", "/kubepods/burstable/pod0f4b6a4e-1c2d-4e5f-8a9b-0c1d2e3f4a5b/" + id, "4f3ac0e1a2b3"},
		{"Kubernetes, containerd with a colon", "/kubepods-pod0f4b6a4e_1c2d_4e5f_8a9b_0c1d2e3f4a5b.slice:cri-containerd:" + id, "4f3ac0e1a2b3"},
		{"a pod alone, systemd", "/kubepods.slice/kubepods-burstable-pod0f4b6a4e_1c2d_4e5f_8a9b_0c1d2e3f4a5b.slice", "0f4b6a4e-1c2d-4e5f-8a9b-0c1d2e3f4a5b"},
		{"a service", "/system.slice/haproxy.service", ""},
		{"something hexadecimal that is too short", "/docker/4f3ac0e1a2b3", ""},
		{"the root", "/", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ContainerOf(tt.path); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
