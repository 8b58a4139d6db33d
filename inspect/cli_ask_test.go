package inspect

import (
	"strings"
	"testing"
)

// HAProxy's own words for an address, each tried on 2.2 to 3.4. What is dialled is
// a number, so that no name server is asked.
func TestTheAddressOfAMasterCLIIsReadAsHAProxyReadsIt(t *testing.T) {
	padded := "@m" + strings.Repeat("\x00", 106)
	for _, tt := range []struct{ text, network, address, err string }{
		{"/run/m.sock", "unix", "/run/m.sock", ""},
		{"unix@/run/m.sock", "unix", "/run/m.sock", ""},
		{"unix@m.sock", "unix", "m.sock", ""},
		{"uxst@/run/m.sock", "unix", "/run/m.sock", ""},
		{"abns@m", "unix", padded, ""},
		{"abnsz@m", "unix", "@m", ""},
		{"*:9999", "tcp", "127.0.0.1:9999", ""},
		{":9999", "tcp", "127.0.0.1:9999", ""},
		{"0.0.0.0:9999", "tcp", "127.0.0.1:9999", ""},
		{"192.0.2.1:9999", "tcp", "192.0.2.1:9999", ""},
		{"ipv4@*:9997", "tcp", "127.0.0.1:9997", ""},
		{"tcp4@:9997", "tcp", "127.0.0.1:9997", ""},
		{"mptcp@*:9997", "tcp", "127.0.0.1:9997", ""},
		{"stream+ipv4@*:9997", "tcp", "127.0.0.1:9997", ""},
		{"ipv6@:::9995", "tcp", "[::1]:9995", ""},
		{"ipv6@*:9995", "tcp", "[::1]:9995", ""},
		{"ipv6@:9995", "tcp", "[::1]:9995", ""},
		{":::9995", "tcp", "[::1]:9995", ""},
		{"[::]:9995", "tcp", "[::1]:9995", ""},
		{"2001:db8::7:9995", "tcp", "[2001:db8::7]:9995", ""},
		{"[2001:db8::7]:9995", "tcp", "[2001:db8::7]:9995", ""},
		{"localhost:9999", "", "", "the name of a host"},
		{"ipv4@lb1.example.com:9999", "", "", "the name of a host"},
		{"${ADDRESS}:9999", "", "", "variable"},
		{"fd@3", "", "", "a descriptor"},
		{"sockpair@4", "", "", "a descriptor"},
		{"m.sock", "", "", "no port"},
		{"*:", "", "", "no port"},
		{"*:0", "", "", "no port"},
		{"*:9000-9001", "", "", "no port"},
		{"*:65536", "", "", "no port"},
		{"vsock@2:9999", "", "", "no kind"},
	} {
		network, address, err := parseMasterSocket(tt.text)
		says := ""
		if err != nil {
			says = err.Error()
		}
		if tt.err == "" && (network != tt.network || address != tt.address || err != nil) || !strings.Contains(says, tt.err) {
			t.Errorf("%s: got %s %q, %v; want %s %q, %s", tt.text, network, address, err, tt.network, tt.address, tt.err)
		}
	}
}
