package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
)

// buildAgent is the agent as `go build` makes it, with or without cgo.
func buildAgent(t *testing.T, cgo string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "agent")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", file, "..")
	build.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with CGO_ENABLED=%s: %v\n%s", cgo, err, out)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// bedBuilt is where such a build lies in a bed.
const bedBuilt = bedDir + "/built"

// put puts it there.
func (b *bed) put(built []byte) {
	b.t.Helper()
	if err := os.WriteFile(b.path(bedBuilt), built, 0o755); err != nil {
		b.t.Fatal(err)
	}
}

func TestServeHasNoCapabilityInAnyThread(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.startService("web", setup{})
	b.put(buildAgent(t, "0"))
	serve := b.startServeAs(command{args: b.shipped(bedBuilt, "serve", "--interval", "200ms", "--dry-run", "--state-dir", bedState)})
	// Its passes have them.
	serve.has(fmt.Sprintf(`haproxy_reaper_active_confirmed{unit=%q}`, unit), 1)
	tasks, err := filepath.Glob(b.path(fmt.Sprintf("/proc/%d/task/*/status", serve.pid(b))))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("threads %q, %v: want several", tasks, err)
	}
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil && !strings.Contains(string(text), "\nCapEff:\t0000000000000000\n") {
			t.Errorf("%s:\n%s", task, text)
		}
	}
	serve.stop()
}

// Go cannot reach all threads of a program with cgo, which a plain `go build` makes
// where there is a C compiler.
func TestServeThatCannotDropItsCapabilitiesDoesNotServe(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.put(buildAgent(t, "1"))
	serve := b.newServer(serveAddress, command{args: b.shipped(bedBuilt, "serve", "--log.level", "warn", "--interval", "1h", "--state-dir", bedState)})
	if code := serve.wait(t); code != agent.ExitPrivilege {
		t.Errorf("exit status %d, want %d", code, agent.ExitPrivilege)
	}
	text := strings.TrimSpace(serve.stderr.String())
	if strings.Contains(text, "\n") || !strings.Contains(text, "build it with CGO_ENABLED=0") {
		t.Errorf("it says %q, want one line about CGO_ENABLED=0", text)
	}

	// Without any it has none to drop.
	b.ownedBy(bedNobody, "/run/haproxy-reaper", "/run/state")
	serve = b.newServer(serveAddress, command{args: append(withCapabilities(bedNobody, nil), bedBuilt, "serve", "--interval", "1h", "--state-dir", "/run/state")})
	serve.answers("/-/healthy", http.StatusOK)
	serve.stop()
}

// Every build of the agent that anybody is told to make, or that a script makes, is
// one without cgo.
func TestTheAgentIsBuiltWithoutCgoEverywhere(t *testing.T) {
	builds := 0
	for _, root := range []string{"../../../README.md", "../../../CONTRIBUTING.md", "../../../scripts", "../../../deploy"} {
		err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, ".go") {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			exported := strings.Contains(string(content), "\nexport CGO_ENABLED=0\n")
			for line := range strings.Lines(string(content)) {
				if !strings.Contains(line, "go build") && !strings.Contains(line, "go install ./") {
					continue
				}
				builds++
				if !exported && !strings.Contains(line, "CGO_ENABLED=0 ") {
					t.Errorf("%s: %s", path, line)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if builds < 8 {
		t.Errorf("%d builds were found", builds)
	}
}
