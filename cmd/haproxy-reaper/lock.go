package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// lockDir holds the file that live runs lock. It is on a file system that a
// boot empties, and only root may create it there.
const lockDir = "/run/haproxy-reaper"

// errBusy says that another live run holds the lock.
var errBusy = errors.New("another run holds the lock")

// lock takes the lock that keeps live runs apart, without waiting, and returns
// what lets go of it; the kernel does so too when the process ends. The file is
// 0600, because who may open it may hold it, and it stays: removing it would let
// two runs lock two files of one name.
func lock(dir string) (release func() error, err error) {
	if err := unix.Mkdir(dir, 0o755); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("create lock directory: %s: %w", dir, err)
	}
	dirfd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open lock directory: %s: %w", dir, err)
	}
	defer unix.Close(dirfd)
	path := dir + "/lock"
	fd, err := unix.Openat(dirfd, "lock", unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %s: %w", path, err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", errBusy, path)
		}
		return nil, fmt.Errorf("take lock: %s: %w", path, err)
	}
	return func() error { return unix.Close(fd) }, nil
}
