package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestCheckTellsWhomHardStopAfterDoesNotBind(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, global: "# knobs"})
		unset := s.makeResidual(1, 1)[0]
		b.check(command{}).exits(0).
			finds(findActiveConfirmed, findingOK, fmt.Sprint(s.active().PID)).
			finds(findHardStopAfter, findingWarning, "not set", unset).
			misses(findHardStopUnbound)

		s.edit("# knobs", "hard-stop-after 1h\n# knobs")
		before := b.processes()
		b.check(command{}).exits(0).
			finds(findHardStopAfter, findingWarning, "perhaps in the file only", s.active()).
			finds(findHardStopUnbound, findingWarning, "started before the file last changed", unset)
		b.stay(before...)

		second := s.active() // also started without it
		s.makeResidual(1, 1)
		b.check(command{}).exits(0).
			finds(findHardStopAfter, findingOK, "1h ("+s.config+":").
			finds(findHardStopUnbound, findingWarning, "started before the file last changed", unset, second)

		third := s.active() // the first that is bound by it
		s.makeResidual(1, 1)
		k := b.check(command{}).exits(0).finds(findHardStopUnbound, findingWarning, "", unset, second)
		if strings.Contains(k.stdout.String(), fmt.Sprintf("process %d", third.PID)) {
			t.Errorf("%v, which was started with hard-stop-after, is said not to be", third.ProcID)
		}
	})
}

func TestCheckKnowsEachReleasesWayWithReloads(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{global: "# limit"})
		old := s.makeResidual(2, 1)
		k := b.check(command{}).exits(0).finds(findMasterCLI, findingOK, "answers")
		if b.since(3, 3) {
			k.finds(findMaxReloads, findingOK, "50 reloads (default")
		} else {
			k.finds(findMaxReloads, findingOK, "ends no old worker")
		}
		k.finds(findExposeFD, findingOK, s.config+":")

		s.edit("# limit", "mworker-max-reloads 3\n# limit")
		k = b.check(command{}).exits(0)
		k.finds(findMaxReloads, findingOK, fmt.Sprintf("%d has seen 2, %d has seen 1", old[0].PID, old[1].PID))
		k = b.check(command{args: []string{"--master-socket", "none"}})
		k.finds(findMasterCLI, findingWarning, "none to ask").
			finds(findMaxReloads, findingOK, fmt.Sprintf("%d has seen at least", old[0].PID))
		s.hold(1)
		s.reload()
		b.check(command{}).finds(findMaxReloads, findingWarning, fmt.Sprintf("%d has seen 3", old[0].PID), old[0])
	})
}

func TestCheckKnowsWhetherAReloadHandsItsListenersOver(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		b.startService("bare", setup{model: model, text: tcpOnly})
		k := b.check(command{}).exits(0)
		if model == judge.ModelMasterWorker && b.since(2, 6) {
			k.finds(findExposeFD, findingOK, "not needed")
		} else {
			k.finds(findExposeFD, findingWarning, "not set")
		}
		if model == judge.ModelDaemon {
			k.misses(findMasterCLI, findMaxReloads)
		}
	})
}

func TestCheckReadsSeveralFilesAndDirectoriesInHAProxysOrder(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		const dir = bedDir + "/conf.d"
		b.run(command{args: []string{"mkdir", dir}})
		s := b.startService("web", setup{
			global: "hard-stop-after 1h",
			flags:  []string{"-f", dir},
			files: map[string]string{
				dir + "/10-first.cfg": "global\n    hard-stop-after 2h\n",
				dir + "/20-last.cfg":  "global\n    hard-stop-after 3h # counts\n",
				dir + "/30-not.conf":  "global\n    hard-stop-after 4h\n",
			},
		})
		b.check(command{}).exits(0).
			finds(findConfiguration, findingOK, s.config+", "+dir+"/10-first.cfg, "+dir+"/20-last.cfg").
			finds(findHardStopAfter, findingOK, "3h ("+dir+"/20-last.cfg:2)")
		// Nothing but the directory tells that one of its files is gone.
		b.run(command{args: []string{"rm", dir + "/20-last.cfg"}})
		b.check(command{}).exits(0).finds(findHardStopAfter, findingWarning, "2h ("+dir+"/10-first.cfg:2), perhaps in the file only", s.active())
		b.run(command{args: []string{"rm", s.config}})
		b.check(command{}).exits(0).finds(findConfiguration, findingWarning, "no such file")
	})
}

