package inspect

import (
	"bytes"
	"context"
	"errors"
	"strconv"
)

// MeasureMemory reads the memory that would be freed if the process ended
// (Private_Clean and Private_Dirty of /proc/PID/smaps_rollup, Linux 4.14).
// Shared pages, such as those of HAProxy's own code, are not counted. Failing
// leaves it unknown: no decision of who is residual rests on it.
func (h *Host) MeasureMemory(p *Process) {
	if h.LeavesAlone(p) || p.Stranger && p.Err != nil {
		return // a walk of all that it has mapped
	}
	h.patiently(context.Background(), p, h.measureMemory)
}

func (h *Host) measureMemory(p *Process) {
	b, err := h.kernel.ReadFile(procPath(p.PID, "smaps_rollup"), factLimit)
	if err != nil {
		return
	}
	if n, err := parseKilobytes(b, "Private_Clean:", "Private_Dirty:"); err == nil {
		p.PrivateBytes = &n
	}
}

// Memory is MemAvailable and MemTotal of /proc/meminfo in bytes, nil when
// unknown.
func (h *Host) Memory() (available, total *uint64) {
	b, err := h.kernel.ReadFile("/proc/meminfo", factLimit)
	if err != nil {
		return nil, nil
	}
	if n, err := parseKilobytes(b, "MemAvailable:"); err == nil {
		available = &n
	}
	if n, err := parseKilobytes(b, "MemTotal:"); err == nil {
		total = &n
	}
	return available, total
}

var errNoField = errors.New("no such field")

// parseKilobytes adds up lines such as "Private_Dirty:   1234 kB", in bytes.
// Every named field must be there.
func parseKilobytes(b []byte, names ...string) (uint64, error) {
	var sum uint64
	for _, name := range names {
		found := false
		for line := range bytes.Lines(b) {
			rest, ok := bytes.CutPrefix(line, []byte(name))
			if !ok {
				continue
			}
			number, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
			n, err := strconv.ParseUint(string(number), 10, 54)
			if err != nil {
				return 0, err
			}
			sum += n << 10
			found = true
			break
		}
		if !found {
			return 0, errNoField
		}
	}
	return sum, nil
}
