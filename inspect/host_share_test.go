package inspect_test

import (
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

func TestTheHostsShareIsItsOwnAndStays(t *testing.T) {
	share := func(machine, boot string) *float64 {
		w := fakehost.New()
		w.Write("/etc/machine-id", machine)
		if boot != "" {
			w.Write("/proc/sys/kernel/random/boot_id", boot)
		}
		host := inspect.NewHost(w, []string{"haproxy"})
		defer host.Close()
		return host.HostShare()
	}
	const id, other, boot = "0123456789abcdef0123456789abcdef\n", "1123456789abcdef0123456789abcdef\n", "6f6a7e5c-1d3b-4c22-9a52-0e1f00000001\n"
	first := share(id, boot)
	if first == nil || *first < 0 || *first >= 1 {
		t.Fatalf("got %v, want a number from 0 to below 1", first)
	}
	if again := share(id, ""); again == nil || *again != *first {
		t.Errorf("after a reboot %v, before %v", again, *first)
	}
	if another := share(other, boot); another == nil || *another == *first {
		t.Errorf("another host has %v, this one %v", another, *first)
	}
	for _, none := range []string{"", "\n", "uninitialized\n"} {
		if got := share(none, boot); got == nil || *got == *first {
			t.Errorf("machine id %q: got %v, want that of the boot id", none, got)
		}
	}
	if got := share("", ""); got != nil {
		t.Errorf("without either id %v, want none", *got)
	}
}
