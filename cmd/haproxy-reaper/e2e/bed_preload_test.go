package e2e

import (
	"os/exec"
	"path/filepath"
)

// preload builds testdata/preload.c into the bed, and returns the environment
// that has HAProxy load it.
func (b *bed) preload(variables ...string) (env []string) {
	b.t.Helper()
	const name = bedDir + "/preload.so"
	cmd := exec.Command("gcc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", b.path(name), filepath.Join("testdata", "preload.c"))
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("build the library: %v\n%s", err, out)
	}
	return append(variables, "LD_PRELOAD="+name)
}
