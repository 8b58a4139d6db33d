package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked is wrapped by the error of a lock that another process holds.
var ErrLocked = errors.New("another run holds the lock")

// Lock takes flock(2) on the file "lock" in a directory and returns what lets go
// of it; the kernel does so too when the process ends. It waits for a bounded
// time, because a stopped process keeps its locks. The file is 0600, because
// who may open it may hold it; it is the directory's owner's, so that a run by
// root locks nobody out; and it stays, since removing it would let two runs lock
// two files of one name.
func Lock(dir *os.File, wait time.Duration) (release func() error, err error) {
	path := filepath.Join(dir.Name(), "lock")
	file, err := openLock(dir, path)
	if err != nil {
		return nil, fmt.Errorf("open lock: %s: %w", path, err)
	}
	for end := time.Now().Add(wait); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return file.Close, nil
		}
		held := errors.Is(err, unix.EWOULDBLOCK)
		if again := held || errors.Is(err, unix.EINTR); again && time.Now().Before(end) {
			continue
		}
		file.Close()
		if held {
			return nil, fmt.Errorf("%w: %s", ErrLocked, path)
		}
		return nil, fmt.Errorf("take lock: %s: %w", path, err)
	}
}

// openLock follows no link and waits for nothing, whatever lies there. Only what
// it has made itself is given away. A file of root's is opened for reading, which
// CAP_DAC_READ_SEARCH allows; flock(2) needs no more, but on NFS.
func openLock(dir *os.File, path string) (*os.File, error) {
	const flags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	for {
		fd, err := unix.Openat(int(dir.Fd()), "lock", flags|unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
		if err == nil {
			file := os.NewFile(uintptr(fd), path)
			giveToOwner(dir, file)
			return file, nil
		}
		if !errors.Is(err, unix.EEXIST) {
			return nil, err
		}
		fd, err = unix.Openat(int(dir.Fd()), "lock", flags|unix.O_RDWR, 0)
		if errors.Is(err, unix.EACCES) {
			fd, err = unix.Openat(int(dir.Fd()), "lock", flags, 0)
		}
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		if !errors.Is(err, unix.ENOENT) { // else somebody has just removed it
			return nil, err
		}
	}
}
