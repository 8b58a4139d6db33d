package inspect

import (
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// abns@ pads a name with NULs, and a person does not read them.
func TestAnAbstractNameIsShownWithoutItsPadding(t *testing.T) {
	padded := "@inner" + strings.Repeat("\x00", 102)
	for name, want := range map[string]string{padded: "@inner", "@inner": "@inner", "@a\x00b": "@a\x00b", "/run/x.sock": "/run/x.sock", "": ""} {
		if got := ShownName(name); got != want {
			t.Errorf("%q is shown as %q, want %q", name, got, want)
		}
	}
}

// The kernel writes as much of an address as there is; what is too short for its
// family has none.
func TestAnAddressIsReadWhenItIsWhole(t *testing.T) {
	for _, c := range []struct {
		name   string
		family uint16
		rest   string
		want   string
	}{
		{"IPv4", unix.AF_INET, "\x01\xbb\x0a\x00\x00\x01", "10.0.0.1:443"},
		{"IPv4, as the kernel pads it", unix.AF_INET, "\x01\xbb\x0a\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00", "10.0.0.1:443"},
		{"IPv4, cut", unix.AF_INET, "\x01\xbb\x0a\x00\x00", "invalid AddrPort"},
		{"IPv6", unix.AF_INET6, "\x01\xbb\x00\x00\x00\x00\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07", "[2001:db8::7]:443"},
		{"IPv6, cut", unix.AF_INET6, "\x01\xbb\x00\x00\x00\x00\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "invalid AddrPort"},
		{"a family of another kind", unix.AF_VSOCK, "\x00\x00\x00\x00\x00\x00", "invalid AddrPort"},
	} {
		b := append(binary.NativeEndian.AppendUint16(nil, c.family), c.rest...)
		if got := parseSockAddr(b); got.IP.String() != c.want || got.Family != int(c.family) {
			t.Errorf("%s: got %v of family %d, want %s", c.name, got.IP, got.Family, c.want)
		}
	}
	if got := parseSockAddr([]byte{unix.AF_INET}); got != (SockAddr{}) {
		t.Errorf("of one byte: got %+v", got)
	}
}
