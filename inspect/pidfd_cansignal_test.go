package inspect_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// A filter of system calls answers as it likes, and to one of the two calls perhaps.
func TestItCanSignalWhereBothCallsWork(t *testing.T) {
	for _, call := range []string{"PidfdOpen", "PidfdSendSignal", ""} {
		for _, errno := range []error{unix.ENOSYS, unix.EPERM, unix.EACCES, unix.EINVAL, unix.EMFILE} {
			w := fakehost.New()
			w.Before = func(_ int, c, _ string) error { return when(c == call, errno) }
			h := inspect.NewHost(w, nil)
			if got := h.CanSignal(); got != (call == "") {
				t.Errorf("%s answers %v: it can signal is %v", call, errno, got)
			}
			f := h.Features()
			if (f.PidfdSendSignal == nil) != (call == "") || (f.PidfdOpen == nil) != (call != "PidfdOpen") {
				t.Errorf("%s answers %v: features %+v", call, errno, f)
			}
			w.Before = nil
			if n, sent := w.Open(), w.Signals(); n > 0 || len(sent) > 0 {
				t.Errorf("%s answers %v: %d descriptors are left open, signals %v", call, errno, n, sent)
			}
		}
	}
	if h := inspect.NewHost(inspect.Linux{}, nil); !h.CanSignal() || h.Features().PidfdSendSignal != nil {
		t.Error("this very process cannot signal itself")
	}
}
