package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

const (
	thisBoot     = "4f5c1c2e-7a8b-4d38-9a53-0d9e1b6a7c11"
	bootAge      = time.Hour // CLOCK_BOOTTIME in these tests
	wellFormed   = `{"version":1,"boot_id":"` + thisBoot + `","counters":{"runs":7},"last_run":"2026-11-22T09:59:00Z"`
	withOneEntry = wellFormed + `,"memory":{"6034@4305":%s}}`
)

// remembers is the memory of one process, 6034@4305, started 43.05 s after boot.
func remembers(seen judge.Seen) judge.Memory {
	return judge.Memory{inspect.ProcID{PID: 6034, StartTicks: 4305}: seen}
}

func update(t *testing.T, dir string, change func(*State)) State {
	t.Helper()
	state, err := Update(dir, thisBoot, passTime, bootAge, change)
	if err != nil {
		t.Fatalf("UpdateState: %v", err)
	}
	return state
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestStateIsReadBackAsItWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	want := update(t, dir, func(s *State) {
		s.Memory[inspect.ProcID{PID: 6034, StartTicks: 4305}] = judge.Seen{
			Residual: 50 * time.Minute, Stranded: true, Told: true, Heir: judge.Heir{ProcID: inspect.ProcID{PID: 6040, StartTicks: 4400}, NSPID: 7}, Superseded: 40 * time.Minute,
		}
		s.Counters.Add(onePass(oldWorker(time.Minute, 3, 3, after(judge.OutcomeTerminated, "SIGTERM"))), false)
		s.Counters.Add(onePass(oldWorker(time.Minute, 3, 3, refused(judge.ReasonTie))), true)
		s.Counters.Add(judge.Report{Errors: []string{"list /proc"}}, true)
		s.LastRun, s.LastSuccess, s.LastDuration = passTime, passTime.Add(-time.Hour), 1200*time.Millisecond
	})
	got, err := Load(dir, thisBoot, passTime, bootAge)
	if err != nil {
		t.Fatal(err)
	}
	owner := uint32(os.Geteuid())
	want.Owner = &owner
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state read back (-written +read):\n%s", diff)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, "state.json"): 0o600, filepath.Join(dir, "lock"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("mode of %s is %v, want %v", path, info.Mode(), want)
		}
	}
}

func TestStateFileNamesProcessesByPidAndTicks(t *testing.T) {
	dir := t.TempDir()
	update(t, dir, func(s *State) { s.Memory = remembers(judge.Seen{Stranded: true}) })
	content, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Memory map[string]any }
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Memory) != 1 || got.Memory["6034@4305"] == nil {
		t.Errorf("memory in the file is %v, want one entry 6034@4305", got.Memory)
	}
}

func TestLoadStateOfAMissingFileIsEmptyAndWritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "never made")
	got, err := Load(dir, thisBoot, passTime, bootAge)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(State{Version: 1, BootID: thisBoot, Memory: judge.Memory{}}, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking made %s: %v", dir, err)
	}
}

