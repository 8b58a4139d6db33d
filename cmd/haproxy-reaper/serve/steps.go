package serve

import (
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stepsVariable names the descriptor on which a pass tells serve, its parent,
// that it gets on: a byte a step, at most one every stepInterval. A pass may wait
// for hours (--kill-after), and one that waits is not one that hangs.
const (
	stepsVariable = "HAPROXY_REAPER_STEPS_FD"
	stepInterval  = 100 * time.Millisecond
)

// Stepper returns what a pass calls when it gets on, nil unless its parent is serve.
// The clock is CLOCK_BOOTTIME.
func Stepper(lookupEnv func(string) (string, bool), clock func() time.Duration) func() {
	number, _ := lookupEnv(stepsVariable)
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 || unix.SetNonblock(fd, true) != nil {
		return nil
	}
	steps := os.NewFile(uintptr(fd), "steps")
	var last atomic.Int64
	return func() {
		now := clock()
		before := last.Load()
		if before > 0 && now-time.Duration(before) < stepInterval || !last.CompareAndSwap(before, int64(now)) {
			return
		}
		steps.Write([]byte{'.'}) // a parent that is gone wants none
	}
}
