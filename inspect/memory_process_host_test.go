package inspect_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// Memory that cannot be read is not known, which is not none.
func TestMemoryThatCannotBeReadIsNotKnown(t *testing.T) {
	w := fakehost.New()
	w.Start(fakehost.Proc{PID: 50, PPID: 1, Ticks: 100, Masks: fakehost.WorkerMasks, Args: []string{"haproxy", "-D"}})
	w.Write("/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 500 kB\n")
	h := inspect.NewHost(w, nil)
	defer h.Close()
	p := &inspect.Process{ProcID: inspect.ProcID{PID: 50, StartTicks: 100}}
	if h.MeasureMemory(p); p.PrivateBytes == nil || *p.PrivateBytes == 0 {
		t.Errorf("private bytes are %v", p.PrivateBytes)
	}
	if available, total := h.Memory(); available == nil || total == nil || *available != 500<<10 || *total != 1000<<10 {
		t.Errorf("of the host: %v of %v", available, total)
	}

	w.Write("/proc/meminfo", "MemTotal: 1000 kB\n")
	if available, total := h.Memory(); available != nil || total == nil {
		t.Errorf("of an old kernel: %v of %v", available, total)
	}
	w.Before = func(_ int, call, about string) error {
		if call == "ReadFile" {
			return unix.EACCES
		}
		return nil
	}
	p.PrivateBytes = nil
	if h.MeasureMemory(p); p.PrivateBytes != nil {
		t.Errorf("private bytes are %v", *p.PrivateBytes)
	}
	if available, total := h.Memory(); available != nil || total != nil {
		t.Errorf("of the host: %v of %v", available, total)
	}
}
