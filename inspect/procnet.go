package inspect

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxNetTable is more than a million sockets take.
const maxNetTable = 256 << 20

// readNetTable reads a table of /proc/PID/net, and of a table of TCP sockets only
// the beginning, with all that listen. The kernel writes those first
// (net/ipv4/tcp_ipv4.c, tcp_get_idx), and the connections of the whole network
// namespace after them, at some 3 us of CPU each. To find that there is no
// connection of IPv6 it walks all those of IPv4, so its count is asked first.
func readNetTable(k Kernel, path string) ([]byte, error) {
	switch {
	case strings.HasSuffix(path, "/tcp6") && noTCP6(k, strings.TrimSuffix(path, "tcp6")+"sockstat6"):
		return []byte("sl\n"), nil
	case !strings.HasSuffix(path, "/tcp") && !strings.HasSuffix(path, "/tcp6"):
		return k.ReadFile(path, maxNetTable)
	}
	whole := -1 // the length of the whole rows, once a connection was read
	b, err := k.ReadHead(path, maxNetTable, func(read []byte) bool {
		rows := read[:bytes.LastIndexByte(read, '\n')+1]
		if !lastConnects(rows) {
			return false
		}
		whole = len(rows)
		return true
	})
	if err == nil && whole >= 0 {
		b = b[:whole]
	}
	return b, err
}

// noTCP6 tells whether /proc/PID/net/sockstat6 counts no TCP socket of IPv6, be
// it a listener or a connection; false where it cannot be read.
func noTCP6(k Kernel, path string) bool {
	b, err := k.ReadFile(path, 4096)
	return err == nil && bytes.HasPrefix(b, []byte("TCP6: inuse 0\n"))
}

// lastConnects tells whether the last of some rows of a table of TCP sockets is
// of one that does not listen.
func lastConnects(rows []byte) bool {
	rows = bytes.TrimSuffix(rows, []byte{'\n'})
	fields := bytes.Fields(rows[bytes.LastIndexByte(rows, '\n')+1:])
	return len(fields) > 3 && bytes.HasSuffix(fields[0], []byte{':'}) && string(fields[3]) != "0A"
}

// parseNetTCP is the sockets in LISTEN of /proc/PID/net/tcp or tcp6 (proc(5)),
// which show the network namespace of that process.
func parseNetTCP(b []byte, network string) ([]Listener, error) {
	return parseNetInet(b, network, "0A")
}

// parseNetUDP is the bound and unconnected sockets of /proc/PID/net/udp or udp6.
func parseNetUDP(b []byte, network string) ([]Listener, error) {
	return parseNetInet(b, network, "07")
}

// parseNetInet reads the rows in one state. The kernel writes these tables
// alone, so a row that cannot be read is an error.
func parseNetInet(b []byte, network, state string) ([]Listener, error) {
	const (
		fieldLocal = 1
		fieldState = 3
		fieldInode = 9
	)
	rows, err := tableRows(b, "sl")
	if err != nil {
		return nil, err
	}
	var found []Listener
	for row := range bytes.Lines(rows) {
		var local, inode []byte
		i, other := 0, false
		for field := range bytes.FieldsSeq(row) {
			switch i {
			case fieldLocal:
				local = field
			case fieldState:
				other = string(field) != state
			case fieldInode:
				inode = field
			}
			if i++; other {
				break // most rows, where it matters
			}
		}
		if other {
			continue
		}
		address, err := parseHexAddress(local)
		if err != nil {
			return nil, err
		}
		number, err := strconv.ParseUint(string(inode), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("parse socket table: inode: %w", err)
		}
		if address.Port() == 0 {
			continue
		}
		found = append(found, Listener{Network: network, Address: address.String(), Port: address.Port(), Inode: number})
	}
	return found, nil
}

// tableRows checks the heading of a table of /proc/net, by its first word, and
// that the last row is whole.
func tableRows(b []byte, heading string) ([]byte, error) {
	first, rows, ok := bytes.Cut(b, []byte{'\n'})
	words := bytes.Fields(first)
	if !ok || len(words) == 0 || string(words[0]) != heading {
		return nil, fmt.Errorf("parse socket table: no heading %q", heading)
	}
	if len(rows) > 0 && rows[len(rows)-1] != '\n' {
		return nil, errors.New("parse socket table: last row cut short")
	}
	return rows, nil
}

// parseHexAddress reads an address and port in hexadecimal. The address is in
// words of 32 bits in the host's order, one for IPv4 and four for IPv6.
func parseHexAddress(text []byte) (netip.AddrPort, error) {
	host, portText, _ := bytes.Cut(text, []byte{':'})
	port, err := strconv.ParseUint(string(portText), 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("parse socket table: port: %w", err)
	}
	raw, err := hex.DecodeString(string(host))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("parse socket table: address: %w", err)
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	address, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("parse socket table: address of %d bytes", len(raw))
	}
	return netip.AddrPortFrom(address, uint16(port)), nil
}

// parseNetUnix is the listening sockets of /proc/PID/net/unix: those with the
// flag __SO_ACCEPTCON. Anybody can bind a name that contains a newline, and the
// kernel writes it as it is: what is no row is therefore passed over, and rows
// that contradict each other about an inode are an error.
func parseNetUnix(b []byte) ([]Listener, error) {
	const acceptCon = 1 << 16
	rows, err := tableRows(b, "Num")
	if err != nil {
		return nil, err
	}
	var found []Listener
	accepts := map[uint64]bool{}
	for row := range bytes.Lines(rows) {
		flags, inode, path, ok := parseNetUnixRow(bytes.TrimSuffix(row, []byte{'\n'}))
		if !ok || inode == 0 {
			continue
		}
		listening := flags&acceptCon != 0
		before, seen := accepts[inode]
		if seen && before != listening {
			return nil, fmt.Errorf("parse socket table: unix socket %d both listens and does not", inode)
		}
		accepts[inode] = listening
		if listening && !seen {
			found = append(found, Listener{Network: "unix", Address: unprintedName(path), Inode: inode})
		}
	}
	return found, nil
}

// unprintedName is a name of /proc/net/unix as SockAddr has it. The kernel prints
// each NUL of an abstract name as '@' (net/unix/af_unix.c, unix_seq_show). HAProxy
// pads one to the whole of sun_path, 108 bytes, so there the last ones were NULs.
func unprintedName(printed string) string {
	const whole = 108
	if len(printed) != whole || printed[0] != '@' {
		return printed
	}
	name := "@" + strings.TrimRight(printed[1:], "@")
	return name + strings.Repeat("\x00", whole-len(name))
}

// parseNetUnixRow splits "address: refcount protocol flags type state inode path".
// The path, which may be missing, is all that follows the blank after the inode.
func parseNetUnixRow(row []byte) (flags, inode uint64, path string, ok bool) {
	var fields [7][]byte
	for i := range fields {
		fields[i], row, _ = bytes.Cut(bytes.TrimLeft(row, " "), []byte{' '})
	}
	if !bytes.HasSuffix(fields[0], []byte{':'}) || len(fields[3]) != 8 || len(fields[4]) != 4 || len(fields[5]) != 2 {
		return 0, 0, "", false
	}
	flags, err := strconv.ParseUint(string(fields[3]), 16, 32)
	if err != nil {
		return 0, 0, "", false
	}
	inode, err = strconv.ParseUint(string(fields[6]), 10, 64)
	if err != nil {
		return 0, 0, "", false
	}
	return flags, inode, string(row), true
}
