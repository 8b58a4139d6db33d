package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// release is one HAProxy that a bed runs: this machine's own, or one in a root
// of its own that a bed mounts and changes its root to.
type release struct {
	root         string // "" for this machine's
	major, minor int
}

// haproxyRoots names the environment variable with the folders of the releases
// that the tests run, divided by colons; scripts/test makes them.
const haproxyRoots = "HAPROXY_REAPER_HAPROXY_ROOTS"

// fewestReleases is how many there must be: suites of Debian's come and go, and
// that is no reason to stop, but the tests shall never run on one alone.
const fewestReleases = 4

// releases finds and asks the HAProxys of haproxyRoots once, oldest first.
var releases = sync.OnceValues(func() (list []release, err error) {
	for _, root := range filepath.SplitList(os.Getenv(haproxyRoots)) {
		r := release{root: root}
		text, err := exec.Command("chroot", root, "/usr/sbin/haproxy", "-v").Output()
		if err != nil {
			return nil, fmt.Errorf("HAProxy of %s: %w", root, err)
		}
		number := regexp.MustCompile(`version (\d+)\.(\d+)`).FindStringSubmatch(string(text))
		if number == nil {
			return nil, fmt.Errorf("HAProxy of %s: no version in %q", root, text)
		}
		r.major, _ = strconv.Atoi(number[1])
		r.minor, _ = strconv.Atoi(number[2])
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b release) int { return a.number() - b.number() })
	list = slices.CompactFunc(list, func(a, b release) bool { return a.number() == b.number() })
	if len(list) < fewestReleases {
		return nil, fmt.Errorf("%d releases of HAProxy in %s, want at least %d: ./scripts/test makes them", len(list), haproxyRoots, fewestReleases)
	}
	return list, nil
})

func (r release) String() string { return fmt.Sprintf("%d.%d", r.major, r.minor) }

func (r release) number() int { return r.major*100 + r.minor }

// since tells whether this is that version of HAProxy or a later one.
func (r release) since(major, minor int) bool {
	return r.number() >= release{major: major, minor: minor}.number()
}

// parsesInWorker tells whether it is the new worker that parses the
// configuration, not the master.
func (r release) parsesInWorker() bool { return r.since(3, 1) }

// inEveryRelease runs a test on each release of HAProxy.
func inEveryRelease(t *testing.T, test func(*testing.T, *bed)) {
	inReleases(t, func(release) bool { return true }, test)
}

// inReleases runs a test on those releases that have what it is about. One at
// least must.
func inReleases(t *testing.T, fit func(release) bool, test func(*testing.T, *bed)) {
	t.Helper()
	all, err := releases()
	if err != nil {
		t.Fatal(err)
	}
	ran := false
	for _, r := range all {
		if !fit(r) {
			continue
		}
		ran = true
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			test(t, newBedOf(t, r))
		})
	}
	if !ran {
		t.Errorf("none of %v has what this test is about", all)
	}
}

// models is both ways to run HAProxy.
var models = []judge.Model{judge.ModelMasterWorker, judge.ModelDaemon}

// inEveryModel runs a test on each release of HAProxy and in each model.
func inEveryModel(t *testing.T, test func(*testing.T, *bed, judge.Model)) {
	t.Helper()
	all, err := releases()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		for _, model := range models {
			t.Run(strings.Join([]string{r.String(), string(model)}, "/"), func(t *testing.T) {
				t.Parallel()
				test(t, newBedOf(t, r), model)
			})
		}
	}
}
