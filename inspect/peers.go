package inspect

import "net/netip"

// PeerPort is who is connected to what: the address of a peer, without its port,
// and the local port.
type PeerPort struct {
	Peer netip.Addr
	Port uint16
}

// PeerPort of a client's connection.
func (c ClientSocket) PeerPort() PeerPort { return PeerPort{c.Peer.Addr(), c.Local.Port()} }

// CountPeers counts the established TCP connections of our own network namespace
// from each of some peers to the local port that is named with it, whichever
// process has them. The kernel filters them by their local ports (sock_diag(7)).
// Every peer that is asked about has an entry.
func (h *Host) CountPeers(wanted map[PeerPort]int) (map[PeerPort]int, error) {
	counts := make(map[PeerPort]int, len(wanted))
	var ports []uint16
	for w := range wanted {
		counts[w] = 0
		ports = append(ports, w.Port)
	}
	err := eachEstablished(h.kernel, ports, func(s inetSocket) {
		key := PeerPort{s.peer.Addr().Unmap(), s.local.Port()}
		if n, wanted := counts[key]; wanted {
			counts[key] = n + 1
		}
	})
	if err != nil {
		return nil, readError("connections", "sock_diag", err)
	}
	return counts, nil
}
