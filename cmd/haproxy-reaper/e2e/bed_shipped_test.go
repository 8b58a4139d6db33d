package e2e

import (
	"errors"
	"io/fs"
	"os"
	"slices"
)

// bedState is the folder of the state of an agent as shipped.
const bedState = "/run/state"

// shipped are the words that run a program as the units run the agent: as the user of
// HAProxy's workers, with the two capabilities and no way to others, and with the soft
// limit of descriptors that systemd gives. The folders of the lock and the state are
// made.
func (b *bed) shipped(words ...string) []string {
	b.t.Helper()
	b.furnishShipped()
	as := withCapabilities(uidOf(b.t, "haproxy"), []string{"sys_ptrace", "dac_read_search"})
	return slices.Concat([]string{"prlimit", "--nofile=1024:"}, as, []string{"--no-new-privs"}, words)
}

// furnishShipped makes the folders of the lock and the state of an agent as shipped,
// where they are not there yet.
func (b *bed) furnishShipped() {
	b.t.Helper()
	err := b.inside(func() error { _, err := os.Stat(bedState); return err })
	if errors.Is(err, fs.ErrNotExist) {
		b.ownedBy(uidOf(b.t, "haproxy"), "/run/haproxy-reaper", bedState)
	}
}

// asShipped runs the agent so, with -o json.
func (b *bed) asShipped(args ...string) *answer {
	b.t.Helper()
	return b.answer(b.start(command{args: b.shipped(slices.Concat([]string{bedAgent}, args, []string{"-o", "json"})...)}))
}

// passAsShipped runs the agent so, with its state and its metrics in bedState.
func (b *bed) passAsShipped(args ...string) *answer {
	b.t.Helper()
	return b.asShipped(append(args, "--state-dir", bedState, "--textfile", bedState+"/reaper.prom")...)
}
