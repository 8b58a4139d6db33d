package inspect

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SockAddr is the address of one end of a socket: an address and port for IP
// families, a path for unix sockets ("" when unnamed, "@name" when abstract).
type SockAddr struct {
	Family int // AF_INET, AF_INET6, AF_UNIX, or whatever the kernel said
	IP     netip.AddrPort
	Path   string
}

// String is the address as ss(8) writes it.
func (a SockAddr) String() string {
	switch a.Family {
	case unix.AF_INET, unix.AF_INET6:
		return a.IP.String()
	default:
		return a.Path
	}
}

// ShownName is the name of a unix socket as people write it: an abstract one
// without the NULs that HAProxy (abns@) pads it with to the whole of sun_path. It
// is for display alone: `abns@x` and `abnsz@x` are two sockets.
func ShownName(path string) string {
	if strings.HasPrefix(path, "@") {
		return strings.TrimRight(path, "\x00")
	}
	return path
}

// sockAddr is getsockname or getpeername without the two allocations that the
// x/sys versions make for every socket.
func sockAddr(call uintptr, fd int) (SockAddr, error) {
	var raw unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(raw))
	_, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&raw)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return SockAddr{}, errno
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&raw)), unsafe.Sizeof(raw))
	return parseSockAddr(b[:min(int(size), len(b))]), nil
}

// parseSockAddr reads a struct sockaddr (ip(7), ipv6(7), unix(7)). What is too
// short for its family keeps the family and no address.
func parseSockAddr(b []byte) SockAddr {
	if len(b) < 2 {
		return SockAddr{}
	}
	a := SockAddr{Family: int(binary.NativeEndian.Uint16(b))}
	switch a.Family {
	case unix.AF_INET:
		if len(b) >= 8 {
			a.IP = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4]))
		}
	case unix.AF_INET6:
		if len(b) >= 24 {
			a.IP = netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[8:24])), binary.BigEndian.Uint16(b[2:4]))
		}
	case unix.AF_UNIX:
		a.Path = unixPath(b[2:])
	}
	return a
}

// unixPath is the name in a sockaddr_un: an abstract name starts with a NUL and
// is shown with '@' in its place, a path ends at its first NUL.
func unixPath(name []byte) string {
	if len(name) == 0 {
		return ""
	}
	if name[0] == 0 {
		if len(name) == 1 {
			return ""
		}
		return "@" + string(name[1:])
	}
	for i, c := range name {
		if c == 0 {
			return string(name[:i])
		}
	}
	return string(name)
}
