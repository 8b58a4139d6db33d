package inspect

import (
	"slices"
	"testing"
)

// systemd.unit(5): of a-b-c.service also what a-b-.service.d and a-.service.d say.
func TestTheFamiliesThatAUnitIsOf(t *testing.T) {
	for unit, want := range map[string][]string{
		"haproxy.service":         {"service"},
		"haproxy-edge.service":    {"haproxy-.service", "service"},
		"haproxy-edge-eu.service": {"haproxy-edge-.service", "haproxy-.service", "service"},
		"haproxy-.service":        {"service"},
		"-edge.service":           {"service"},
		"a-b.scope":               {"a-.scope", "scope"},
	} {
		if got := wider(unit); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", unit, got, want)
		}
	}
}
