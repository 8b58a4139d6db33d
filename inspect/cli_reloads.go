package inspect

import (
	"bytes"
	"context"
	"regexp"
	"strconv"
	"strings"
)

// MasterAnswer is what a master's CLI says of the reloads behind it.
type MasterAnswer struct {
	Version string // of the master, "" before 2.0
	// Reloads is how many reloads each of its workers has seen, by its pid in the
	// master's PID namespace. A master lists no more than some 202 processes.
	Reloads map[int]int
}

// AskReloads asks a master how many reloads its workers have seen; socket is as
// in AskMaster, and so are the errors.
func (h *Host) AskReloads(ctx context.Context, s Snapshot, master *Process, socket string) (MasterAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cli, err := h.openCLI(ctx, s, master, socket)
	if err != nil {
		return MasterAnswer{}, err
	}
	defer cli.close()
	text, _, err := h.askProc(cli, master)
	if err != nil {
		return MasterAnswer{}, err
	}
	return parseReloads(text), nil
}

var (
	bracketed     = regexp.MustCompile(`\[[^]]*\]`)
	versionNumber = regexp.MustCompile(`^[0-9]+\.[0-9]+`)
)

// parseReloads reads the columns of `show proc` that parseShowProc leaves out:
// the reloads, which are the third column since 2.5 and the fourth before, and
// the version, the last since 2.0. A row that does not have them tells nothing.
func parseReloads(b []byte) MasterAnswer {
	answer := MasterAnswer{Reloads: map[int]int{}}
	column := 2
	for line := range bytes.Lines(b) {
		if bytes.HasPrefix(line, []byte("#<PID>")) && bytes.Contains(line, []byte("<relative PID>")) {
			column = 3
		}
		// "1 [failed: 0]" and "[was: 1]" hold blanks: the one stands beside its
		// number, the other in place of it.
		text := strings.ReplaceAll(string(line), " [failed", "[failed")
		fields := strings.Fields(bracketed.ReplaceAllString(text, "_"))
		if len(fields) <= column {
			continue
		}
		pid, err := strconv.ParseUint(fields[0], 10, 31)
		if err != nil {
			continue
		}
		switch fields[1] {
		case "master":
			if last := fields[len(fields)-1]; answer.Version == "" && versionNumber.MatchString(last) {
				answer.Version = last
			}
		case "worker":
			if n, err := strconv.ParseUint(fields[column], 10, 31); err == nil {
				answer.Reloads[int(pid)] = int(n)
			}
		}
	}
	return answer
}
