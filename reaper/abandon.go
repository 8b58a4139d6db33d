package reaper

import (
	"context"
	"time"
)

// lookGrace is how long a look may take to end by itself when its time is over,
// which every one does that the kernel does not hold up.
const lookGrace = time.Second

// orAbandon runs a look and returns what came of it; the context's error when that
// has ended and the look has not. A kernel lets some calls wait for as long as
// it likes: to read a process's arguments or memory while somebody else holds
// the lock of its memory map, or a configuration on a file system that does not
// answer. Such a look is left behind. It has all that it touches to itself,
// signals nobody, and ends with its call or with this program.
func orAbandon[T any](ctx context.Context, look func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ended := make(chan result, 1)
	go func() {
		value, err := look()
		ended <- result{value, err}
	}()
	select {
	case r := <-ended:
		return r.value, r.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(lookGrace)
	defer grace.Stop()
	select {
	case r := <-ended:
		return r.value, r.err
	case <-grace.C:
		var none T
		return none, ctx.Err()
	}
}
