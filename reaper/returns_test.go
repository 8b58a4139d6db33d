package reaper_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// from is the n-th connection of a peer to port 443.
func from(peer string, n int) fakehost.Socket {
	s := client(443, n, time.Minute)
	s.Peer = fmt.Sprintf("%s:%d", peer, 30000+n)
	return s
}

// reaped is a world whose old worker 101 had two clients at .7 and one at .8 and
// was terminated, and the state after that. The active had one client at .7.
func reaped(t *testing.T, change func(*fakehost.World, *reaper.Pass)) (*fakehost.World, *fakehost.Service, *reaper.State) {
	t.Helper()
	w := fakehost.New()
	ordinary(w)
	s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
	s.Worker(101, ticks(49*time.Minute), nil, from("10.0.0.7", 1), from("10.0.0.7", 2), from("10.0.0.8", 3)).Leaves = true
	s.Worker(103, ticks(10*time.Minute), []int{101}, fakehost.Listen(443), from("10.0.0.7", 4))
	p := pass(t, w)
	if change != nil {
		change(w, p)
	}
	state := &reaper.State{Memory: reaper.Memory{}}
	r := run(t, p)
	if got := process(t, r, 101); !got.Left() {
		t.Fatalf("101 has not left: %q", got.Outcome)
	}
	state.Add(reaper.Ended{Report: r, Before: reaper.Memory{}, After: p.Memory})
	return w, s, state
}

// next is a pass after so long, with these connections to the active.
func next(t *testing.T, w *fakehost.World, s *fakehost.Service, state *reaper.State, after time.Duration, active ...fakehost.Socket) []reaper.Return {
	t.Helper()
	w.Pass(after)
	s.Worker(103, ticks(10*time.Minute), []int{101}, append([]fakehost.Socket{fakehost.Listen(443)}, active...)...)
	p := pass(t, w)
	p.Memory, p.CutOffs = state.Memory, state.CutOffs
	r := run(t, p)
	state.Add(reaper.Ended{Report: r, Before: state.Memory, After: p.Memory})
	return r.Instances[0].Returns
}

