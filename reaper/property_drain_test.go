package reaper_test

import (
	"cmp"
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// closing is a shutdown of a client's connection, and when it was.
type closing struct {
	fakehost.HungUp
	at time.Duration
}

// Whoever the clients of two old workers are: none but those of a port that no
// deadline spares is closed, the longest idle first, no faster than the rate, and
// not for longer than --drain-timeout.
func TestADrainKeepsItsPaceAndItsOrder(t *testing.T) {
	const most = 1000 // of a whole pass each, whatever -rapid.checks is
	passes, closed, spared := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		if passes++; passes > most {
			return
		}
		n := 0
		draw := func(of string) (list []fakehost.Socket) {
			for range rapid.IntRange(0, 12).Draw(t, of) {
				n++
				s := client(rapid.SampledFrom([]int{443, 22}).Draw(t, "port"), n, time.Duration(rapid.IntRange(0, 5000).Draw(t, "idle"))*time.Second)
				s.Stubborn = rapid.IntRange(0, 9).Draw(t, "stubborn") == 0
				list = append(list, s)
			}
			return list
		}
		w := fakehost.New()
		ordinary(w)
		s := fakehost.NewService(w, "haproxy", 100, ticks(50*time.Minute))
		first, second := draw("first"), draw("second")
		s.Worker(101, ticks(49*time.Minute), nil, first...).Leaves = true
		s.Worker(102, ticks(30*time.Minute), []int{101}, second...).Leaves = true
		s.Worker(103, ticks(10*time.Minute), []int{102, 101}, append([]fakehost.Socket{fakehost.Listen(443), fakehost.Listen(22)}, client(443, 900, time.Hour))...)
		p, end := openPass(w)
		defer end()
		rate := rapid.SampledFrom([]float64{0.5, 1, 3, 20, 1000}).Draw(t, "rate")
		p.Timing.DrainRate, p.Timing.DrainTimeout = rate, time.Duration(rapid.IntRange(1, 60).Draw(t, "timeout"))*time.Second
		sparesSSH := rapid.Bool().Draw(t, "ssh spared")
		if sparesSSH { // due by another rule than the deadline
			p.Policy.Deadline, p.Policy.DeadlineFor, p.Policy.MaxResidual = 24*time.Hour, map[uint16]time.Duration{22: 48 * time.Hour}, 1
		}
		var all []closing
		w.Before = func(_ int, call, _ string) error {
			for _, h := range w.HangUps()[len(all):] {
				all = append(all, closing{h, w.Boottime()})
			}
			return nil
		}
		began := w.Boottime()
		if _, err := p.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.Before = nil
		for _, h := range w.HangUps()[len(all):] {
			all = append(all, closing{h, w.Boottime()})
		}
		closed += len(all)

		targets := map[int]bool{101: true, 102: !sparesSSH} // of two one is too many, and that is the older
		ways := map[uint64][]int{}
		for _, c := range all {
			if !targets[c.ID.PID] {
				t.Fatalf("closed a connection of %d: %+v", c.ID.PID, c.Socket)
			}
			if sparesSSH && c.Socket.Local == "10.0.0.1:22" {
				t.Fatalf("closed one that its port's deadline spares: %+v", c.Socket)
			}
			ways[c.Socket.Inode] = append(ways[c.Socket.Inode], c.How)
		}
		for inode, how := range ways {
			if how[0] != unix.SHUT_RD || len(how) > 2 || len(how) == 2 && how[1] != unix.SHUT_RDWR {
				t.Fatalf("connection %d was closed by %v", inode, how)
			}
		}
		gentle := slices.DeleteFunc(slices.Clone(all), func(c closing) bool { return c.How != unix.SHUT_RD })
		if !slices.IsSortedFunc(gentle, func(a, b closing) int { return cmp.Compare(b.Socket.IdleMillisecond, a.Socket.IdleMillisecond) }) {
			t.Fatalf("not the longest idle first: %+v", gentle)
		}
		for i, a := range all {
			for j, b := range all[i:] {
				if most := rate*(b.at-a.at).Seconds() + max(1, rate); float64(j+1) > most+1e-6 {
					t.Fatalf("%d closed within %v at %g a second", j+1, b.at-a.at, rate)
				}
			}
		}
		if len(all) > 0 {
			// The look before a batch may begin within the time and end after it.
			if lasted := all[len(all)-1].at - began; lasted > p.Timing.DrainTimeout+5*time.Second {
				t.Fatalf("closed the last after %v, want %v at most", lasted, p.Timing.DrainTimeout)
			}
		}
		if sparesSSH {
			spared++
		}
	})
	t.Logf("%d passes, %d connections closed, %d passes with some that were spared", min(passes, most), closed, spared)
	if passes > 10 && closed == 0 {
		t.Error("nothing was closed: this shows nothing")
	}
}
