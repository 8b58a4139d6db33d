package inspect

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// runFilter runs bytecode as inet_diag_bc_run of the kernel does.
func runFilter(t *testing.T, b []byte, port uint16) bool {
	for len(b) > 0 {
		code, yes, no := b[0], int(b[1]), int(binary.NativeEndian.Uint16(b[2:]))
		pass := false
		switch code {
		case 1: // jump
		case 2:
			pass = port >= binary.NativeEndian.Uint16(b[6:])
		case 3:
			pass = port <= binary.NativeEndian.Uint16(b[6:])
		default:
			t.Fatalf("instruction %d", code)
		}
		next := no
		if pass {
			next = yes
		}
		if next == len(b)+4 {
			return false
		}
		b = b[next:]
	}
	return true
}

func TestLocalPortFilter(t *testing.T) {
	var many []uint16
	for port := uint16(1000); len(many) < 3*maxFilterRanges; port += 2 {
		many = append(many, port)
	}
	for _, c := range []struct {
		name       string
		ports      []uint16
		pass, drop []uint16
	}{
		{"one port", []uint16{443}, []uint16{443}, []uint16{0, 442, 444, 65535}},
		{"several, in any order, one twice", []uint16{8080, 80, 443, 80}, []uint16{80, 443, 8080}, []uint16{79, 81, 442, 444, 8079, 8081}},
		{"a range, and the last port", []uint16{1002, 1000, 1001, 65535}, []uint16{1000, 1001, 1002, 65535}, []uint16{999, 1003, 65534}},
		{"as many as can be told apart", many[:maxFilterRanges], many[:maxFilterRanges], []uint16{999, 1001, 1003, many[maxFilterRanges]}},
		{"too many to tell apart: everything between, nothing outside", many, []uint16{1000, 1001, many[len(many)-1]}, []uint16{999, many[len(many)-1] + 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			filter := localPortFilter(c.ports)
			for _, port := range c.pass {
				if !runFilter(t, filter, port) {
					t.Errorf("port %d is dropped", port)
				}
			}
			for _, port := range c.drop {
				if runFilter(t, filter, port) {
					t.Errorf("port %d passes", port)
				}
			}
		})
	}
}

func TestPortsWithoutAGapAreOneRange(t *testing.T) {
	got := portRanges([]uint16{1002, 65535, 1000, 1001, 1001, 80, 65534})
	if want := []portRange{{80, 80}, {1000, 1002}, {65534, 65535}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The filter is an attribute behind the request, whose length is its own.
func TestARequestCarriesItsFilter(t *testing.T) {
	filter := localPortFilter([]uint16{80, 443})
	b := inetRequest(unix.AF_INET, inetDump{protocol: unix.IPPROTO_TCP, states: 2, filter: filter})
	if got, err := netlinkAttribute(b[56:], 1); err != nil || !slices.Equal(got, filter) {
		t.Errorf("got %v, %v, want %v", got, err, filter)
	}
	if got := inetRequest(unix.AF_INET, inetDump{}); len(got) != 56 {
		t.Errorf("%d bytes without a filter", len(got))
	}
}
