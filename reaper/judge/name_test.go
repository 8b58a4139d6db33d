package judge

import (
	"slices"
	"testing"

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