func TestMemory(t *testing.T) {
	tests := []struct {
		name    string
		content string
		bootID  string
		want    judge.Memory
	}{
		{"of this boot is kept", fmt.Sprintf(withOneEntry, `{"Residual":3000000000000}`), thisBoot, remembers(judge.Seen{Residual: 50 * time.Minute})},
		{"that a process was stranded is kept", fmt.Sprintf(withOneEntry, `{"Stranded":true}`), thisBoot, remembers(judge.Seen{Stranded: true})},
		{"of another boot is dropped", fmt.Sprintf(withOneEntry, `{"Residual":3000000000000}`), "another boot", judge.Memory{}},
		{"is dropped when the boot is not known", strings.Replace(fmt.Sprintf(withOneEntry, `{"Residual":3000000000000}`), thisBoot, "", 1), "", judge.Memory{}},
		{"of the next hour is dropped", fmt.Sprintf(withOneEntry, `{"Residual":7200000000000}`), thisBoot, judge.Memory{}},
		{"of before the process started is dropped", fmt.Sprintf(withOneEntry, `{"Residual":43049999999}`), thisBoot, judge.Memory{}},
		{"of the process's very start is kept", fmt.Sprintf(withOneEntry, `{"Residual":43050000000}`), thisBoot, remembers(judge.Seen{Residual: 43050 * time.Millisecond})},
		{"of before the boot is dropped", fmt.Sprintf(withOneEntry, `{"Residual":-1}`), thisBoot, judge.Memory{}},
		{"that cannot be leaves the stranded mark, which only delays", fmt.Sprintf(withOneEntry, `{"Residual":-1,"Stranded":true}`), thisBoot, remembers(judge.Seen{Stranded: true})},
		{"of what is no process is dropped", wellFormed + `,"memory":{"":{"Stranded":true},"7":{"Stranded":true},"0@5":{"Stranded":true},"-7@5":{"Stranded":true},"+7@5":{"Stranded":true},"7@-5":{"Stranded":true},"07@5":{"Stranded":true},"7@5@5":{"Stranded":true},"7@99999999999999999999":{"Stranded":true}}}`, thisBoot, judge.Memory{}},
		{"of this very moment is kept", fmt.Sprintf(withOneEntry, `{"Residual":3600000000000,"Superseded":3600000000000}`), thisBoot, remembers(judge.Seen{Residual: bootAge, Superseded: bootAge})},
		{"of when it was superseded is dropped where it is of the next hour", fmt.Sprintf(withOneEntry, `{"Residual":3000000000000,"Superseded":3600000000001}`), thisBoot, remembers(judge.Seen{Residual: 50 * time.Minute})},
		{"of when it was superseded is dropped where it is of before the boot", fmt.Sprintf(withOneEntry, `{"Residual":3000000000000,"Superseded":-1}`), thisBoot, remembers(judge.Seen{Residual: 50 * time.Minute})},
		{"beside what an earlier version kept of clients is kept", strings.Replace(fmt.Sprintf(withOneEntry, `{"Stranded":true}`), `"counters":{"runs":7}`,
			`"counters":{"runs":7,"units":{"web":{"followed_connections":3,"returned_connections":2}}},"cut_offs":[{"unit":"web","at_nanoseconds":1,"peers":[{"peer":"10.0.0.7","port":443,"ended":3,"others":1}]}]`, 1), thisBoot, remembers(judge.Seen{Stranded: true})},
		{"that is null is empty", wellFormed + `,"memory":null}`, thisBoot, judge.Memory{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "state.json"), tt.content)
			got, err := Load(dir, tt.bootID, passTime, bootAge)
			if err != nil {
				t.Fatalf("LoadState: %v; dropping memory is no error", err)
			}
			if diff := cmp.Diff(tt.want, got.Memory); diff != "" {
				t.Errorf("memory (-want +got):\n%s", diff)
			}
			if got.Counters.Runs != 7 {
				t.Errorf("runs = %d, want the 7 in the file: counters outlive memory", got.Counters.Runs)
			}
		})
	}
}

