package package_test

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The packages of version 1.0.0, by their names for the architecture.
var debs = map[string]string{"amd64": "haproxy-reaper_1.0.0-1_amd64.deb", "arm64": "haproxy-reaper_1.0.0-1_arm64.deb"}
var rpms = map[string]string{"x86_64": "haproxy-reaper-1.0.0-1.x86_64.rpm", "aarch64": "haproxy-reaper-1.0.0-1.aarch64.rpm"}

func TestTwoBuildsGiveTheSameBytes(t *testing.T) {
	entries, err := os.ReadDir(built)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d packages, want 4: %v", len(entries), err)
	}
	for _, entry := range entries {
		one, other := read(t, filepath.Join(built, entry.Name())), read(t, filepath.Join(builtAgain, entry.Name()))
		if !bytes.Equal(one, other) {
			t.Errorf("%s differs from one build to the other", entry.Name())
		}
	}
}

// What both hold, but for what deploy/systemd, prometheus and grafana have.
var common = []string{
	"/etc/haproxy-reaper",
	"/etc/haproxy-reaper/haproxy-reaper.conf",
	"/usr/bin/haproxy-reaper",
	"/usr/lib/systemd/system/haproxy-reaper.service",
	"/usr/lib/sysusers.d/haproxy-reaper.conf",
	"/usr/lib/systemd/system/haproxy-reaper.timer",
	"/usr/lib/tmpfiles.d/haproxy-reaper.conf",
	"/usr/share/bash-completion/completions/haproxy-reaper",
	"/usr/share/doc/haproxy-reaper/changelog.gz",
	"/usr/share/fish/vendor_completions.d/haproxy-reaper.fish",
	"/usr/share/haproxy-reaper",
	"/usr/share/man/man8/haproxy-reaper.8.gz",
	"/var/lib/prometheus/node-exporter/haproxy-reaper.prom",
}

func TestPackagesHoldWhatAnOperatorNeeds(t *testing.T) {
	want := map[string][]string{
		"deb": append([]string{"/usr/share/doc/haproxy-reaper/copyright", "/usr/share/zsh/vendor-completions/_haproxy-reaper"}, common...),
		"rpm": append([]string{
			"/usr/lib/systemd/system-preset/80-haproxy-reaper.preset", "/usr/share/licenses/haproxy-reaper/LICENSE",
			"/usr/share/zsh/site-functions/_haproxy-reaper",
		}, common...),
	}
	root := filepath.Join("..", "..")
	for from, to := range map[string]string{
		"deploy/systemd/*.service":           "/usr/lib/systemd/system/",
		"deploy/systemd/*.timer":             "/usr/lib/systemd/system/",
		"deploy/systemd/*.socket":            "/usr/lib/systemd/system/",
		"deploy/systemd/drop-ins/*":          "/usr/share/haproxy-reaper/systemd/",
		"deploy/prometheus/*.yml":            "/usr/share/haproxy-reaper/prometheus/",
		"deploy/grafana/haproxy-reaper.json": "/usr/share/haproxy-reaper/grafana/",
	} {
		files, err := filepath.Glob(filepath.Join(root, from))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			for format := range want {
				want[format] = append(want[format], to+filepath.Base(file))
			}
		}
	}
	for _, deb := range debs {
		missing(t, deb, want["deb"], contents(t, filepath.Join(built, deb)))
	}
	for _, rpm := range rpms {
		missing(t, rpm, want["rpm"], strings.Fields(command(t, "rpm", "-qlp", filepath.Join(built, rpm))))
	}
}

func missing(t *testing.T, pkg string, want, got []string) {
	t.Helper()
	for _, file := range want {
		if !slices.Contains(got, file) {
			t.Errorf("%s lacks %s:\n%s", pkg, file, strings.Join(got, "\n"))
		}
	}
}

// contents are the paths in a .deb.
func contents(t *testing.T, deb string) []string {
	t.Helper()
	var paths []string
	for line := range strings.Lines(command(t, "dpkg-deb", "--contents", deb)) {
		path := strings.TrimPrefix(strings.Fields(line)[5], ".")
		paths = append(paths, strings.TrimSuffix(path, "/"))
	}
	return paths
}

// The binaries for arm64 were never run on such a machine.
func TestBinariesAreStaticAndOfTheirArchitecture(t *testing.T) {
	machines := map[string]elf.Machine{
		debs["amd64"]: elf.EM_X86_64, rpms["x86_64"]: elf.EM_X86_64,
		debs["arm64"]: elf.EM_AARCH64, rpms["aarch64"]: elf.EM_AARCH64,
	}
	for pkg, want := range machines {
		path := filepath.Join(unpack(t, filepath.Join(built, pkg)), "usr/bin/haproxy-reaper")
		binary, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer binary.Close()
		if binary.Machine != want {
			t.Errorf("%s holds a binary for %v, want %v", pkg, binary.Machine, want)
		}
		if slices.ContainsFunc(binary.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
			t.Errorf("the binary of %s needs a dynamic linker", pkg)
		}
		if want == elf.EM_X86_64 {
			if out := command(t, path, "version"); !strings.Contains(out, "version 1.0.0") {
				t.Errorf("the binary of %s says it is %q", pkg, out)
			}
		}
	}
}

// What rpm itself says of a package that it would install.
func TestRPMKeepsTheConfigurationAndRunsTheScripts(t *testing.T) {
	for arch, name := range rpms {
		rpm := filepath.Join(built, name)
		if got := command(t, "rpm", "-qp", "--queryformat", "%{name} %{version} %{release} %{arch} %{license}", rpm); got != "haproxy-reaper 1.0.0 1 "+arch+" Apache-2.0" {
			t.Errorf("%s is of %q", name, got)
		}
		// RPMFILE_CONFIG is 1, RPMFILE_NOREPLACE 16.
		flags := command(t, "rpm", "-qp", "--queryformat", "[%{filenames} %{fileflags}\n]", rpm)
		if !strings.Contains(flags, "/etc/haproxy-reaper/haproxy-reaper.conf 17\n") {
			t.Errorf("%s: the configuration is not config|noreplace:\n%s", name, flags)
		}
		for tag, file := range map[string]string{"postin": "post.sh", "preun": "preun.sh", "postun": "postun.sh"} {
			want := string(read(t, filepath.Join("rpm", file)))
			if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(command(t, "rpm", "-qp", "--queryformat", "%{"+tag+"}", rpm))); diff != "" {
				t.Errorf("%s, %%%s (-want +got):\n%s", name, tag, diff)
			}
		}
	}
}

func TestDebKeepsTheConfiguration(t *testing.T) {
	for _, deb := range debs {
		if got := command(t, "dpkg-deb", "--info", filepath.Join(built, deb), "conffiles"); got != "/etc/haproxy-reaper/haproxy-reaper.conf" {
			t.Errorf("the conffiles of %s are %q", deb, got)
		}
	}
}

// unpack unpacks a package into a folder, as its own tools do.
func unpack(t *testing.T, pkg string) string {
	t.Helper()
	dir := t.TempDir()
	if filepath.Ext(pkg) == ".deb" {
		command(t, "dpkg-deb", "--extract", pkg, dir)
	} else {
		// The names in it are absolute.
		command(t, "sh", "-ec", `rpm2cpio "$1" | (cd "$2" && cpio --quiet --extract --make-directories --no-absolute-filenames)`, "sh", pkg, dir)
	}
	return dir
}

// command is what a program that has to succeed prints.
func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
