package reaper_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// The deadline of an old daemon that nothing names counts from when a pass first saw
// it so. Thousands of strangers with long names of control characters, each with an old
// daemon of its own, take no room in the state that this needs.
func TestDeadlinesComeOnAHostFullOfStrangersWithLongNames(t *testing.T) {
	w := fakehost.New()
	ordinary(w)
	const config = "/etc/haproxy/haproxy.cfg"
	fakehost.Daemon(w, config, 100, ticks(50*time.Minute), nil, fakehost.Client(443, 1, 0))
	fakehost.Daemon(w, config, 101, ticks(40*time.Minute), nil, fakehost.Listen(443))
	const strangers = 3400
	for n := range strangers {
		path := "/" + strings.Repeat("\x01", 190) + fmt.Sprintf("%05d", n)
		port := 1000 + n
		for i, socket := range []fakehost.Socket{fakehost.Client(port, 1, 0), fakehost.Listen(port)} {
			p := fakehost.Daemon(w, path, 10000+2*n+i, ticks(time.Duration(30-10*i)*time.Minute), nil, socket)
			p.UID = 5001
		}
	}
	dir, owner := t.TempDir(), uint32(os.Geteuid())
	for n, wait := range []time.Duration{0, 16 * time.Second, 16 * time.Second} {
		w.Pass(wait)
		host := inspect.NewHost(w, []string{"haproxy"})
		kept, err := state.Load(dir, fuzzBoot, w.Now(), w.Boottime())
		if err != nil {
			t.Errorf("pass %d: %v", n, err)
		}
		p := &reaper.Pass{
			Host: host, Terminator: reaper.Signaller{Host: host}, Policy: judge.Policy{Deadline: 30 * time.Second},
			Memory: kept.Memory, MemoryOwner: &owner, Qualified: kept.Qualified,
			MaySignal: func(uid uint32) bool { return uid == fakehost.UIDHAProxy },
		}
		// The agent as shipped is the service's user: that owns the state.
		*p.MemoryOwner = fakehost.UIDHAProxy
		r, err := p.Status(t.Context())
		host.Close()
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Instances) != strangers+1 {
			t.Fatalf("pass %d: %d instances, want %d", n, len(r.Instances), strangers+1)
		}
		old := process(t, r, 100)
		if due := old.IsDue(r.Time); old.Role != judge.RoleResidual || due != (n == 2) {
			t.Errorf("pass %d: process 100 is %s, residual for %v s, due: %v", n, old.Role, *old.ResidualSeconds, due)
		}
		ended := state.Ended{Report: r, Before: kept.Memory, After: p.Memory, Time: w.Now()}
		if _, err := state.Update(dir, fuzzBoot, w.Now(), w.Boottime(), func(s *state.State) { s.Add(ended) }); err != nil {
			t.Errorf("pass %d: %v", n, err)
		}
		info, err := os.Stat(filepath.Join(dir, "state.json"))
		if err != nil || info.Size() > 4<<20 {
			t.Errorf("pass %d: the state has %v bytes, %v", n, info.Size(), err)
		}
	}
	kept, err := state.Load(dir, fuzzBoot, w.Now(), w.Boottime())
	if err != nil || kept.Counters.Runs != 3 {
		t.Errorf("%d runs, %v; want 3", kept.Counters.Runs, err)
	}
	if _, known := kept.Counters.Units[config+"@102"]; !known {
		t.Error("the service has no counters")
	}
}
