package package_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// newerDeb is an upgrade of the packages of version 1.0.0.
const newerDeb = "haproxy-reaper_1.1.0-1_amd64.deb"

// dpkg runs dpkg in the machine on a package of a build; a question about the
// configuration gets the answer that dpkg proposes.
func dpkg(m *machine.Machine, build, deb string) {
	m.T.Helper()
	m.Write("/tmp/"+deb, string(read(m.T, filepath.Join(build, deb))), 0o644)
	m.Must("dpkg", "--force-confdef", "--force-confold", "--install", "/tmp/"+deb)
	m.Must("rm", "/tmp/"+deb)
}

// state is whether the timer is enabled and active.
func state(m *machine.Machine) string {
	enabled, _ := m.Run("systemctl", "is-enabled", "haproxy-reaper.timer")
	active, _ := m.Run("systemctl", "is-active", "haproxy-reaper.timer")
	return enabled + ", " + active
}

// The life of a package on a host, from the first day to the upgrade.
func TestInstalledItWatchesThenReapsAndAnUpgradeKeepsAll(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	m.ServeTunnel()
	old, _ := m.ReloadHolding(1)
	active, held := m.Answering(), m.Hold()
	m.Hurry()

	dpkg(m, built, debs["amd64"])
	if got := state(m); got != "enabled, active" {
		t.Errorf("installed, the timer is %s; want enabled and active", got)
	}
	m.UntilMetrics(map[string]string{
		`dry_run`: "1",
		`processes{state="residual",unit="haproxy.service"}`: "1",
		`terminated_processes_total{unit="haproxy.service"}`: "0",
	})
	m.UntilRuns(1)
	if got, want := m.Workers(), append(slices.Clone(old), active); !slices.Equal(got, want) {
		t.Fatalf("after dry runs the workers are %q, want %q", got, want)
	}

	m.AtOnce()
	m.GoLive()
	m.UntilMetrics(map[string]string{
		`dry_run`: "0",
		`processes{state="residual",unit="haproxy.service"}`: "0",
		`terminated_processes_total{unit="haproxy.service"}`: "1",
	})
	if got := m.Workers(); !slices.Equal(got, []string{active}) {
		t.Errorf("live, the workers are %q, want %s alone", got, active)
	}
	if err := held.Echo(); err != nil {
		t.Error("the connection held on the active worker:", err)
	}

	configuration := m.Read(machine.ConfigFile)
	dpkg(m, builtNewer, newerDeb)
	if out := m.Must("haproxy-reaper", "version"); !strings.Contains(out, "version 1.1.0") {
		t.Fatalf("after the upgrade the version is %q", out)
	}
	if diff := cmp.Diff(configuration, m.Read(machine.ConfigFile)); diff != "" {
		t.Errorf("the upgrade changed the configuration (-before +after):\n%s", diff)
	}
	if !strings.Contains(m.Read(machine.ConfigFile+".dpkg-dist"), newLine) {
		t.Error("the newer version's configuration is not beside the old one")
	}
	if got := state(m); got != "enabled, active" {
		t.Errorf("after the upgrade the timer is %s", got)
	}
	// The counters go on from where they were.
	old, _ = m.ReloadHolding(1)
	m.UntilMetrics(map[string]string{
		`processes{state="residual",unit="haproxy.service"}`: "0",
		`terminated_processes_total{unit="haproxy.service"}`: "2",
	})
	if slices.Contains(m.Workers(), old[0]) {
		t.Errorf("worker %s is still there after the upgrade", old[0])
	}
}

