package reaper

import (
	"net/netip"
	"testing"
	"time"
)

// The state file has a limit, and what is beyond it would cost the counters.
func TestTheStateHasRoomForWhoeverIsCutOff(t *testing.T) {
	peers := func(n int) []CutOffPeer {
		address := netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666") // the longest there are
		list := make([]CutOffPeer, n)
		for i := range list {
			list[i] = CutOffPeer{Peer: address, Port: 65535, Ended: maxEnded, Others: maxEnded}
		}
		return list
	}
	for _, tt := range []struct {
		name       string
		each, many int
		kept       int
	}{
		{"many small ones", 1, 50, maxCutOffs},
		{"some large ones", 3000, 30, 3},
		{"one that is as large as may be", maxPeers, 1, 1},
		{"of such the last alone", maxPeers, 3, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const now = 2 * time.Hour
			dir := t.TempDir()
			for n := range tt.many {
				look := Report{Instances: []Instance{{Name: "web.service", cutOff: &CutOff{Unit: "web.service", At: now - time.Minute + time.Duration(n), Peers: peers(tt.each)}}}}
				if _, err := UpdateState(dir, "boot", passTime, now, func(s *State) { s.Add(Ended{Report: look}) }); err != nil {
					t.Fatal(err)
				}
			}
			s, err := LoadState(dir, "boot", passTime, now)
			if err != nil || s.Counters.Runs != uint64(tt.many) {
				t.Fatalf("after %d runs %d are counted: %v", tt.many, s.Counters.Runs, err)
			}
			if n := len(s.CutOffs); n != tt.kept || s.CutOffs[n-1].At != now-time.Minute+time.Duration(tt.many-1) {
				t.Errorf("%d are remembered, want the last %d", n, tt.kept)
			}
		})
	}
}
