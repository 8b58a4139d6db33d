package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// State is what one pass leaves to the next: <dir>/state.json. Losing it may delay
// a reap, never cause one. Past says what it is worth as evidence.
type State struct {
	Version  int          `json:"version"`
	BootID   string       `json:"boot_id"`
	Memory   judge.Memory `json:"memory"` // of the boot BootID names; never nil
	Counters Counters     `json:"counters"`
	// Qualified are the names of instances that are qualified, in this boot.
	Qualified judge.Qualified `json:"qualifiers,omitempty"`
	// Owner is the user that owns the file it was read from; nil without a file.
	Owner *uint32 `json:"-"`

	// Forgotten is how many entries the last write left out, see bound.
	Forgotten int `json:"-"`

	// Open is a run that has signalled and not ended yet, or died.
	Open *OpenRun `json:"open,omitempty"`

	LastRun      time.Time     `json:"last_run,omitzero"`         // end of the last pass
	LastSuccess  time.Time     `json:"last_success,omitzero"`     // end of the last that did not fail
	LastDuration time.Duration `json:"last_duration_nanoseconds"` // of the last pass
}

// ErrStateReset is wrapped by the error that comes with a state whose file
// could not be used: the counters start again, and the next UpdateState
// replaces the file. It is for the log; the pass goes on.
var ErrReset = errors.New("counters and first-seen times start again")

const (
	stateVersion = 1
	// maxStateSize is the most that is read, and above what bound leaves.
	maxStateSize = 4 << 20
	// clockSkew is how far ahead of us the last run may have been.
	clockSkew = time.Minute
	// lockWait is how long another run may take to write its own state.
	lockWait = 5 * time.Second
)

// LoadState reads the state in dir and writes nothing. A file that is missing
// is an empty state. Memory of another boot than bootID is dropped, and so is
// what cannot be true at now (wall clock) and boottime (CLOCK_BOOTTIME). The
// State is always usable; errors are for the log, see ErrStateReset.
func Load(dir, bootID string, now time.Time, boottime time.Duration) (State, error) {
	empty := State{Version: stateVersion, BootID: bootID, Memory: judge.Memory{}}
	path := statePath(dir)
	content, owner, err := readState(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return empty, nil
	case err != nil:
		return empty, err
	}
	state, err := parseState(content, bootID, now, boottime)
	if err != nil {
		return empty, fmt.Errorf("state %s: %w: %w", path, ErrReset, err)
	}
	state.Owner = &owner
	return state, nil
}

// UpdateState loads the state in dir (created 0700), changes it and writes it
// back, all under a lock, so that runs side by side lose nothing of each other.
// The State is as it should have been written, whatever the error, so that
// metrics can be made of it.
func Update(dir, bootID string, now time.Time, boottime time.Duration, change func(*State)) (State, error) {
	release, lockErr := lockState(dir, lockWait)
	if lockErr == nil {
		defer release()
	}
	state, loadErr := Load(dir, bootID, now, boottime)
	change(&state)
	state.Version, state.BootID = stateVersion, bootID
	state.bound()
	switch {
	case lockErr != nil:
		return state, lockErr
	case loadErr != nil && !errors.Is(loadErr, ErrReset):
		return state, loadErr // what could not be read is not written over
	}
	if err := writeState(statePath(dir), state); err != nil {
		return state, err
	}
	return state, loadErr
}

func statePath(dir string) string { return filepath.Join(dir, "state.json") }

// readState reads the file with its owner. It follows no link and waits for
// nothing, whatever was put in the file's place.
func readState(path string) (content []byte, owner uint32, err error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, 0, fmt.Errorf("state %s: %w: it is a symbolic link", path, ErrReset)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read state: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("read state: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return nil, 0, fmt.Errorf("state %s: %w: it is not a regular file", path, ErrReset)
	case !ok:
		return nil, 0, errors.New("read state: its owner is unknown")
	}
	content, err = io.ReadAll(io.LimitReader(f, maxStateSize+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read state: %w", err)
	}
	return content, st.Uid, nil
}

// maxUnitName is the most bytes of an instance's name that the state may have. Each
// of some hundred series has the name, and the state's user may have forged it.
const maxUnitName = 256

// parseState reads the content of a state file.
func parseState(content []byte, bootID string, now time.Time, boottime time.Duration) (State, error) {
	if len(content) > maxStateSize {
		return State{}, fmt.Errorf("it is larger than %d MiB", maxStateSize>>20)
	}
	var state State
	if err := json.Unmarshal(content, &state); err != nil {
		return State{}, errors.New("it is damaged") // the cause would quote the file
	}
	latest := now.Add(clockSkew)
	switch {
	case state.Version != stateVersion:
		return State{}, fmt.Errorf("it is of version %d, not %d", state.Version, stateVersion)
	case state.LastRun.After(latest) || state.LastSuccess.After(latest):
		return State{}, errors.New("it is from the future")
	}
	state.LastDuration = max(0, state.LastDuration)
	if state.Open != nil && state.Open.Signals == nil {
		state.Open.Signals = map[string]map[string]uint64{}
	}
	if state.BootID != bootID || bootID == "" {
		state.Memory, state.Qualified = nil, nil // pids and CLOCK_BOOTTIME began again
	}
	state.BootID = bootID
	state.Memory = state.Memory.Possible(boottime)
	maps.DeleteFunc(state.Counters.Units, func(name string, _ UnitCounters) bool { return len(name) > maxUnitName })
	return state, nil
}

// writeState replaces the file at once and for good: a crash leaves the old one
// or the new one.
func writeState(path string, state State) error {
	content, err := encode(state)
	if err != nil {
		return fmt.Errorf("write state %s: %w", path, err)
	}
	if err := ReplaceFile(path, content, 0o600); err != nil {
		return fmt.Errorf("write state %s: %w", path, err)
	}
	return nil
}

// lockState takes the lock that updates are made under: a file of its own, since
// state.json is another file after every write.
func lockState(dir string, wait time.Duration) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create state directory: %w", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	defer d.Close()
	if release, err = Lock(d, wait); err != nil {
		return nil, fmt.Errorf("lock state: %w", err)
	}
	return release, nil
}
