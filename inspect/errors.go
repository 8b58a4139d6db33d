package inspect

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ReadError is a fact that could not be read: which one, where, and the errno.
type ReadError struct {
	Fact string // what was wanted, in words
	Path string // the file or call it stands in
	Err  error
}

func (e *ReadError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Fact, e.Path, e.Err) }

func (e *ReadError) Unwrap() error { return e.Err }

func readError(fact, path string, err error) error { return &ReadError{fact, path, err} }

// ErrNotRegular says that a path leads to no regular file. A FIFO, a socket or a
// device may have no end, or one that says nothing: an empty FIFO reads like an
// empty file.
var ErrNotRegular = errors.New("not a regular file")

// ErrNotKept says that a file lies on a file system that keeps none. To read such
// a file may take what another program waits for, or wait for a program.
var ErrNotKept = errors.New("on a file system of the kernel's own (proc, sysfs, tracefs) or of a program's (FUSE)")

// IsPermission tells "may not look" from every other failure.
func IsPermission(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
}

// isGone tells errors that a process's exit explains; the pidfd says whether it
// was one.
func isGone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
}
