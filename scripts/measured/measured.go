// Package measured says what the tables of the scripts begin with: when and on
// what machine their numbers were measured.
package measured

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Here is the day, the machine's cores, its kernel, and the Go that built the
// program: "2026-11-25, 2 cores, Linux 6.18.44, go1.26.8".
func Here() string {
	return fmt.Sprintf("%s, %d cores, %s, %s", time.Now().Format(time.DateOnly), runtime.NumCPU(), kernel(), runtime.Version())
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "Linux"
	}
	release, _, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	return "Linux " + release
}

// HAProxy is the version of the one in PATH, "of an unknown version" where it
// does not tell.
func HAProxy() string {
	out, err := exec.Command("haproxy", "-v").Output()
	words := strings.Fields(string(out))
	if err != nil || len(words) < 3 {
		return "of an unknown version"
	}
	version, _, _ := strings.Cut(words[2], "-")
	return version
}

// Thousands is a number with commas: 1,234,567.
func Thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
