package kubernetes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// buildImage builds the Dockerfile and returns the folder that has the files of
// the image. The builder is no image of somebody's: it is an empty one, with the
// Go and the modules of this machine and a shell of the bed put in its place.
func buildImage(t *testing.T) (files string) {
	t.Helper()
	bed := os.Getenv("HAPROXY_REAPER_BED")
	if bed == "" {
		t.Fatal("HAPROXY_REAPER_BED names no root with a shell: run scripts/test")
	}
	// Not t.TempDir, which cannot be removed while the image is mounted.
	store, err := os.MkdirTemp("", "image")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(store) })
	buildah := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("buildah", append([]string{"--root=" + store + "/root", "--runroot=" + store + "/run", "--storage-driver=vfs"}, args...)...)
		cmd.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot")
		out, err := cmd.Output()
		if err != nil {
			var said []byte
			if exited, ok := err.(*exec.ExitError); ok {
				said = exited.Stderr
			}
			t.Fatalf("buildah %q: %v\n%s%s", args, err, out, said)
		}
		return strings.TrimSpace(string(out))
	}

	builder := buildah("from", "scratch")
	buildah("config", "--env=PATH=/go/bin:/bin", "--env=GOROOT=/go", "--env=GOMODCACHE=/modules", "--env=GOCACHE=/cache",
		"--env=GOFLAGS=-mod=mod", "--env=GOPROXY=off", "--env=GOTOOLCHAIN=local", builder)
	buildah("commit", builder, "localhost/builder")
	buildah("build", "--file=Dockerfile", "--tag=localhost/haproxy-reaper", "--build-arg=BUILDER=localhost/builder", "--build-arg=VERSION=1.2.3",
		"--volume="+goEnv(t, "GOROOT")+":/go:ro", "--volume="+goEnv(t, "GOMODCACHE")+":/modules:ro", "--volume="+goEnv(t, "GOCACHE")+":/cache", "--volume="+t.TempDir()+":/tmp",
		"--volume="+bed+"/usr/bin:/bin:ro", "--volume="+bed+"/usr/lib:/lib:ro", "--volume="+bed+"/usr/lib64:/lib64:ro", "../..")
	made := buildah("from", "localhost/haproxy-reaper")
	files = buildah("mount", made)
	t.Cleanup(func() { buildah("umount", made) })
	return files
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// contents are the names of all files of a folder.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}
