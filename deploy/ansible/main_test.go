// Package ansible_test runs the playbooks from one machine against three hosts
// with sshd, all booted for each test.
package ansible_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// deb is the path of the package that the role installs.
var deb string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ansible")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if os.Getenv("NFPM") == "" {
		fmt.Fprintln(os.Stderr, "NFPM names no nfpm: run scripts/test")
		return 1
	}
	build := exec.Command("../../scripts/package", "1.0.0", dir)
	build.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1764000000")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%q: %v\n%s", build.Args, err, out)
		return 1
	}
	deb = filepath.Join(dir, "haproxy-reaper_1.0.0-1_amd64.deb")
	return m.Run()
}
