package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	hostileProgram = bedDir + "/hostile"
	hostileHAProxy = bedDir + "/stranger/haproxy"
)

// hostile starts many processes of another account that are as large as variables of
// testdata/hostile.c say, and waits until they are there.
func (b *bed) hostile(n int, variables ...string) {
	b.t.Helper()
	b.buildHostile()
	b.run(command{args: []string{"sh", "-c", `[ -e "$1" ] || install -D "$0" "$1"`, hostileProgram, hostileHAProxy}})
	j := b.start(command{args: []string{"env", hostileProgram, fmt.Sprint(n)}, env: append(variables, "HOSTILE_EXE="+hostileHAProxy)})
	b.until(func() error {
		select {
		case <-j.done:
			b.t.Fatalf("the hostile processes are gone: %s", j.stderr.String())
		default:
		}
		if j.stdout.String() != "ready\n" {
			return fmt.Errorf("not all of %d hostile processes are there: %s", n, j.stderr.String())
		}
		return nil
	})
}

func (b *bed) buildHostile() {
	b.t.Helper()
	cmd := exec.Command("gcc", "-Wall", "-Werror", "-O1", "-static", "-o", b.path(hostileProgram), filepath.Join("testdata", "hostile.c"))
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("build the hostile program: %v\n%s", err, out)
	}
}

// wrappedAsShipped is a command that runs the agent as its unit does, with its state.
func (b *bed) wrappedAsShipped(args ...string) []string {
	b.t.Helper()
	b.furnishShipped()
	return b.shipped(slices.Concat([]string{bedAgent}, args, []string{"--state-dir", bedState})...)
}

// passWithin runs the agent as its unit does, and wants no more of the host than the unit
// gives: 256 MiB, and 10 s of CPU.
func (b *bed) passWithin(args ...string) *answer {
	b.t.Helper()
	const measured = bedDir + "/measured"
	b.buildHostile()
	wrap := []string{"env", hostileProgram, "measure", measured}
	a := b.answer(b.start(command{args: append(wrap, b.wrappedAsShipped(append(args, "-o", "json")...)...)}))
	var kib, milliseconds int
	if _, err := fmt.Sscan(b.read(measured), &kib, &milliseconds); err != nil {
		b.t.Fatalf("what the agent used is not known: %v", err)
	}
	cpu := time.Duration(milliseconds) * time.Millisecond
	b.t.Logf("%s: %v, %v of CPU, %d MiB, exit status %d, %d bytes of report",
		strings.Join(args, " "), a.took.Round(time.Millisecond), cpu, kib>>10, a.code, len(a.stdout.String()))
	if kib>>10 > 256 || cpu > 10*time.Second {
		b.t.Errorf("the agent used %d MiB and %v of CPU", kib>>10, cpu)
	}
	return a
}
