// Package package_test builds the packages, looks into them, and installs them
// in a Debian booted for each test.
package package_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// Folders with the packages of three builds: one and the same twice, from
// folders and under umasks that differ, and a version that comes after them.
var built, builtAgain, builtNewer string

// newLine is what the newer version's configuration says besides.
const newLine = "# A line of the newer version.\n"

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "package")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	source, elsewhere := filepath.Join(dir, "source"), filepath.Join(dir, "a/longer name/of a folder")
	built, builtAgain, builtNewer = filepath.Join(dir, "1"), filepath.Join(dir, "2"), filepath.Join(dir, "3")
	for _, step := range []func() error{
		func() error { return copySource(source) },
		func() error { return build(source, "022", "1.0.0", built) },
		func() error { return copySource(elsewhere) },
		func() error { return build(elsewhere, "077", "1.0.0", builtAgain) },
		func() error { return appendTo(filepath.Join(source, "deploy/systemd/haproxy-reaper.conf"), newLine) },
		func() error { return build(source, "022", "1.1.0", builtNewer) },
	} {
		if err := step(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// copySource copies what is in the repository, and not the repository itself:
// each file is new, and git can tell nothing.
func copySource(to string) error {
	const root = "../.."
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains([]string{".git", "dist"}, entry.Name()) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case !info.Mode().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, info.Mode().Perm())
	})
}

// build runs scripts/package as it is in source.
func build(source, umask, version, to string) error {
	if os.Getenv("NFPM") == "" {
		return fmt.Errorf("NFPM names no nfpm: run scripts/test")
	}
	script := exec.Command("sh", "-c", `umask "$1"; exec "$2" "$3" "$4"`, "sh", umask, filepath.Join(source, "scripts/package"), version, to)
	script.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1764000000")
	if out, err := script.CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w\n%s", script.Args, err, out)
	}
	return nil
}

func appendTo(path, line string) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(line); err != nil {
		return err
	}
	return file.Close()
}
