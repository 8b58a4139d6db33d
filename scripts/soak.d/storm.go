package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// reloadsAtOnce is how many reloads may be under way, each of another service.
const reloadsAtOnce = 4

// storm reloads services at random until ctx ends: so many a second, some of
// them twice within the time that one takes. It returns when the last is over.
func storm(ctx context.Context, m *machine.Machine, all []cell, perSecond float64, done func(c int, output string, err error)) {
	var running sync.WaitGroup
	defer running.Wait()
	free := make(chan int, len(all)) // services without a reload under way
	for _, i := range rand.Perm(len(all)) {
		free <- i
	}
	atOnce := make(chan struct{}, reloadsAtOnce)
	for next := time.Now(); ; {
		times := 1
		if rand.IntN(5) == 0 {
			times = 2
		}
		// Exponential gaps, and never a pile of what could not be done in time.
		next = next.Add(time.Duration(rand.ExpFloat64() * float64(times) / perSecond * float64(time.Second)))
		if behind := time.Now().Add(-time.Second); next.Before(behind) {
			next = behind
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		i := <-free
		atOnce <- struct{}{}
		running.Go(func() {
			for range times {
				output, err := m.Run("systemctl", "reload", all[i].unit())
				done(i, output, err)
			}
			<-atOnce
			free <- i
		})
	}
}
