package reaper_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// grouped is a host of which one process is in all groups that the kernel lets it be in.
type grouped struct {
	*fakehost.World
	status string // of that process
}

func (g grouped) ReadFile(name string, limit int) ([]byte, error) {
	b, err := g.World.ReadFile(name, limit)
	if name == g.status && err == nil {
		head, tail, _ := strings.Cut(string(b), "FDSize:")
		b = []byte(head + "Groups:\t" + strings.Repeat("4294967294 ", 65536) + "\nFDSize:" + tail)
		if len(b) > limit {
			return nil, unix.EFBIG
		}
	}
	return b, err
}

func TestAProcessMayBeInAsManyGroupsAsTheKernelAllows(t *testing.T) {
	w, _ := reloaded()
	fakehost.Daemon(w, "/home/x.cfg", 300, ticks(50*time.Minute), nil, fakehost.Listen(8443)).UID = 5001
	host := inspect.NewHost(grouped{w, "/proc/300/status"}, []string{"haproxy"})
	defer host.Close()
	s, err := host.Observe(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Processes {
		if p.Err != nil || p.PID == 300 && p.UID != 5001 {
			t.Errorf("process %d of user %d: %v", p.PID, p.UID, p.Err)
		}
	}
}

// An owner that could not be read is not root's, and may be anybody's: it tells
// nothing, and stands in the way of every instance.
func TestAnUnknownOwnerIsNoRoot(t *testing.T) {
	w, _ := reloaded()
	old := fakehost.Daemon(w, "/etc/d.cfg", 300, ticks(50*time.Minute), nil, fakehost.Client(8443, 1, 0))
	young := fakehost.Daemon(w, "/etc/d.cfg", 301, ticks(10*time.Minute), []int{300, 103}, fakehost.Listen(8443))
	w.Before = func(_ int, call, about string) error {
		if call == "Owner" && about == "/proc/301" {
			return unix.ENOMEM
		}
		return nil
	}
	w.Change(func() { young.UID, old.UID = 0, 5001 })
	r := look(t, w)
	if got := process(t, r, 300); got.Role == judge.RoleResidual {
		t.Errorf("the list of a process whose owner is unknown makes 300 %s", got.Role)
	}
	got := process(t, r, 301)
	if got.UID != inspect.NoUID || got.User != "" || !strings.Contains(got.Error, "owner: /proc/301") {
		t.Errorf("process 301: uid %d, user %q, error %q", got.UID, got.User, got.Error)
	}
	for _, in := range r.Instances {
		if in.Model != "" && in.Refusal != judge.ReasonUnreadable {
			t.Errorf("%s: refusal %q", in.Name, in.Refusal)
		}
	}
	text, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(text), `"uid":null`) {
		t.Errorf("in JSON: %s, %v", text, err)
	}
	var back judge.Process
	if err := json.Unmarshal(text, &back); err != nil || back.UID != inspect.NoUID {
		t.Errorf("read again: %d, %v", back.UID, err)
	}
}
