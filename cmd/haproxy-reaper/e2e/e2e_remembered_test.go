package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// launching is a way to start HAProxy by arguments or with a parent that keep a
// later process from being told for one of the same service by them alone.
type launching struct {
	name string
	// by prepares it, and returns what starts a process and tells another one to
	// finish.
	by func(b *bed, config string) func(told ...process) process
}

var launchings = []launching{
	{"by Debian's start script", func(b *bed, config string) func(...process) process {
		script := b.initScript(config)
		return func(told ...process) process {
			do := "start"
			if len(told) > 0 {
				do = "reload" // it names the one of its file, which is the last
			}
			return b.brings(command{args: b.haproxyAs(0, "/bin/sh", script, do)})
		}
	}},
	{"by a supervisor", func(b *bed, config string) func(...process) process {
		s := b.supervisor()
		return func(told ...process) process {
			args := b.haproxy("-db", "-f", config)
			for _, p := range told {
				args = append(args, "-sf", strconv.Itoa(p.PID))
			}
			return s.brings(args...)
		}
	}},
}

// moved starts a service, holds a client, and reloads it at another address: of
// the process before, nothing is at an address of the one after.
func moved(b *bed, way launching) (start func(told ...process) process, first, second process) {
	b.t.Helper()
	config, backend := bedDir+"/web.cfg", b.startBackend()
	b.write(config, tcpConfig("127.0.0.1:8000", backend, ""))
	start = way.by(b, config)
	first = start()
	b.client("127.0.0.1:8000")
	b.write(config, tcpConfig("127.0.0.1:8001", backend, ""))
	second = start(first)
	b.until(func() error { return b.silent(first) })
	return start, first, second
}

// The process that told an old one has left, and nothing that can be read still
// tells it. An earlier pass has seen it, and its state says so, if it is to be
// believed.
func TestWhatAnEarlierPassSawIsRemembered(t *testing.T) {
	const dir, file = bedDir + "/state", bedDir + "/state/state.json"
	for _, test := range []struct {
		name     string
		change   func(t *testing.T, b *bed)
		believed bool
	}{
		{"kept", func(*testing.T, *bed) {}, true},
		{"lost", func(t *testing.T, b *bed) {
			if err := os.Remove(b.path(file)); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"of a user who could not signal the process", func(t *testing.T, b *bed) { b.chown(file, bedNobody) }, false},
		{"of the user of the process", func(t *testing.T, b *bed) { b.chown(file, 102) }, true},
		{"of another boot", func(t *testing.T, b *bed) {
			text := b.read(file)
			other := strings.Replace(text, `"boot_id":"`, `"boot_id":"0`, 1)
			if other == text {
				t.Fatalf("no boot in %s", text)
			}
			b.write(file, other)
		}, false},
	} {
		for _, way := range launchings {
			t.Run(test.name+"/"+way.name, func(t *testing.T) {
				inEveryRelease(t, func(t *testing.T, b *bed) {
					start, first, second := moved(b, way)
					b.mkdir(dir)
					seen := b.agent("reap", "--deadline", "1h", "--state-dir", dir).exits(0).finds(first, isWaited).shows(first, toldBy(second))
					third := start(second)
					b.until(func() error { return b.gone(second) })
					test.change(t, b)
					before := b.processes()

					if !test.believed {
						a := b.agent("reap", "--deadline", "0s", "--state-dir", dir).exits(0).spares(first).raisesNoAlert()
						a.serves(third)
						b.stay(before...)
						return
					}
					a := b.agent("reap", "--dry-run", "--deadline", "0s", "--state-dir", dir).exits(0)
					a.finds(first, wouldTerminate).shows(first, "remembered").raisesNoAlert().serves(third)
					was, is := seen.process(first).Superseded, a.process(first).Superseded
					if was == nil || is == nil || is.Sub(*was).Abs() > time.Second {
						t.Errorf("superseded at %v, and now at %v", was, is)
					}
					b.agent("reap", "--deadline", "0s", "--state-dir", dir).exits(0).finds(first, isTerminated).serves(third)
					b.stay(without(before, first)...)
				})
			})
		}
	}
}

// The one that told it does not listen any more, and was told to stop itself. It
// is there, so nothing needs to be remembered.
func TestOldProcessesOfWhichEachToldTheOneBeforeAreReaped(t *testing.T) {
	for _, way := range launchings {
		t.Run(way.name, func(t *testing.T) {
			inEveryRelease(t, func(t *testing.T, b *bed) {
				start, first, second := moved(b, way)
				b.client("127.0.0.1:8001")
				third := start(second)
				b.until(func() error { return b.silent(second) })
				before := b.processes()
				b.agent("reap", "--dry-run", "--deadline", "0s").exits(0).raisesNoAlert().
					finds(first, wouldTerminate).shows(first, toldBy(second)).
					finds(second, wouldTerminate).shows(second, toldBy(third)).serves(third)
				b.agent("reap", "--deadline", "0s").exits(0).finds(first, isTerminated).finds(second, isTerminated).serves(third)
				b.stay(without(before, first, second)...)
			})
		})
	}
}

// An operator tells an old worker to stop, which no list of a younger one names.
// Its master CLI alone says that it does.
func TestWorkerThatItsMasterSaysIsStoppingIsReaped(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{env: b.preload("LOSE_LIST=1")})
		s.hold(1)
		old := s.active()
		s.startReload()
		var young process
		b.until(func() error {
			if young = s.active(); young.ProcID == old.ProcID || !young.ready() || young.uid == 0 {
				return errors.New("the new worker is not there")
			}
			if _, err := s.showProc(); err != nil {
				return err
			}
			return s.listens(young, true)
		})
		if young.named(old.PID) || s.master().named(old.PID) {
			t.Fatalf("%q names %d: this shows nothing", young.args, old.PID)
		}
		if b.silent(old) != nil {
			b.signal(old, "USR1")
			b.until(func() error { return b.silent(old) })
		}
		before := b.processes()
		b.agent("reap", "--deadline", "0s", "--master-socket", "none").exits(0).spares(old).serves(young)
		b.stay(before...)
		b.agent("status").exits(0).finds(old, isWaited).shows(old, "stopping").serves(young)
		b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated).serves(young)
		b.stay(without(before, old)...)
	})
}

// status says in words and in the report which evidence stands.
func TestStatusShowsWhatStandsForAProcessHavingBeenTold(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{})
		old := s.makeResidual(1, 1)[0]
		young := s.active()
		a := b.agent("status").exits(0).shows(old, toldBy(young)).shows(old, "stopping")
		for _, p := range []process{young, s.master()} {
			if got := a.evidence(p); len(got) != 0 {
				t.Errorf("evidence for %v: %q, want none", p.ProcID, got)
			}
		}
		b.advises(fmt.Sprintf("told by %d", young.PID))

		var report struct {
			Instances []struct{ Processes []map[string]json.RawMessage }
		}
		if err := json.Unmarshal([]byte(a.stdout.String()), &report); err != nil {
			t.Fatal(err)
		}
		for _, i := range report.Instances {
			for _, p := range i.Processes {
				if text := string(p["evidence"]); !strings.HasPrefix(text, "[") { // also where there is none
					t.Errorf("the evidence for process %s is %q", p["pid"], text)
				}
			}
		}
	})
}