func TestCheckFindsAProcessThatOutlivedItsHardStopAfter(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, global: "hard-stop-after 5s"})
		wedged := s.makeResidual(1, 1)[0]
		b.signal(wedged, "STOP")
		b.until(func() error {
			k := b.check(command{}).exits(0)
			for _, f := range k.report.Findings {
				if f.Name == findHardStopUnbound && strings.Contains(f.Message, "still there past it") && slices.Equal(f.PIDs, []int{wedged.PID}) {
					return nil
				}
			}
			return fmt.Errorf("check does not find %v past its hard-stop-after", wedged.ProcID)
		})
	})
}

func TestCheckFailsAnInstanceWithoutAConfirmedActive(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, text: tcpOnly})
		s.pause()
		b.check(command{}).exits(1).finds(findActiveConfirmed, findingFailure, "", without(s.members(), s.workers()...)...)
		s.resume()
		b.check(command{}).exits(0).finds(findActiveConfirmed, findingOK, fmt.Sprint(s.active().PID))
	})
}

func TestCheckWarnsOfAStrandedProcess(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{model: judge.ModelDaemon, text: tcpOnly})
	stranded := s.active()
	// Within a second of each other they would be one generation, as nbproc's.
	b.until(func() error { return b.age(stranded, 1500*time.Millisecond) })
	s.launch() // told to finish nobody
	b.until(func() error {
		if stranded.ProcID == s.active().ProcID {
			return errors.New("the second daemon is not there")
		}
		return cmp.Or(s.listens(stranded, true), s.listens(s.active(), true))
	})
	b.check(command{}).exits(0).finds(findStranded, findingWarning, "superseded, and still listening", stranded)
}

func TestCheckTellsWhatItLacks(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, global: "hard-stop-after 1h"})
		s.makeResidual(1, 1)
		before := b.processes()
		b.run(command{args: []string{"chmod", "600", s.config}})
		status, says := findingFailure, "permission denied"
		if model == judge.ModelDaemon { // HAProxy's user could have named any file
			status, says = findingWarning, "a user that this agent may not signal"
		}
		b.check(command{uid: bedNobody}).exits(4).
			finds(findPidfdOpen, findingOK, "").
			finds(findCapSysPtrace, findingFailure, "missing").
			finds(findCapDACRead, findingFailure, "missing").
			finds(findCapKill, findingFailure, "missing", s.workers()...).
			finds(findReadable, findingFailure, "permission denied").
			finds(findStranded, findingWarning, "not known").
			finds(findConfiguration, status, says).
			finds(findHardStopAfter, findingWarning, "not known")
		b.stay(before...)
	})
}

func TestCheckJudgesTheRightToSignalByWhomItIsFor(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	s.makeResidual(1, 1)
	lacking := func(args ...string) *checked {
		t.Helper()
		k := &checked{job: b.start(command{args: append([]string{"setpriv", "--bounding-set", "-kill", bedAgent, "check", "-o", "json"}, args...)}), b: b}
		k.code = k.wait(t)
		k.decode()
		return k
	}
	lacking().exits(4).finds(findCapKill, findingFailure, "cannot be signalled", s.workers()...)
	lacking("--dry-run").exits(0).finds(findCapKill, findingWarning, "a dry run does not need", s.workers()...)
	b.check(command{}).exits(0).finds(findCapKill, findingOK, "held")
}

func TestCheckWritesNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	s.makeResidual(1, 1)
	list := func() string {
		return b.run(command{args: []string{"find", "/run", "/var/lib", "-xdev", "-not", "-path", "*/cache/*", "-printf", "%p %s %C@\n"}})
	}
	before := list()
	b.check(command{}).exits(0)
	if after := list(); after != before {
		t.Errorf("check changed files:\n%s\nbefore:\n%s", after, before)
	}
}

func TestCheckSeesThatAContainersNamespacesAreItsOwn(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.moveClients()
	b.startService("web", setup{container: true, global: "hard-stop-after 1h"})
	b.check(command{}).exits(0).
		finds(findNamespaces, findingOK, "another network namespace").
		finds(findHardStopAfter, findingOK, "1h")
}
