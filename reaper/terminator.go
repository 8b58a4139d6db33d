package reaper

import (
	"syscall"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// Terminator is who acts. A dry run is another Terminator, chosen once.
type Terminator interface {
	// MaySignal returns nil where it may signal a process, and else the reason. It
	// sends nothing. inspect.ErrGone when the process has left.
	MaySignal(id inspect.ProcID) error
	// Signal sends a signal to a process that was found residual, and tells
	// whether it did. inspect.ErrGone when the process has left.
	Signal(id inspect.ProcID, signal syscall.Signal) (sent bool, err error)
	// HangUp closes a client connection of such a process, and tells whether it
	// did. inspect.ErrOther when the connection has ended, inspect.ErrGone when
	// the process has left.
	HangUp(id inspect.ProcID, c inspect.ClientSocket, how inspect.Hangup) (done bool, err error)
}

// Signaller sends signals, through the pidfds of its host and in no other way.
type Signaller struct{ Host *inspect.Host }

// MaySignal implements Terminator.
func (s Signaller) MaySignal(id inspect.ProcID) error {
	handle := s.Host.Handle(id)
	if handle == nil {
		return inspect.ErrGone
	}
	return handle.MaySignal()
}

// Signal implements Terminator.
func (s Signaller) Signal(id inspect.ProcID, signal syscall.Signal) (bool, error) {
	handle := s.Host.Handle(id)
	if handle == nil {
		return false, inspect.ErrGone
	}
	if err := handle.Signal(signal); err != nil {
		return false, err
	}
	return true, nil
}

// HangUp implements Terminator.
func (s Signaller) HangUp(id inspect.ProcID, c inspect.ClientSocket, how inspect.Hangup) (bool, error) {
	err := s.Host.HangUp(id, c, how)
	return err == nil, err
}

// DryRun sends nothing, and closes nothing.
type DryRun struct{}

// MaySignal implements Terminator: a dry run needs no right to signal.
func (DryRun) MaySignal(inspect.ProcID) error { return nil }

// Signal implements Terminator.
func (DryRun) Signal(inspect.ProcID, syscall.Signal) (bool, error) { return false, nil }

// HangUp implements Terminator.
func (DryRun) HangUp(inspect.ProcID, inspect.ClientSocket, inspect.Hangup) (bool, error) {
	return false, nil
}
