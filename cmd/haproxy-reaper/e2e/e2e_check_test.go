package e2e

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestCheckTellsWhomHardStopAfterDoesNotBind(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, global: "# knobs"})
		unset := s.makeResidual(1, 1)[0]
		b.check(command{}).exits(0).
			finds(check.FindActiveConfirmed, check.OK, fmt.Sprint(s.active().PID)).
			finds(check.FindHardStopAfter, check.Warning, "not set", unset).
			misses(check.FindHardStopUnbound)

		s.edit("# knobs", "hard-stop-after 1h\n# knobs")
		before := b.processes()
		b.check(command{}).exits(0).
			finds(check.FindHardStopAfter, check.Warning, "perhaps in the file only", s.active()).
			finds(check.FindHardStopUnbound, check.Warning, "started before the file last changed", unset)
		b.stay(before...)

		second := s.active() // also started without it
		s.makeResidual(1, 1)
		b.check(command{}).exits(0).
			finds(check.FindHardStopAfter, check.OK, "1h ("+s.config+":").
			finds(check.FindHardStopUnbound, check.Warning, "started before the file last changed", unset, second)

		third := s.active() // the first that is bound by it
		s.makeResidual(1, 1)
		k := b.check(command{}).exits(0).finds(check.FindHardStopUnbound, check.Warning, "", unset, second)
		if strings.Contains(k.stdout.String(), fmt.Sprintf("process %d", third.PID)) {
			t.Errorf("%v, which was started with hard-stop-after, is said not to be", third.ProcID)
		}
	})
}

func TestCheckKnowsEachReleasesWayWithReloads(t *testing.T) {
	inEveryRelease(t, func(t *testing.T, b *bed) {
		s := b.startService("web", setup{global: "# limit"})
		old := s.makeResidual(2, 1)
		k := b.check(command{}).exits(0).finds(check.FindMasterCLI, check.OK, "answers")
		if b.since(3, 3) {
			k.finds(check.FindMaxReloads, check.OK, "50 reloads (default")
		} else {
			k.finds(check.FindMaxReloads, check.OK, "ends no old worker")
		}
		k.finds(check.FindExposeFD, check.OK, s.config+":")

		s.edit("# limit", "mworker-max-reloads 3\n# limit")
		k = b.check(command{}).exits(0)
		k.finds(check.FindMaxReloads, check.OK, fmt.Sprintf("%d has seen 2, %d has seen 1", old[0].PID, old[1].PID))
		k = b.check(command{args: []string{"--master-socket", "none"}})
		k.finds(check.FindMasterCLI, check.Warning, "none to ask").
			finds(check.FindMaxReloads, check.OK, fmt.Sprintf("%d has seen at least", old[0].PID))
		s.hold(1)
		s.reload()
		b.check(command{}).finds(check.FindMaxReloads, check.Warning, fmt.Sprintf("%d has seen 3", old[0].PID), old[0])
	})
}

func TestCheckKnowsWhetherAReloadHandsItsListenersOver(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		b.startService("bare", setup{model: model, text: tcpOnly})
		k := b.check(command{}).exits(0)
		if model == judge.ModelMasterWorker && b.since(2, 6) {
			k.finds(check.FindExposeFD, check.OK, "not needed")
		} else {
			k.finds(check.FindExposeFD, check.Warning, "not set")
		}
		if model == judge.ModelDaemon {
			k.misses(check.FindMasterCLI, check.FindMaxReloads)
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
			finds(check.FindConfiguration, check.OK, s.config+", "+dir+"/10-first.cfg, "+dir+"/20-last.cfg").
			finds(check.FindHardStopAfter, check.OK, "3h ("+dir+"/20-last.cfg:2)")
		// Nothing but the directory tells that one of its files is gone.
		b.run(command{args: []string{"rm", dir + "/20-last.cfg"}})
		b.check(command{}).exits(0).finds(check.FindHardStopAfter, check.Warning, "2h ("+dir+"/10-first.cfg:2), perhaps in the file only", s.active())
		b.run(command{args: []string{"rm", s.config}})
		b.check(command{}).exits(0).finds(check.FindConfiguration, check.Warning, "no such file")
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
				if f.Name == check.FindHardStopUnbound && strings.Contains(f.Message, "still there past it") && slices.Equal(f.PIDs, []int{wedged.PID}) {
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
		b.check(command{}).exits(1).finds(check.FindActiveConfirmed, check.Failure, "", without(s.members(), s.workers()...)...)
		s.resume()
		b.check(command{}).exits(0).finds(check.FindActiveConfirmed, check.OK, fmt.Sprint(s.active().PID))
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
	b.check(command{}).exits(0).finds(check.FindStranded, check.Warning, "superseded, and still listening", stranded)
}

func TestCheckTellsWhatItLacks(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{model: model, global: "hard-stop-after 1h"})
		s.makeResidual(1, 1)
		before := b.processes()
		b.run(command{args: []string{"chmod", "600", s.config}})
		status, says := check.Failure, "permission denied"
		if model == judge.ModelDaemon { // HAProxy's user could have named any file
			status, says = check.Warning, "a user that this agent may not signal"
		}
		b.check(command{uid: bedNobody}).exits(4).
			finds(check.FindPidfdOpen, check.OK, "").
			finds(check.FindCapSysPtrace, check.Failure, "missing").
			finds(check.FindCapDACRead, check.Failure, "missing").
			finds(check.FindCapKill, check.Failure, "missing", s.workers()...).
			finds(check.FindReadable, check.Failure, "permission denied").
			finds(check.FindStranded, check.Warning, "not known").
			finds(check.FindConfiguration, status, says).
			finds(check.FindHardStopAfter, check.Warning, "not known")
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
	lacking().exits(4).finds(check.FindCapKill, check.Failure, "cannot be signalled", s.workers()...)
	lacking("--dry-run").exits(0).finds(check.FindCapKill, check.Warning, "a dry run does not need", s.workers()...)
	b.check(command{}).exits(0).finds(check.FindCapKill, check.OK, "held")
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
		finds(check.FindNamespaces, check.OK, "another network namespace").
		finds(check.FindHardStopAfter, check.OK, "1h")
}