func returned(t *testing.T, got []reaper.Return, ended, returned int) {
	t.Helper()
	want := []reaper.Return{{Ended: ended, Returned: returned}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(reaper.Return{}), cmpopts.IgnoreFields(reaper.Return{}, "AfterSeconds")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func counted(t *testing.T, state *reaper.State, followed, returned uint64) {
	t.Helper()
	unit := state.Counters.Units["haproxy.service"]
	if unit.FollowedConnections != followed || unit.ReturnedConnections != returned {
		t.Errorf("%d of %d counted, want %d of %d", unit.ReturnedConnections, unit.FollowedConnections, returned, followed)
	}
}

func TestClientsThatComeBackAreCountedOnceTheyHadTime(t *testing.T) {
	for _, way := range []struct {
		name   string
		change func(*fakehost.World, *reaper.Pass)
	}{
		{"after a SIGTERM", nil},
		{"after draining", func(_ *fakehost.World, p *reaper.Pass) {
			p.Timing.DrainRate, p.Timing.DrainTimeout = 100, time.Minute
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			w, s, state := reaped(t, way.change)
			before, one, two, other := from("10.0.0.7", 4), from("10.0.0.7", 11), from("10.0.0.7", 12), from("10.0.0.8", 13)
			returned(t, next(t, w, s, state, 10*time.Second, before), 3, 0)
			returned(t, next(t, w, s, state, 10*time.Second, before, one), 3, 1)
			counted(t, state, 0, 0)
			if len(state.CutOffs) != 1 {
				t.Fatalf("%d are waited for, want one", len(state.CutOffs))
			}
			// One more than were cut off, and one of a stranger, are no returns.
			more, stranger := from("10.0.0.7", 14), from("10.0.0.9", 15)
			returned(t, next(t, w, s, state, 10*time.Second, before, one, two, other, more, stranger), 3, 3)
			counted(t, state, 3, 3)
			if got := next(t, w, s, state, time.Minute, before, one, two, other); len(got) != 0 {
				t.Errorf("they are told of again: %+v", got)
			}
			counted(t, state, 3, 3)
		})
	}
}

func TestOnlyThoseWhoAreCutOffAreWaitedFor(t *testing.T) {
	t.Run("a survivor's clients are not cut off", func(t *testing.T) {
		w := fakehost.New()
		ordinary(w)
		s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
		s.Worker(101, ticks(49*time.Minute), nil, from("10.0.0.7", 1)).Ignores = []unix.Signal{unix.SIGTERM}
		s.Worker(103, ticks(10*time.Minute), []int{101}, fakehost.Listen(443))
		state := reaper.State{Memory: reaper.Memory{}}
		state.Add(reaper.Ended{Report: run(t, pass(t, w))})
		if len(state.CutOffs) != 0 {
			t.Errorf("waited for %+v", state.CutOffs)
		}
	})
	t.Run("nor are those of a dry run", func(t *testing.T) {
		w, _ := reloaded()
		p := pass(t, w)
		p.Terminator = reaper.DryRun{}
		state := reaper.State{Memory: reaper.Memory{}}
		r := run(t, p)
		r.DryRun = true
		state.Add(reaper.Ended{Report: r})
		if len(state.CutOffs) != 0 {
			t.Errorf("waited for %+v", state.CutOffs)
		}
	})
	t.Run("in another network namespace nobody can tell", func(t *testing.T) {
		w := fakehost.New()
		ordinary(w)
		s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
		old := s.Worker(101, ticks(49*time.Minute), nil, from("10.0.0.7", 1))
		active := s.Worker(103, ticks(10*time.Minute), []int{101}, fakehost.Listen(443))
		w.Change(func() { s.Master.NetNS, old.NetNS, active.NetNS = 7, 7, 7 })
		state := reaper.State{Memory: reaper.Memory{}}
		r := run(t, pass(t, w))
		if got := process(t, r, 101); got.Outcome != reaper.OutcomeTerminated {
			t.Fatalf("outcome %q", got.Outcome)
		}
		state.Add(reaper.Ended{Report: r})
		if len(state.CutOffs) != 0 {
			t.Errorf("waited for %+v", state.CutOffs)
		}
	})
}

// It is an account of what was done, and stands in the way of nothing.
func TestWhatCannotBeTold(t *testing.T) {
	w, s, state := reaped(t, nil)
	w.Pass(time.Minute)
	s.Worker(103, ticks(10*time.Minute), []int{101}, fakehost.Listen(443))
	p := pass(t, w)
	p.Memory, p.CutOffs = state.Memory, state.CutOffs
	dumps := 0
	w.Before = func(_ int, call, _ string) error {
		if call == "NetlinkOpen" {
			if dumps++; dumps > 1 { // the first finds the listeners
				return errors.New("no dump")
			}
		}
		return nil
	}
	r, err := p.Status(context.Background())
	if err != nil || len(r.Instances[0].Returns) != 0 || r.Instances[0].Refusal != "" {
		t.Fatalf("%v: %+v, refused %q", err, r.Instances[0].Returns, r.Instances[0].Refusal)
	}
	state.Add(reaper.Ended{Report: r, Before: state.Memory, After: p.Memory})
	if len(state.CutOffs) != 1 {
		t.Errorf("%d are waited for, want one", len(state.CutOffs))
	}
}

// A dry run by hand beside the timer may have read what the timer has counted.
func TestNobodyComesBackTwiceForTwoRunsSideBySide(t *testing.T) {
	w, s, state := reaped(t, nil)
	w.Pass(time.Minute)
	s.Worker(103, ticks(10*time.Minute), []int{101}, fakehost.Listen(443), from("10.0.0.8", 9))
	var ended []reaper.Ended
	for range 2 {
		p := pass(t, w)
		p.Memory, p.CutOffs = state.Memory, state.CutOffs
		ended = append(ended, reaper.Ended{Report: run(t, p), Before: state.Memory, After: p.Memory})
	}
	for _, e := range ended {
		state.Add(e)
	}
	counted(t, state, 3, 1)
}

func TestStateForgetsCutOffsThatCannotBe(t *testing.T) {
	const boot, now = "boot", 2 * time.Hour
	good := reaper.CutOff{Unit: "a", At: now - time.Minute, Peers: []reaper.CutOffPeer{{Peer: netip.MustParseAddr("10.0.0.7"), Port: 443, Ended: 2, Others: 1}}}
	with := func(change func(*reaper.CutOff)) reaper.CutOff {
		c := good
		c.Peers = append([]reaper.CutOffPeer{}, good.Peers...)
		change(&c)
		return c
	}
	for _, tt := range []struct {
		name string
		cut  reaper.CutOff
		boot string
		kept bool
	}{
		{"one of a minute ago is kept", good, boot, true},
		{"one of another boot is not", good, "another", false},
		{"nor one that is from the future", with(func(c *reaper.CutOff) { c.At = now + time.Second }), boot, false},
		{"nor one before the boot", with(func(c *reaper.CutOff) { c.At = -1 }), boot, false},
		{"nor one that is long past", with(func(c *reaper.CutOff) { c.At = now - time.Hour - time.Second }), boot, false},
		{"nor one that ended less than nothing", with(func(c *reaper.CutOff) { c.Peers[0].Ended = -1 }), boot, false},
		{"nor one that ended more than there is", with(func(c *reaper.CutOff) { c.Peers[0].Ended = 1 << 40 }), boot, false},
		{"nor one with less than no others", with(func(c *reaper.CutOff) { c.Peers[0].Others = -1 }), boot, false},
		{"nor one of nobody", with(func(c *reaper.CutOff) { c.Peers[0].Peer = netip.Addr{} }), boot, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "state")
			if _, err := reaper.UpdateState(dir, boot, noon, now, func(s *reaper.State) { s.CutOffs = []reaper.CutOff{tt.cut} }); err != nil {
				t.Fatal(err)
			}
			s, err := reaper.LoadState(dir, tt.boot, noon, now)
			if err != nil {
				t.Fatal(err)
			}
			want := []reaper.CutOff{tt.cut}
			if !tt.kept {
				want = nil
			}
			if diff := cmp.Diff(want, s.CutOffs, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
