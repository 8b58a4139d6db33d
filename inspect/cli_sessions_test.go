package inspect

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseShowSess(t *testing.T) {
	client := netip.MustParseAddrPort
	for name, c := range map[string]struct {
		text string
		want map[netip.AddrPort]time.Duration
	}{
		"no stream": {"\n", map[netip.AddrPort]time.Duration{}},
		"2.2, two of one client, and the one that asks": {
			"0x55d0c8a3f2b0: proto=tcpv4 src=127.0.0.1:41234 fe=fe be=be srv=s1 ts=00 age=3s calls=3 rate=0 cpu=0 lat=0 rq[f=848000h,i=0,an=00h,rx=59m57s,wx=,ax=] s0=[7,8h,fd=17,ex=]\n" +
				"0x55d0c8a3f2b1: proto=tcpv4 src=127.0.0.1:41234 fe=fe be=be srv=s1 ts=00 age=1m2s calls=3\n" +
				"0x55d0c8a3f2b2: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 age=0s calls=1\n\n",
			map[netip.AddrPort]time.Duration{client("127.0.0.1:41234"): 62 * time.Second},
		},
		"3.0 and later, with an epoch; IPv6, and IPv4 within it": {
			"0x7f5c64021340: proto=tcpv6 src=2001:db8::7:50000 fe=fe be=be srv=s1 ts=00 epoch=0x1 age=9d3h calls=3\n" +
				"0x7f5c64021341: proto=tcpv6 src=::ffff:10.0.0.2:50001 fe=fe be=be srv=s1 ts=00 epoch=0x1 age=2h7m calls=3\n",
			map[netip.AddrPort]time.Duration{client("[2001:db8::7]:50000"): 219 * time.Hour, client("10.0.0.2:50001"): 2*time.Hour + 7*time.Minute},
		},
		"a stream that is no client's": {"0x7f5c64021340: proto=none src=? fe=<NONE> be=x age=1s\n", map[netip.AddrPort]time.Duration{}},
		"a client behind a stream that is none's, and behind a blank line": {
			"0x1: proto=none src=? fe=<NONE> be=x age=1s\n\n0x2: proto=tcpv4 src=10.0.0.1:1 age=10m\n\n",
			map[netip.AddrPort]time.Duration{client("10.0.0.1:1"): 10 * time.Minute},
		},
		"fields twice: the first counts": {
			"0x1: proto=tcpv4 src=10.0.0.1:1 src=10.9.9.9:9 age=10m age=9s\n",
			map[netip.AddrPort]time.Duration{client("10.0.0.1:1"): 10 * time.Minute},
		},
		"an address without a port, and a port without an address": {"0x1: src=10.0.0.1 age=1s\n0x2: src=:1 age=1s\n0x3: src= age=1s\n", map[netip.AddrPort]time.Duration{}},
		"a name that looks like a field": {
			"0x1: proto=tcpv4 src=10.0.0.1:1 fe=age=9s be=src=10.9.9.9:9 age=5s\n",
			map[netip.AddrPort]time.Duration{client("10.0.0.1:1"): 5 * time.Second},
		},
	} {
		got, err := parseShowSess([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseShowSessRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"an error of the CLI's":   "Permission denied\n",
		"a row cut short":         "0x1: proto=tcpv4 src=10.0.0.1:1 fe=fe age=5",
		"a client without an age": "0x1: proto=tcpv4 src=10.0.0.1:1 fe=fe\n",
		"an age of another kind":  "0x1: proto=tcpv4 src=10.0.0.1:1 fe=fe age=5w\n",
		"an age without a unit":   "0x1: proto=tcpv4 src=10.0.0.1:1 fe=fe age=5\n",
		"a unit without a number": "0x1: proto=tcpv4 src=10.0.0.1:1 fe=fe age=5mh\n",
		"an age of too many":      "0x1: proto=tcpv4 src=10.0.0.1:1 fe=fe age=99999d\n",
	} {
		if got, err := parseShowSess([]byte(text)); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}

func FuzzParseShowSess(f *testing.F) {
	f.Add([]byte("0x1: proto=tcpv4 src=10.0.0.1:1 fe=fe age=5s\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ages, err := parseShowSess(b)
		if err != nil {
			return
		}
		var again strings.Builder
		for peer, age := range ages {
			if age < 0 || !peer.IsValid() {
				t.Errorf("%v: %v", peer, age)
			}
			days := age / (24 * time.Hour)
			if days > 65535 {
				return // of several numbers of days
			}
			rest := age % (24 * time.Hour)
			fmt.Fprintf(&again, "0x1: src=%s:%d age=%dd%dm%ds\n", peer.Addr(), peer.Port(), days, rest/time.Minute, rest%time.Minute/time.Second)
		}
		same, err := parseShowSess([]byte(again.String()))
		if diff := cmp.Diff(ages, same, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); err != nil || diff != "" {
			t.Errorf("written and read again: %v, %s", err, diff)
		}
	})
}