// HAProxy comes later, or runs as another user.
func TestInstalledBeforeThereIsAUserItSaysSoAndTheTimerRuns(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"deb", "rpm"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := machine.Boot(t)
			m.Must("systemctl", "stop", "haproxy")
			m.Must("userdel", "haproxy")
			m.Hurry()
			var out string
			if kind == "deb" {
				m.Write("/tmp/haproxy-reaper.deb", string(read(t, filepath.Join(built, debs["amd64"]))), 0o644)
				out = m.Must("dpkg", "--install", "/tmp/haproxy-reaper.deb")
			} else {
				command(t, "cp", "--archive", unpack(t, filepath.Join(built, rpms["x86_64"]))+"/.", m.Path("/"))
				m.Write("/tmp/post.sh", string(read(t, "rpm/post.sh")), 0o755)
				out = m.Must("/tmp/post.sh", "1")
			}
			said := 0
			for line := range strings.Lines(out) {
				if strings.Contains(line, "haproxy-reaper: there was no user haproxy") {
					said++
				} else if strings.Contains(line, "user") {
					t.Errorf("it also says %q", line)
				}
			}
			if said != 1 {
				t.Errorf("it says so %d times:\n%s", said, out)
			}
			if got := state(m); got != "enabled, active" {
				t.Errorf("the timer is %s", got)
			}
			m.UntilMetrics(map[string]string{`dry_run`: "1", `instances`: "0"})
			m.UntilRuns(2)
			if got := m.Must("journalctl", "--no-pager", "--output=cat", "--unit=haproxy-reaper.service"); strings.Contains(got, "Failed") {
				t.Errorf("a run failed:\n%s", got)
			}
			if out := m.Must("haproxy-reaper", "check"); !strings.Contains(out, "haproxy-reaper.service runs as haproxy") {
				t.Errorf("check says nothing of the user:\n%s", out)
			}

			// HAProxy comes.
			m.ServeTunnel()
			old, _ := m.ReloadHolding(1)
			m.AtOnce()
			m.GoLive()
			m.UntilMetrics(map[string]string{
				`dry_run`: "0",
				`terminated_processes_total{unit="haproxy.service"}`: "1",
			})
			if slices.Contains(m.Workers(), old[0]) {
				t.Errorf("worker %s is still there", old[0])
			}
		})
	}
}

// Someone who runs the agent in another way, or by hand, turned the timer off.
func TestAnUpgradeLeavesATimerOffThatWasTurnedOff(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	dpkg(m, built, debs["amd64"])
	m.Must("systemctl", "disable", "--now", "haproxy-reaper.timer")
	dpkg(m, builtNewer, newerDeb)
	if got := state(m); got != "disabled, inactive" {
		t.Errorf("after the upgrade the timer is %s", got)
	}
	// Nobody had changed the configuration: it is the newer version's.
	if !strings.Contains(m.Read(machine.ConfigFile), newLine) {
		t.Error("the configuration is the old version's")
	}
}

func TestRemovedItStopsAndPurgedItLeavesNothing(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	before := files(m)
	dpkg(m, built, debs["amd64"])
	m.GoLive()
	m.Must("systemctl", "start", "haproxy-reaper.service")
	m.UntilMetrics(map[string]string{"dry_run": "0"})
	// Whatever else of it an operator has enabled.
	for path := range strings.FieldsSeq(m.Must("dpkg", "--listfiles", "haproxy-reaper")) {
		if strings.HasPrefix(path, machine.UnitDir) {
			m.Must("systemctl", "enable", "--quiet", filepath.Base(path))
		}
	}

	m.Must("dpkg", "--remove", "haproxy-reaper")
	if journal := m.Must("journalctl", "--no-pager", "--output=cat", "--unit=haproxy-reaper.timer"); !strings.Contains(journal, "Stopped haproxy-reaper.timer") {
		t.Errorf("removed, the timer was not stopped:\n%s", journal)
	}
	if got := m.Show("haproxy-reaper.timer", "LoadState"); got != "not-found" {
		t.Errorf("removed, the timer is %s", got)
	}
	if out := m.Must("systemctl", "list-units", "--all", "--plain", "--no-legend", "haproxy-reaper*"); out != "" {
		t.Errorf("removed, systemd still knows %q", out)
	}
	if got := m.Read(machine.Textfile); got != "" {
		t.Errorf("removed, it still exports:\n%s", got)
	}
	if !strings.Contains(m.Read(machine.ConfigFile), "\nHAPROXY_REAPER_DRY_RUN=false\n") {
		t.Error("the removal took the configuration away")
	}

	m.Must("dpkg", "--purge", "haproxy-reaper")
	if diff := cmp.Diff(before, files(m)); diff != "" {
		t.Errorf("purged (-before +after):\n%s", diff)
	}
}

// Removed and installed again, it is as on the first day.
func TestInstalledAgainTheTimerIsEnabledAgain(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	dpkg(m, built, debs["amd64"])
	m.Must("systemctl", "disable", "--now", "haproxy-reaper.timer")
	m.Must("dpkg", "--remove", "haproxy-reaper")
	dpkg(m, built, debs["amd64"])
	if got := state(m); got != "enabled, active" {
		t.Errorf("installed again, the timer is %s", got)
	}
}

