package agent

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// lockDir holds the file that live runs lock. It is on a file system that a
// boot empties, and only root may create it there.
const lockDir = "/run/haproxy-reaper"

// lock takes the lock that keeps live runs apart, without waiting, and returns
// what lets go of it.
func lock(dir string) (release func() error, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("create lock directory: %w", err)
	}
	d, err := os.OpenFile(dir, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open lock directory: %w", err)
	}
	defer d.Close()
	return state.Lock(d, 0)
}
