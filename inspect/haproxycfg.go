package inspect

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// parseBindPorts finds the ports that a configuration names in its bind and
// dgram-bind lines, whatever the section, and whatever a condition around them
// says. unknown is set when an address is a descriptor of somebody else's, holds
// an environment variable where it may stand for a datagram port, or cannot be
// understood: then there may be more ports.
func parseBindPorts(cfg []byte) (ports map[uint16]bool, unknown bool) {
	ports = map[uint16]bool{}
	for line := range bytes.Lines(cfg) {
		words, ok := configWords(string(line))
		if len(words) == 0 {
			continue
		}
		if words[0] != "bind" && words[0] != "dgram-bind" {
			// A variable in the first place can become any keyword.
			unknown = unknown || strings.Contains(words[0], "$")
			continue
		}
		if !ok || len(words) < 2 {
			unknown = true
			continue
		}
		for address := range strings.SplitSeq(words[1], ",") {
			first, last, ok := bindPorts(address)
			if !ok {
				unknown = unknown || words[0] != "bind" || !streamAddress(address)
				continue
			}
			for port := first; port != 0 && port <= last; port++ {
				ports[uint16(port)] = true
			}
		}
	}
	return ports, unknown
}

// portless are the address families without a port.
var portless = []string{"unix", "uxst", "uxdg", "abns", "abnsz", "sockpair", "rhttp", "rev"}

// stream are those with one that a bind line makes a stream socket of, ported all
// that have one.
var (
	stream = []string{"", "ip", "ipv4", "ipv6", "tcp", "tcp4", "tcp6", "mptcp", "mptcp4", "mptcp6"}
	ported = append([]string{"udp", "udp4", "udp6", "quic4", "quic6"}, stream...)
)

// bindPorts is the port, or range of ports, of one address as HAProxy writes it
// (configuration.txt, "bind"); 0 for an address that has none.
func bindPorts(address string) (first, last int, ok bool) {
	for _, transport := range []string{"stream+", "dgram+", "quic+"} {
		address = strings.TrimPrefix(address, transport)
	}
	if strings.HasPrefix(address, "/") {
		return 0, 0, true
	}
	family, rest, found := strings.Cut(address, "@")
	if !found {
		family, rest = "", address
	}
	if slices.Contains(portless, family) {
		return 0, 0, true
	}
	colon := strings.LastIndexByte(rest, ':')
	if colon < 0 || !slices.Contains(ported, family) && !strings.Contains(family, "$") {
		return 0, 0, false
	}
	from, to, isRange := strings.Cut(rest[colon+1:], "-")
	if !isRange {
		to = from
	}
	low, err := strconv.ParseUint(from, 10, 16)
	if err != nil {
		return 0, 0, false
	}
	high, err := strconv.ParseUint(to, 10, 16)
	if err != nil || low == 0 || low > high {
		return 0, 0, false
	}
	return int(low), int(high), true
}

// streamAddress says that the address of a bind line with a variable in it is one
// of a stream socket whatever the variable holds: a datagram socket has to be
// asked for by the family, which stands in front.
func streamAddress(address string) bool {
	literal, _, variable := strings.Cut(address, "$")
	if !variable || strings.HasPrefix(literal, "dgram+") || strings.HasPrefix(literal, "quic+") {
		return false
	}
	family, _, found := strings.Cut(strings.TrimPrefix(literal, "stream+"), "@")
	if !found {
		// "127.0.0.1:${PORT}": what is in front of the variable is no family.
		return strings.ContainsAny(literal, ":./*[")
	}
	return slices.Contains(stream, family)
}

// configWords splits a line of a configuration as HAProxy does (configuration.txt,
// "Quoting and escaping"), up to a comment. Variables stay as they are written.
// It is not ok when a quote is left open; the words before it still count.
func configWords(line string) (words []string, ok bool) {
	var word strings.Builder
	var quote byte
	inWord := false
	end := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\n' || c == '\r' || c == 0:
			end()
			return words, quote == 0
		case quote == 0 && c == '#':
			end()
			return words, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\v' || c == '\f'):
			end()
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != '\'' && c == '\\' && i+1 < len(line) && strings.IndexByte(` \#'"$`, line[i+1]) >= 0:
			i++
			word.WriteByte(line[i])
			inWord = true
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	end()
	return words, quote == 0
}