// Where nothing is booted, a container image for one, there is only something to
// enable.
func TestInstalledWithoutARunningSystemdTheTimerIsEnabled(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	m.Write("/tmp/haproxy-reaper.deb", string(read(t, filepath.Join(built, debs["amd64"]))), 0o644)
	m.Must("unshare", "--mount", "sh", "-ec", "mount -t tmpfs none /run; dpkg --install /tmp/haproxy-reaper.deb")
	if got := state(m); got != "enabled, inactive" {
		t.Errorf("the timer is %s, want enabled for the next boot", got)
	}
}

// There is no Fedora here: the files of the .rpm and its scripts, in the order
// that rpm runs them, under Debian's systemd.
func TestScriptsOfTheRPMDoAsFedoraExpects(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	unpacked := unpack(t, filepath.Join(built, rpms["x86_64"]))
	command(t, "cp", "--archive", unpacked+"/.", m.Path("/"))
	script := func(name, versions string) {
		t.Helper()
		m.Write("/tmp/"+name, string(read(t, filepath.Join("rpm", name))), 0o755)
		if out := m.Must("/tmp/"+name, versions); out != "" {
			t.Errorf("%s %s says %q", name, versions, out)
		}
	}
	script("post.sh", "1")
	if got := state(m); got != "enabled, active" {
		t.Errorf("installed, the timer is %s", got)
	}

	// The upgrade: the new version's %post, then the old one's %preun and %postun.
	entered := m.Show("haproxy-reaper.timer", "ActiveEnterTimestampMonotonic")
	script("post.sh", "2")
	script("preun.sh", "1")
	script("postun.sh", "1")
	if got := state(m); got != "enabled, active" {
		t.Errorf("after the upgrade the timer is %s", got)
	}
	if m.Show("haproxy-reaper.timer", "ActiveEnterTimestampMonotonic") == entered {
		t.Error("the upgrade did not restart the timer")
	}
	m.Must("systemctl", "disable", "--now", "haproxy-reaper.timer")
	script("post.sh", "2")
	script("postun.sh", "1")
	if got := state(m); got != "disabled, inactive" {
		t.Errorf("turned off, then upgraded, the timer is %s", got)
	}

	m.Must("systemctl", "enable", "--now", "haproxy-reaper.timer")
	script("preun.sh", "0")
	if got := state(m); got != "disabled, inactive" {
		t.Errorf("before the removal the timer is %s", got)
	}
	script("postun.sh", "0")
}

// An administrator's preset has the last word.
func TestPresetsOfTheHostDecideAboutTheRPM(t *testing.T) {
	t.Parallel()
	m := machine.Boot(t)
	command(t, "cp", "--archive", unpack(t, filepath.Join(built, rpms["x86_64"]))+"/.", m.Path("/"))
	m.Write("/etc/systemd/system-preset/00-site.preset", "disable *\n", 0o644)
	m.Write("/tmp/post.sh", string(read(t, "rpm/post.sh")), 0o755)
	m.Must("/tmp/post.sh", "1")
	if got := state(m); got != "disabled, inactive" {
		t.Errorf("the timer is %s", got)
	}
}

// files are all files of the machine but those that others write to while it
// runs: HAProxy, systemd, and what dpkg remembers of its own work.
func files(m *machine.Machine) []string {
	m.T.Helper()
	others := []string{"/proc/", "/sys/", "/dev/", "/tmp/", "/run/systemd/", "/run/udev/", "/var/log/", "/var/tmp/", "/var/lib/dpkg/", "/var/lib/systemd/", "/var/cache/debconf/"}
	var kept []string
	for path := range strings.Lines(m.Must("find", "/", "-path", "/proc", "-prune", "-o", "-path", "/sys", "-prune", "-o", "-print")) {
		path = strings.TrimSpace(path)
		if !slices.ContainsFunc(others, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
			kept = append(kept, path)
		}
	}
	if len(kept) < 1000 {
		m.T.Fatal(fmt.Errorf("%d files: not the whole machine", len(kept)))
	}
	slices.Sort(kept)
	return kept
}
