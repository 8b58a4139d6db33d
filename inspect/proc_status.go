package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// status is what is used of /proc/PID/status (proc(5)).
type status struct {
	nspid  int // in its own PID namespace
	fdSize int // descriptor slots allocated
	masks  SignalMasks
}

// parseStatus reads /proc/PID/status. Its first line is the command name, which
// the process chose, so it is skipped and every key counts once, at its first
// line. A line without its end was cut and does not count.
func parseStatus(b []byte) (status, error) {
	values := map[string][][]byte{}
	for first := true; ; first = false {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		if !whole {
			break
		}
		b = rest
		key, value, ok := bytes.Cut(line, []byte{':'})
		if !ok || first && string(key) == "Name" {
			continue
		}
		switch string(key) {
		case "Pid", "NSpid", "FDSize", "SigBlk", "SigIgn", "SigCgt":
			if _, seen := values[string(key)]; !seen {
				values[string(key)] = bytes.Fields(value)
			}
		}
	}

	var s status
	// NSpid has one number for each PID namespace from the reader's inwards.
	pids := values["NSpid"]
	if len(pids) == 0 {
		pids = values["Pid"]
	}
	if len(pids) == 0 {
		return status{}, errors.New("parse status: no pid")
	}
	nspid, err := strconv.ParseUint(string(pids[len(pids)-1]), 10, 31)
	if err != nil {
		return status{}, fmt.Errorf("parse status: pid: %w", err)
	}
	s.nspid = int(nspid)

	// Without it no look at the descriptors could be known to be whole.
	size := values["FDSize"]
	if len(size) != 1 {
		return status{}, errors.New("parse status: no number of descriptor slots")
	}
	slots, err := strconv.ParseUint(string(size[0]), 10, 31)
	if err != nil {
		return status{}, fmt.Errorf("parse status: descriptor slots: %w", err)
	}
	s.fdSize = int(slots)

	for _, m := range []struct {
		key  string
		mask *uint64
	}{
		{"SigBlk", &s.masks.Blocked},
		{"SigIgn", &s.masks.Ignored},
		{"SigCgt", &s.masks.Caught},
	} {
		text := values[m.key]
		if len(text) != 1 || len(text[0]) != 16 {
			return status{}, fmt.Errorf("parse status: %s is no mask of 16 hexadecimal digits", m.key)
		}
		if *m.mask, err = strconv.ParseUint(string(text[0]), 16, 64); err != nil {
			return status{}, fmt.Errorf("parse status: %s: %w", m.key, err)
		}
	}
	return s, nil
}
