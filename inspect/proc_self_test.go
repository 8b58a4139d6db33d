package inspect

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPrivilegesAreReadFromStatus(t *testing.T) {
	for name, row := range map[string]struct {
		status string
		want   Privileges
		bad    bool
	}{
		"root":                         {status: "Name:\tx\nUid:\t0\t0\t0\t0\nCapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\n", want: Privileges{0, 0, 0x1ffffffffff}},
		"another effective user":       {status: "Uid:\t0\t106\t0\t0\nCapEff:\t0000000000080004\n", want: Privileges{0, 106, 0x80004}},
		"no capabilities line":         {status: "Uid:\t0\t0\t0\t0\n", bad: true},
		"no user line":                 {status: "CapEff:\t0\n", bad: true},
		"a user that is no number":     {status: "Uid:\t0\tx\t0\t0\nCapEff:\t0\n", bad: true},
		"a real user that is none":     {status: "Uid:\tx\t0\t0\t0\nCapEff:\t0\n", bad: true},
		"a short user line":            {status: "Uid:\t0\nCapEff:\t0\n", bad: true},
		"capabilities of no number":    {status: "Uid:\t0\t0\t0\t0\nCapEff:\tall\n", bad: true},
		"capabilities without a value": {status: "Uid:\t0\t0\t0\t0\nCapEff:\n", bad: true},
		"nothing":                      {status: "", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parsePrivileges([]byte(row.status))
			if (err != nil) != row.bad || err == nil && got != row.want {
				t.Errorf("got %+v, %v; want %+v, an error: %v", got, err, row.want, row.bad)
			}
		})
	}
}

func TestOurOwnPrivilegesCanBeRead(t *testing.T) {
	p, err := ReadPrivileges(Linux{})
	if err != nil {
		t.Fatal(err)
	}
	if int(p.EUID) != os.Geteuid() {
		t.Errorf("user %d, want %d", p.EUID, os.Geteuid())
	}
}

func FuzzPrivilegesAreReadOrRefused(f *testing.F) {
	f.Add([]byte("Uid:\t0\t0\t0\t0\nCapEff:\t0000000000080004\n"))
	f.Fuzz(func(t *testing.T, status []byte) {
		p, err := parsePrivileges(status)
		if err != nil {
			return
		}
		again, err := parsePrivileges(fmt.Appendf(nil, "Uid:\t%d\t%d\nCapEff:\t%016x\n", p.RUID, p.EUID, p.Caps))
		if err != nil || again != p {
			t.Errorf("%+v, written and read again: %+v, %v", p, again, err)
		}
	})
}

func TestMissingCapabilitiesAreNamed(t *testing.T) {
	p := Privileges{Caps: 1 << CapKill}
	missing := p.Missing(CapSysPtrace, CapDACReadSearch, CapKill)
	if want := (Capabilities{CapSysPtrace, CapDACReadSearch}); !slices.Equal(missing, want) || missing.String() != "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH" {
		t.Errorf("missing %v", missing)
	}
}

func TestAHiddenProcIsToldFromOneWithoutHAProxy(t *testing.T) {
	hiding := initKernel{err: unix.ENOENT}
	showing := initKernel{}
	root := Privileges{Caps: 1 << CapSysPtrace}
	for name, row := range map[string]struct {
		have   Privileges
		kernel initKernel
		want   bool
	}{
		"nobody under hidepid":        {Privileges{EUID: 1000}, hiding, true},
		"nobody on an ordinary /proc": {Privileges{EUID: 1000}, showing, false},
		"root, who sees all":          {root, showing, false},
		"root, whose pid 1 is unread": {root, hiding, false},
	} {
		if got := row.have.Hidden(row.kernel); got != row.want {
			t.Errorf("%s: %v, want %v", name, got, row.want)
		}
	}
}

// initKernel is Linux but for what process 1 is called.
type initKernel struct {
	Linux
	err error
}

func (k initKernel) ReadFile(path string, limit int) ([]byte, error) {
	if path == "/proc/1/comm" {
		return []byte("systemd\n"), k.err
	}
	return k.Linux.ReadFile(path, limit)
}
