// Package systemd_test runs the units of this folder, with Debian's own
// haproxy.service beside them, in a systemd booted for each test.
package systemd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// agent is the binary under test, built as it ships; sendSignal is what stands in
// for it to see what its unit may signal.
var agent, sendSignal []byte

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for pkg, binary := range map[string]*[]byte{
		"../../cmd/haproxy-reaper": &agent,
		"./testdata/sendsignal":    &sendSignal,
	} {
		path := filepath.Join(dir, filepath.Base(pkg))
		build := exec.Command("go", "build", "-o", path, pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build %s: %v\n%s", pkg, err, out)
			return 1
		}
		if *binary, err = os.ReadFile(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}
