package judge

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

func TestListenersComeByAddressAndPortAndThoseWithoutAPortLast(t *testing.T) {
	var list []inspect.Listener
	for _, address := range []string{"/run/b.sock", "10.0.0.2:80", "10.0.0.1:8080", "/run/a.sock", "10.0.0.1:80"} {
		list = append(list, inspect.Listener{Address: address})
	}
	slices.SortFunc(list, compareListeners)
	var got []string
	for _, l := range list {
		got = append(got, l.Address)
	}
	if diff := cmp.Diff([]string{"10.0.0.1:80", "10.0.0.1:8080", "10.0.0.2:80", "/run/a.sock", "/run/b.sock"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Instances that want one name: root's on this host keeps it, and those of other users
// and in containers are told from it. Without a unit the name is the configuration's
// path, with the user if that is not root.
func TestWhatAnInstanceIsNamedFor(t *testing.T) {
	t.Parallel()
	container := "/docker/" + strings.Repeat("ab", 32)
	one := func(start uint64, uid uint32, cgroup, unit string) Group {
		p := serving(int(start), start)
		p.UID, p.Cgroup, p.Unit, p.Command = uid, cgroup, unit, command("/etc/h.cfg", nil)
		return Group{Model: ModelDaemon, Members: []Member{{p, kindWorker, nil}}}
	}
	const unit = "haproxy.service"
	const cgroup = "/system.slice/" + unit
	for _, row := range []struct {
		name   string
		groups []Group
		want   []string
	}{
		{"one of a unit", []Group{one(1, 0, cgroup, unit)}, []string{unit}},
		{"one without a unit", []Group{one(1, 0, "/", "")}, []string{"/etc/h.cfg"}},
		{"one of a user's without a unit", []Group{one(1, 102, "/", "")}, []string{"/etc/h.cfg@102"}},
		{"a user's beside root's of one unit", []Group{one(1, 102, cgroup, unit), one(2, 0, cgroup, unit)}, []string{unit + ":/etc/h.cfg@102", unit}},
		{"one in a container beside the host's", []Group{one(1, 0, container+cgroup, unit), one(2, 0, cgroup, unit)}, []string{unit + ":/etc/h.cfg", unit}},
	} {
		instances := make([]Instance, len(row.groups))
		nameInstances(instances, row.groups, 0, nil)
		var got []string
		for _, in := range instances {
			got = append(got, in.Name)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

// A name that is cut within a character loses the whole of it, and ends in a hash.
func TestALongNameIsCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for n := range 3 {
		name := strings.Repeat("x", n) + strings.Repeat("é", 200)
		got := printable(name)
		if !utf8.ValidString(got) || len(got) > maxName || len(got) < maxName-2 || !strings.HasPrefix(name, got[:100-100%2+n%2]) || got[len(got)-17] != '~' {
			t.Errorf("%d bytes, %q", len(got), got)
		}
		seen[got] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d names of three", len(seen))
	}
}
