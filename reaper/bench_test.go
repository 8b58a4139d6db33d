package reaper_test

import (
	"context"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// Benchmarks, to be run by hand: go test -run=NONE -bench=. ./reaper

// crowded is a service with so many old workers, each told to leave by all that
// came after it.
func crowded(old int) *fakehost.World {
	w := fakehost.New()
	ordinary(w)
	s := fakehost.NewService(w, "haproxy", 100, ticks(59*time.Minute))
	var finish []int
	for i := range old {
		s.Worker(101+i, ticks(58*time.Minute)+uint64(i), finish, fakehost.Client(443, i+1, time.Minute))
		finish = append(finish, 101+i)
	}
	s.Worker(101+old, ticks(time.Minute), finish, fakehost.Listen(443))
	return w
}

func BenchmarkDecide(b *testing.B) {
	w := crowded(200)
	p := pass(b, w)
	r, err := p.Status(context.Background())
	if err != nil || r.Summary.Residual != 200 {
		b.Fatalf("%d residual, %v", r.Summary.Residual, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r = judge.Decide(r, judge.Policy{Deadline: time.Hour})
	}
}

// BenchmarkStatus is a whole look at a host of words: what is left is this
// program's own share.
func BenchmarkStatus(b *testing.B) {
	p := pass(b, crowded(200))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Status(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