func TestStateStartsAgain(t *testing.T) {
	file := func(content string) func(*testing.T, string) {
		return func(t *testing.T, path string) { writeFile(t, path, content) }
	}
	tests := []struct {
		name  string
		plant func(t *testing.T, path string)
		why   string
	}{
		{"when the file is empty", file(""), "damaged"},
		{"when the file is cut short", file(wellFormed), "damaged"},
		{"when something follows the document", file(wellFormed + "}}"), "damaged"},
		{"when a counter is negative", file(`{"version":1,"counters":{"runs":-1}}`), "damaged"},
		{"when a counter is no number", file(`{"version":1,"counters":{"runs":"many\n\n"}}`), "damaged"},
		{"when the file is of a later version", file(`{"version":2}`), "of version 2, not 1"},
		{"when the file says null", file("null"), "of version 0, not 1"},
		{"when the last run is still to come", file(`{"version":1,"last_run":"2026-11-22T10:01:01Z"}`), "from the future"},
		{"when the last success is still to come", file(`{"version":1,"last_success":"2026-11-22T10:01:01Z"}`), "from the future"},
		{"when the file is huge", file(strings.Repeat(" ", maxStateSize) + wellFormed + "}"), "larger than 4 MiB"},
		{"when a FIFO is in its place", func(t *testing.T, path string) {
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
		{"when a symbolic link is in its place", func(t *testing.T, path string) {
			target := filepath.Join(t.TempDir(), "target")
			writeFile(t, target, wellFormed+"}")
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if got, _ := os.ReadFile(target); string(got) != wellFormed+"}" {
					t.Errorf("the link's target was changed to %q", got)
				}
			})
		}, "symbolic link"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.plant(t, filepath.Join(dir, "state.json"))
			state, err := Update(dir, thisBoot, passTime, bootAge, func(s *State) { s.Counters.Runs++ })
			if !errors.Is(err, ErrReset) {
				t.Fatalf("UpdateState: %v, want ErrStateReset", err)
			}
			for _, want := range []string{dir + "/state.json", "start again", tt.why} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error is more than one line: %q", err)
			}
			if state.Counters.Runs != 1 || len(state.Memory) != 0 {
				t.Errorf("state is %+v, want one run and no memory", state)
			}
			if got := update(t, dir, func(s *State) { s.Counters.Runs++ }); got.Counters.Runs != 2 {
				t.Errorf("the next pass counts %d runs, want 2", got.Counters.Runs)
			}
		})
	}
}

// Each of its series would have the name, and node_exporter reads them all.
func TestAStateHasNoInstanceWithAnEndlessName(t *testing.T) {
	dir := t.TempDir()
	longest := strings.Repeat("n", 256)
	writeFile(t, filepath.Join(dir, "state.json"), fmt.Sprintf(`{"version":1,"counters":{"runs":7,"units":{%q:{"terminated_processes":1},%q:{"terminated_processes":1}}}}`, longest, longest+"n"))
	got, err := Load(dir, thisBoot, passTime, bootAge)
	if err != nil || got.Counters.Runs != 7 || len(got.Counters.Units) != 1 || got.Counters.Units[longest].TerminatedProcesses != 1 {
		t.Errorf("%d runs, %d instances, %v; want 7, and the one whose name has 256 bytes", got.Counters.Runs, len(got.Counters.Units), err)
	}
}

// A run that died left its signals; where a file says none, they can be added to.
func TestTheSignalsOfAnOpenRunCanBeAddedTo(t *testing.T) {
	for content, want := range map[string]int{
		wellFormed + `,"open":{}}`:                                            0,
		wellFormed + `,"open":{"signals":null}}`:                              0,
		wellFormed + `,"open":{"signals":{"haproxy.service":{"SIGTERM":2}}}}`: 1,
	} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "state.json"), content)
		got, err := Load(dir, thisBoot, passTime, bootAge)
		if err != nil || got.Open == nil || got.Open.Signals == nil || len(got.Open.Signals) != want {
			t.Errorf("%s: %+v, %v", content, got.Open, err)
		}
	}
}

func TestAStateOfTheLargestSizeIsRead(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "state.json"), strings.Repeat(" ", maxStateSize-len(wellFormed)-1)+wellFormed+"}")
	if got, err := Load(dir, thisBoot, passTime, bootAge); err != nil || got.Counters.Runs != 7 {
		t.Errorf("%d runs, %v; want the 7 in the file", got.Counters.Runs, err)
	}
}

func TestLoadStateToleratesAClockAMinuteBehind(t *testing.T) {
	dir := t.TempDir()
	update(t, dir, func(s *State) { s.LastRun = passTime.Add(time.Minute); s.LastDuration = -time.Second })
	got, err := Load(dir, thisBoot, passTime, bootAge)
	if err != nil {
		t.Fatal(err)
	}
	if got.LastDuration != 0 {
		t.Errorf("last duration = %v, want 0 for a negative one", got.LastDuration)
	}
}

func TestUpdatesSideBySideLoseNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	const workers, rounds = 2, 50
	var group sync.WaitGroup
	for n := range workers {
		group.Go(func() {
			for round := range rounds {
				_, err := Update(dir, thisBoot, passTime, bootAge, func(s *State) {
					s.Counters.Add(onePass(oldWorker(time.Minute, 1, 1, after(judge.OutcomeTerminated, "SIGTERM"))), false)
					s.Memory[inspect.ProcID{PID: n + 1, StartTicks: uint64(round)}] = judge.Seen{Residual: time.Minute}
				})
				if err != nil {
					t.Errorf("UpdateState: %v", err)
				}
			}
		})
	}
	group.Wait()
	got, err := Load(dir, thisBoot, passTime, bootAge)
	if err != nil {
		t.Fatal(err)
	}
	if want := uint64(workers * rounds); got.Counters.Runs != want || got.Counters.Units["haproxy.service"].TerminatedConnections != 2*want {
		t.Errorf("counters are %+v, want %d runs and twice the connections", got.Counters, want)
	}
	if len(got.Memory) != workers*rounds {
		t.Errorf("%d processes remembered, want %d", len(got.Memory), workers*rounds)
	}
	leftOver(t, dir, "lock", "state.json")
}

func TestUpdateStateWithAnUnusableDirectoryStillTellsTheState(t *testing.T) {
	notADirectory := filepath.Join(t.TempDir(), "file")
	writeFile(t, notADirectory, "")
	linked := t.TempDir()
	if err := os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), filepath.Join(linked, "lock")); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{
		"a file is in its place":                  notADirectory,
		"nothing can be made where it should be":  "/proc/haproxy-reaper",
		"the lock is a symbolic link to anywhere": linked,
	} {
		t.Run(name, func(t *testing.T) {
			state, err := Update(dir, thisBoot, passTime, bootAge, func(s *State) { s.Counters.Runs++ })
			if err == nil || errors.Is(err, ErrReset) || !strings.Contains(err.Error(), dir) {
				t.Errorf("error is %v, want one that names %s", err, dir)
			}
			if state.Counters.Runs != 1 {
				t.Errorf("runs = %d, want this one", state.Counters.Runs)
			}
		})
	}
}

func TestLockStateGivesUpOnALockThatIsHeld(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockState(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockState(dir, 20*time.Millisecond); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second lock: %v, want ErrLocked naming %s", err, dir)
	}
	unlock()
	unlock, err = lockState(dir, 0)
	if err != nil {
		t.Fatalf("the lock was not given back: %v", err)
	}
	unlock()
}

// leftOver fails when dir holds anything but the wanted names.
func leftOver(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files in %s (-want +got):\n%s", dir, diff)
	}
}

// FuzzState: whatever the file holds, there is no panic, nothing impossible is
// remembered, and what was accepted is stable.
func FuzzState(f *testing.F) {
	f.Add([]byte(wellFormed + "}"))
	f.Add(fmt.Appendf(nil, withOneEntry, `{"Residual":3000000000000,"Stranded":true}`))
	f.Add(fmt.Appendf(nil, withOneEntry, `{"Residual":-9223372036854775808}`))
	f.Add([]byte(`{"version":1,"counters":{"runs":18446744073709551615,"units":{"a\n\"b":{"signals":{"SIGTERM":1},"refusals":{"tie":2}},"\ud800":null}}}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		state, err := parseState(content, thisBoot, passTime, bootAge)
		if err != nil {
			return
		}
		for id, seen := range state.Memory {
			if id.PID <= 0 || seen.Residual < 0 || seen.Residual > bootAge {
				t.Errorf("remembered %v: %+v", id, seen)
			}
		}
		if state.LastDuration < 0 || state.LastRun.After(passTime.Add(clockSkew)) {
			t.Errorf("last run %v, %v long", state.LastRun, state.LastDuration)
		}
		written, err := json.Marshal(state)
		if err != nil {
			t.Fatalf("accepted, and cannot be written: %v", err)
		}
		again, err := parseState(written, thisBoot, passTime, bootAge)
		if err != nil {
			t.Fatalf("written, and cannot be read: %v\n%s", err, written)
		}
		if diff := cmp.Diff(state, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("read back (-written +read):\n%s", diff)
		}
		state.Counters.Add(onePass(oldWorker(time.Minute, 1, 1, after(judge.OutcomeKilled, "SIGTERM", "SIGKILL"))), true)
	})
}
