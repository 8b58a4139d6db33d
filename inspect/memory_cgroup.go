package inspect

import (
	"bytes"
	"path"
	"slices"
	"strconv"
	"strings"
)

// MemoryLimit is a limit of a memory cgroup, and what of it is still to be had.
// Both are in bytes.
type MemoryLimit struct{ Limit, Available uint64 }

// CgroupMemory is the limit on the memory of the cgroup that a process is in, or
// of one above it: that of which the smallest part is left. Page cache that the
// kernel would give up first (inactive_file) counts as available. It is nil
// where there is no limit, and where none could be read: like MeasureMemory it
// bears on no decision of who is residual.
//
// The files are memory.max, memory.current and memory.stat of cgroup v2
// (Documentation/admin-guide/cgroup-v2.rst), memory.limit_in_bytes,
// memory.usage_in_bytes and memory.stat of v1 (cgroup-v1/memory.rst).
func (h *Host) CgroupMemory(p *Process) *MemoryLimit {
	b, err := h.kernel.ReadFile(procPath(p.PID, "cgroup"), factLimit)
	if err != nil {
		return nil
	}
	at, files := memoryCgroup(b)
	// One that lies outside the part of the hierarchy that we see begins with "..".
	if !strings.HasPrefix(at, "/") || slices.Contains(strings.Split(at, "/"), "..") {
		return nil
	}
	var least *MemoryLimit
	for at = path.Clean(at); ; at = path.Dir(at) {
		if m := h.memoryLimit(files, at); m != nil && (least == nil || m.left() < least.left()) {
			least = m
		}
		if at == "/" {
			return least
		}
	}
}

// left is the part of the limit that is available.
func (m *MemoryLimit) left() float64 { return float64(m.Available) / float64(m.Limit) }

// memoryFiles are where a version of cgroups keeps its account of memory.
type memoryFiles struct{ root, limit, usage, cache string }

var (
	memoryV1 = memoryFiles{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "}
	memoryV2 = memoryFiles{"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "}
)

// memoryCgroup is the path of a process in the hierarchy that accounts for its
// memory, of /proc/PID/cgroup (cgroups(7)), "" where there is none.
func memoryCgroup(b []byte) (at string, files memoryFiles) {
	for line := range bytes.Lines(b) {
		fields := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		switch {
		case len(fields) < 3:
		case slices.Contains(strings.Split(fields[1], ","), "memory"):
			return fields[2], memoryV1
		case fields[0] == "0" && fields[1] == "":
			at, files = fields[2], memoryV2
		}
	}
	return at, files
}

// memoryLimit reads one cgroup's own limit, nil where it has none.
func (h *Host) memoryLimit(files memoryFiles, at string) *MemoryLimit {
	// v1 says that there is no limit by one that nothing reaches: the most pages
	// that fit into a signed number of bytes.
	const unlimited = 1 << 62
	limit, _ := h.cgroupNumber(path.Join(files.root, at, files.limit), "")
	if limit == 0 || limit >= unlimited { // 0 also where it is "max", or could not be read
		return nil
	}
	usage, ok := h.cgroupNumber(path.Join(files.root, at, files.usage), "")
	if !ok {
		return nil
	}
	cache, ok := h.cgroupNumber(path.Join(files.root, at, "memory.stat"), files.cache)
	if !ok {
		return nil
	}
	return &MemoryLimit{Limit: limit, Available: limit - min(limit, usage-min(usage, cache))}
}

// cgroupNumber is the number of a file that holds nothing else, or of its line
// that begins with name.
func (h *Host) cgroupNumber(file, name string) (uint64, bool) {
	b, err := h.kernel.ReadFile(file, factLimit)
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		if text, found := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), name); found {
			n, err := strconv.ParseUint(text, 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
