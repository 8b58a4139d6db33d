package inspect

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The fuzz targets of parsers that have no test file of their own. What each
// seed under testdata/fuzz is there for is its name.

func FuzzParseUnit(f *testing.F) {
	f.Add([]byte("[Service]\nType=notify\nExecStart=a \\\n# still\n b\n[Install]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before := parseUnit(b)
		if lines := bytes.Count(b, []byte{'\n'}) + 1; len(before) > lines {
			t.Errorf("%d settings in %d lines", len(before), lines)
		}
		// What comes before never hides a plain setting that follows.
		after := parseUnit(append(slices.Clone(b), "\n\n[Service]\nType=last\n"...))
		if len(after) < len(before) || after[len(after)-1] != (unitSetting{"Type", "last"}) {
			t.Errorf("settings %q, and with one more %q", before, after)
		}
	})
}

func FuzzParseKilobytes(f *testing.F) {
	f.Add([]byte("MemTotal: 3 kB\nMemAvailable:   12 kB\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const name = "MemAvailable:"
		n, err := parseKilobytes(b, name)
		if err != nil {
			return
		}
		if n%1024 != 0 {
			t.Errorf("%d bytes are no kilobytes", n)
		}
		if again, err := parseKilobytes(fmt.Appendf(nil, "%s %d kB\n", name, n>>10), name); err != nil || again != n {
			t.Errorf("%d, written and read again: %d, %v", n, again, err)
		}
		if twice, err := parseKilobytes(b, name, name); err != nil || twice != 2*n {
			t.Errorf("%d, and twice that: %d, %v", n, twice, err)
		}
	})
}

func FuzzParseInodeLink(f *testing.F) {
	f.Add("socket:[4026531840]")
	f.Fuzz(func(t *testing.T, text string) {
		inode, err := parseInodeLink(text)
		if err != nil {
			return
		}
		kind, _, _ := strings.Cut(text, ":[")
		if again, err := parseInodeLink(fmt.Sprintf("%s:[%d]", kind, inode)); err != nil || again != inode {
			t.Errorf("%q is %d, written and read again: %d, %v", text, inode, again, err)
		}
	})
}

func FuzzParseMasterSocket(f *testing.F) {
	f.Add("abns@haproxy")
	f.Add("ipv6@:::9995")
	f.Fuzz(func(t *testing.T, text string) {
		network, address, err := parseMasterSocket(text)
		if err != nil {
			return
		}
		switch network {
		case "unix":
			// Whatever the name, what is dialled is no other path than it says.
			if name := strings.TrimRight(strings.TrimPrefix(address, "@"), "\x00"); !strings.Contains(text, name) {
				t.Errorf("%q is at %q", text, address)
			}
		case "tcp":
			// Nothing is left for a resolver.
			if at, err := netip.ParseAddrPort(address); err != nil || at.Port() == 0 || at.Addr().IsUnspecified() {
				t.Errorf("%q is at %q: %v", text, address, err)
			}
		default:
			t.Errorf("%q is of network %q", text, network)
		}
	})
}

func FuzzParseSockAddr(f *testing.F) {
	f.Add([]byte{unix.AF_INET, 0, 1, 187, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(append([]byte{unix.AF_UNIX, 0}, "/run/a.sock\x00rest"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := parseSockAddr(b)
		switch a.Family {
		case unix.AF_INET, unix.AF_INET6:
			// The kernel's buffer is longer than the address.
			if a.IP.IsValid() && parseSockAddr(append(slices.Clone(b), 1, 2, 3)) != a {
				t.Errorf("%v depends on what stands behind it", a)
			}
		case unix.AF_UNIX:
			if !strings.HasPrefix(a.Path, "@") && strings.Contains(a.Path, "\x00") {
				t.Errorf("path %q", a.Path)
			}
		}
		if a.Family != unix.AF_UNIX && a.Path != "" || a.Family == unix.AF_UNIX && a.IP != (netip.AddrPort{}) {
			t.Errorf("%+v is of two families", a)
		}
	})
}

func FuzzParseTCPInfo(f *testing.F) {
	f.Add([]byte{10, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Add(bytes.Repeat([]byte{1}, 300))
	f.Fuzz(func(t *testing.T, b []byte) {
		info := *parseTCPInfo(b)
		if len(b) <= 8 { // less than any kernel's
			if info != (unix.TCPInfo{}) {
				t.Errorf("%d bytes are %+v", len(b), info)
			}
			return
		}
		// A newer kernel adds fields at the end, an older one leaves some out.
		if longer := *parseTCPInfo(append(slices.Clone(b), make([]byte, 64)...)); longer != info {
			t.Errorf("with more of it: %s", cmp.Diff(info, longer))
		}
		if info.State != b[0] {
			t.Errorf("state %d, want %d", info.State, b[0])
		}
	})
}
