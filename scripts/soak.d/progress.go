package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/scripts/measured"
)

// showProgress says how far the soak is: on a terminal in one line that is
// written anew each second, elsewhere in a line now and then.
func (r *run) showProgress() (end func()) {
	every, before, after := 15*time.Second, "", "\n"
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		every, before, after = time.Second, "\r\x1b[K", ""
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				fmt.Fprint(os.Stderr, before)
				return
			case <-time.After(every):
				fmt.Fprintf(os.Stderr, "%s%4.0fs  %s%s", before, time.Since(r.began).Seconds(), r.progress(), after)
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-done
	})
}

// progress is how it stands with the part that is under way.
func (r *run) progress() string {
	tallies := r.tallies()
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.row(r.part, tallies[r.part], func(int) bool { return true })
	return fmt.Sprintf("%s: %s reloads, %s connections, %d failed, %d wrong, %d residual, %d terminated, %d killed, %d overdue",
		partNames[r.part], measured.Thousands(row.reloads), measured.Thousands(row.connections), row.failed, len(row.wrong),
		row.residual, row.terminated, row.killed, row.overdue)
}
