package inspect

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// maxSessions bounds the answer to `show sess`, in bytes: some ten thousand
// streams of three hundred bytes each.
const maxSessions = 4 << 20

// parseShowSess reads the answer to `show sess`: a line for each stream, words
// of name=value after its address (1.9 to 3.4). Clients of unix sockets have no
// address, and streams of HAProxy's own have none either: they are left out. Of
// several streams of one client the oldest counts.
func parseShowSess(b []byte) (map[netip.AddrPort]time.Duration, error) {
	ages := map[netip.AddrPort]time.Duration{}
	for line := range bytes.Lines(b) {
		text, whole := strings.CutSuffix(string(line), "\n")
		if text == "" {
			continue
		}
		if !whole {
			return nil, errors.New("parse show sess: last row cut short")
		}
		if !strings.HasPrefix(text, "0x") {
			return nil, fmt.Errorf("parse show sess: no stream in %q", firstLine(line))
		}
		src, age := "", ""
		for _, word := range strings.Fields(text) {
			// Names of the configuration come between, and hold no blank.
			if value, ok := strings.CutPrefix(word, "src="); ok && src == "" {
				src = value
			} else if value, ok := strings.CutPrefix(word, "age="); ok && age == "" {
				age = value
			}
		}
		peer, ok := parsePeer(src)
		if !ok {
			continue
		}
		lasted, err := parseAge(age)
		if err != nil {
			return nil, fmt.Errorf("parse show sess: %w", err)
		}
		ages[peer] = max(ages[peer], lasted)
	}
	return ages, nil
}

// parsePeer reads an address as HAProxy writes it, an IPv6 one without brackets.
func parsePeer(text string) (netip.AddrPort, bool) {
	i := strings.LastIndexByte(text, ':')
	host, err := netip.ParseAddr(text[:max(i, 0)])
	port, portErr := strconv.ParseUint(text[i+1:], 10, 16)
	return netip.AddrPortFrom(host.Unmap(), uint16(port)), err == nil && portErr == nil
}

// parseAge reads a time as HAProxy writes it: 3s, 4m12s, 2h7m, 9d3h. Some
// releases (3.0.0, 3.1.0) write ages of decades; who knows the process's own age
// can tell.
func parseAge(text string) (time.Duration, error) {
	units := map[byte]time.Duration{'d': 24 * time.Hour, 'h': time.Hour, 'm': time.Minute, 's': time.Second}
	var sum time.Duration
	for rest := text; rest != ""; {
		unit := strings.TrimLeft(rest, "0123456789")
		if unit == "" || units[unit[0]] == 0 {
			return 0, fmt.Errorf("%q is no time", text)
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(rest, unit), 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is no time: %w", text, err)
		}
		sum += time.Duration(n) * units[unit[0]]
		rest = unit[1:]
	}
	if text == "" {
		return 0, errors.New("a stream without an age")
	}
	return sum, nil
}
