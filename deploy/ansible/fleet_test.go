package ansible_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// play is where the control machine has this folder.
const play = "/play/"

// bootFleet boots three hosts, and a control machine that has the playbooks, the
// package and an inventory of the hosts.
func bootFleet(t *testing.T) *machine.Fleet {
	t.Helper()
	f := machine.BootFleet(t, 3)
	inventory := "[haproxy]\n"
	for i := range f.Hosts {
		inventory += fmt.Sprintf("h%d ansible_host=%s ansible_python_interpreter=/usr/bin/python3\n", i+1, f.Address(i))
	}
	f.Control.Write(play+"inventory", inventory, 0o644)
	copyFolder(f)
	content, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	f.Control.Write(play+"haproxy-reaper.deb", string(content), 0o644)
	return f
}

// copyFolder copies what is an operator's of this folder.
func copyFolder(f *machine.Fleet) {
	t := f.Control.T
	t.Helper()
	f.Control.Must("mkdir", "--parents", play)
	for _, from := range []string{"install.yml", "clean-up.yml", "roles"} {
		if out, err := exec.Command("cp", "--recursive", from, f.Control.Path(play)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// A recap is what Ansible says of each host at the end.
type recap struct{ ok, changed, unreachable, failed int }

var recapLine = regexp.MustCompile(`(?m)^(h\d) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)`)

// ansible runs a playbook with these variables. A host that the run did not get
// to has no recap.
func ansible(f *machine.Fleet, playbook, variables string) (text string, hosts map[string]recap) {
	t := f.Control.T
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	// To a file: ssh's master outlives the run, and would keep a pipe open.
	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	run := f.Control.Command(ctx, "env", "--chdir="+play, "HOME=/root", "ANSIBLE_NOCOWS=1", "ANSIBLE_PIPELINING=1", "ANSIBLE_TIMEOUT=30",
		"ansible-playbook", "--inventory=inventory", "--extra-vars="+variables, playbook)
	run.Stdout, run.Stderr = said, said
	failure := run.Run()
	out, err := os.ReadFile(said.Name())
	if err != nil {
		t.Fatal(err)
	}
	hosts = map[string]recap{}
	for _, m := range recapLine.FindAllStringSubmatch(string(out), -1) {
		var r recap
		for i, n := range []*int{&r.ok, &r.changed, &r.unreachable, &r.failed} {
			*n, _ = strconv.Atoi(m[i+2])
		}
		hosts[m[1]] = r
	}
	t.Logf("%s %s: %v\n%s", playbook, variables, failure, out)
	if len(hosts) == 0 {
		t.Fatal("Ansible has no recap")
	}
	return string(out), hosts
}

// install runs the role with these settings on all hosts at once, and wants every
// host to be fine.
func install(f *machine.Fleet, settings string) map[string]recap {
	f.Control.T.Helper()
	_, hosts := ansible(f, "install.yml", `{"haproxy_reaper_package": "`+play+`haproxy-reaper.deb", "haproxy_reaper_serial": ["100%"], `+settings+`}`)
	for _, host := range []string{"h1", "h2", "h3"} {
		if r := hosts[host]; r.ok == 0 || r.unreachable+r.failed > 0 {
			f.Control.T.Fatalf("%s: %+v", host, r)
		}
	}
	return hosts
}

// settings of a file, without its comments.
func settingsOf(content string) string {
	var lines []string
	for line := range strings.Lines(content) {
		if line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
