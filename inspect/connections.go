package inspect

import (
	"maps"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// EachConnection visits the local address of each connection of our own network
// namespace, TCP or UDP, that some process holds and whose local port is one of
// those given; and perhaps of some others.
func (h *Host) EachConnection(network Network, ports map[uint16]bool, visit func(local netip.AddrPort)) error {
	protocol := uint32(unix.IPPROTO_TCP)
	if network == NetworkDatagram {
		protocol = unix.IPPROTO_UDP
	}
	if err := eachConnection(h.kernel, protocol, slices.Sorted(maps.Keys(ports)), h.others(), visit); err != nil {
		return readError("connections", "sock_diag", err)
	}
	return nil
}
