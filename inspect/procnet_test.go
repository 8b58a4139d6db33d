package inspect

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

const (
	tcpHeading  = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n"
	unixHeading = "Num       RefCount Protocol Flags    Type St Inode Path\n"
)

// The rows below were written by a little-endian kernel, as all are that HAProxy
// is commonly run on; the addresses read the same backwards on the others.
func TestParseNetTCP(t *testing.T) {
	const table = tcpHeading +
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23849637 1 0000000000000000 100 0 0 10 0                  \n" +
		"   1: 0100007F:1F90 0100007F:D431 01 00000000:00000000 00:00000000 00000000   102        0 23849700 1 0000000000000000 20 4 30 10 -1                 \n" +
		"   2: 00000000:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23849638 1 0000000000000000 100 0 0 10 0                  \n" +
		"   3: 0100007F:1F90 0100007F:D432 06 00000000:00000000 03:00000A2B 00000000     0        0 0 3 0000000000000000                                      \n"
	const table6 = tcpHeading +
		"   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0000000000000000 100 0 0 10 0\n" +
		"   1: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 8 1 0000000000000000 100 0 0 10 0\n"
	for _, c := range []struct {
		name, text string
		want       []Listener
	}{
		{"IPv4: those in LISTEN, not the connections", table, []Listener{
			{Network: "tcp", Address: "127.0.0.1:8080", Port: 8080, Inode: 23849637}, {Network: "tcp", Address: "0.0.0.0:443", Port: 443, Inode: 23849638},
		}},
		{"IPv6", table6, []Listener{{Network: "tcp", Address: "[::1]:8080", Port: 8080, Inode: 7}, {Network: "tcp", Address: "[::]:80", Port: 80, Inode: 8}}},
		{"no sockets", tcpHeading, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseNetTCP([]byte(c.text), "tcp")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseNetTCPRefuses(t *testing.T) {
	const row = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23849637 1 0\n"
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"another file", unixHeading},
		{"an empty heading", "\n" + row},
		{"rows without a heading", row},
		{"a row cut short", tcpHeading + row[:60]},
		{"a row cut short before its state", tcpHeading + "   0: 0100007F:1F90 00000000:0000\n"},
		{"a row without an inode", tcpHeading + strings.Replace(row, " 23849637 1 0", "", 1)},
		{"an inode that is no number", tcpHeading + strings.Replace(row, "23849637", "-", 1)},
		{"an address without a port", tcpHeading + strings.Replace(row, ":1F90", "", 1)},
		{"an address that is neither IPv4 nor IPv6", tcpHeading + strings.Replace(row, "0100007F", "0100007F00", 1)},
		{"an address that is no number", tcpHeading + strings.Replace(row, "0100007F", "0100007G", 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := parseNetTCP([]byte(c.text), "tcp"); err == nil {
				t.Errorf("got %v, want an error", got)
			}
		})
	}
}

func TestParseNetUDPTakesTheUnconnectedOnes(t *testing.T) {
	const table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n" +
		"  341: 00000000:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 41 2 0000000000000000 0        \n" +
		"  342: 0100007F:C350 0100007F:0202 01 00000000:00000000 00:00000000 00000000     0        0 42 2 0000000000000000 0        \n" +
		"  343: 00000000:0000 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 43 2 0000000000000000 0        \n" +
		"  344: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 44 2 0000000000000000 0        \n"
	got, err := parseNetUDP([]byte(table), "udp")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Listener{{Network: "udp", Address: "0.0.0.0:514", Port: 514, Inode: 41}, {Network: "udp", Address: "0.0.0.0:53", Port: 53, Inode: 44}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseNetUnix(t *testing.T) {
	const (
		listening = "0000000000000000: 00000002 00000000 00010000 0001 01 24120 /run/haproxy/admin.sock\n"
		connected = "0000000000000000: 00000003 00000000 00000000 0001 03 24121\n"
	)
	for _, c := range []struct {
		name, rows string
		want       []Listener
	}{
		{"a listening one among others", connected + listening, []Listener{{Network: "unix", Address: "/run/haproxy/admin.sock", Port: 0, Inode: 24120}}},
		{"a seqpacket one", strings.Replace(listening, "0001 01", "0005 01", 1), []Listener{{Network: "unix", Address: "/run/haproxy/admin.sock", Port: 0, Inode: 24120}}},
		{"an abstract name", strings.Replace(listening, "/run/haproxy/admin.sock", "@a b", 1), []Listener{{Network: "unix", Address: "@a b", Port: 0, Inode: 24120}}},
		{"no name", strings.Replace(listening, " /run/haproxy/admin.sock", "", 1), []Listener{{Network: "unix", Address: "", Port: 0, Inode: 24120}}},
		{"a short inode, which is padded", strings.Replace(listening, " 24120", "    17", 1), []Listener{{Network: "unix", Address: "/run/haproxy/admin.sock", Port: 0, Inode: 17}}},
		{"one that is being accepted has no inode", strings.Replace(listening, "24120", "    0", 1), nil},
		{"a name with a newline in it", strings.Replace(listening, "admin.sock", "\nadmin: sock", 1), []Listener{{Network: "unix", Address: "/run/haproxy/", Port: 0, Inode: 24120}}},
		{"what is no row: no colon, and a number too short", strings.Replace(listening, "0000:", "0000", 1) + strings.Replace(listening, "00010000", "0010000", 1) +
			strings.Replace(listening, " 0001 ", " 001 ", 1) + strings.Replace(listening, " 01 ", " 1 ", 1), nil},
		{"a name of blanks", strings.Replace(listening, " /run/haproxy/admin.sock", "   ", 1), []Listener{{Network: "unix", Address: "  ", Port: 0, Inode: 24120}}},
		{"the same row twice", listening + listening, []Listener{{Network: "unix", Address: "/run/haproxy/admin.sock", Port: 0, Inode: 24120}}},
		{"none", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseNetUnix([]byte(unixHeading + c.rows))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a row that somebody forged in a name contradicts the true one", func(t *testing.T) {
		forged := strings.TrimSuffix(connected, "\n") + " x\n" + strings.Replace(listening, "24120", "24121", 1)
		if got, err := parseNetUnix([]byte(unixHeading + forged)); err == nil {
			t.Errorf("got %v, want an error", got)
		}
	})
	for name, text := range map[string]string{"nothing": "", "another file": tcpHeading, "a row cut short": unixHeading + listening[:50]} {
		t.Run(name+" is refused", func(t *testing.T) {
			if got, err := parseNetUnix([]byte(text)); err == nil {
				t.Errorf("got %v, want an error", got)
			}
		})
	}
}

// The parsers take what this host's kernel writes.
func TestParseNetOfThisHost(t *testing.T) {
	for file, parse := range map[string]func([]byte) error{
		"tcp":  func(b []byte) error { _, err := parseNetTCP(b, "tcp"); return err },
		"udp":  func(b []byte) error { _, err := parseNetUDP(b, "udp"); return err },
		"unix": func(b []byte) error { _, err := parseNetUnix(b); return err },
	} {
		b, err := Linux{}.ReadFile("/proc/self/net/"+file, 64<<20)
		if err == nil {
			err = parse(b)
		}
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// A container's namespace may have a million connections: its listeners are read
// without them.
func TestTheListenersOfANamespaceAreReadWithoutItsConnections(t *testing.T) {
	const many = 500
	first := listen(t, "tcp4", "127.0.0.1:0")
	for range many {
		client, err := net.Dial("tcp4", first.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		server, err := first.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
	}
	want := map[uint64]bool{inodeOf(t, first.(syscall.Conn)): true}
	for range 100 { // more than one read(2) tells, and younger than the connections
		want[inodeOf(t, listen(t, "tcp4", "127.0.0.1:0").(syscall.Conn))] = true
	}
	b, err := readNetTable(Linux{}, "/proc/self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(b, []byte{'\n'}); n > 600 {
		t.Errorf("%d rows were read, of %d listeners and some %d connections", n, len(want), 2*many)
	}
	list, err := parseNetTCP(b, "tcp")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		delete(want, l.Inode)
	}
	if len(want) > 0 {
		t.Errorf("%d listeners are not there", len(want))
	}
}

func TestATableIsReadAsFarAsItsFirstConnection(t *testing.T) {
	const (
		listens  = "   0: 00000000:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0\n"
		connects = "   1: 0100007F:01BB 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 8 1 0\n"
	)
	for _, tt := range []struct{ name, table, want string }{
		{"one connection tells that no listener follows", tcpHeading + listens + connects + connects, tcpHeading + listens + connects},
		{"a row that is read in part tells nothing yet", tcpHeading + listens + connects[:60], tcpHeading + listens + connects[:60]},
		{"listeners alone are read to the end", tcpHeading + listens + listens, tcpHeading + listens + listens},
		{"a heading alone is", tcpHeading, tcpHeading},
		{"and so is nothing", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readNetTable(byteForByte{text: tt.table}, "/proc/7/net/tcp")
			if err != nil || string(got) != tt.want {
				t.Errorf("%v: read %q, want %q", err, got, tt.want)
			}
		})
	}
	t.Run("another table is read to the end", func(t *testing.T) {
		table := unixHeading + connects + connects
		got, err := readNetTable(byteForByte{text: table}, "/proc/7/net/unix")
		if err != nil || string(got) != table {
			t.Errorf("%v: read %q", err, got)
		}
	})
}

func TestATableOfIPv6IsReadWhereThereMayBeSocketsOfIt(t *testing.T) {
	const listens = "   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1 0\n"
	for _, tt := range []struct {
		name, sockstat string
		want           int
	}{
		{"where the kernel counts none", "TCP6: inuse 0\nUDP6: inuse 3\n", 0},
		{"where it counts one", "TCP6: inuse 1\nUDP6: inuse 0\n", 1},
		{"where it counts ten", "TCP6: inuse 10\nUDP6: inuse 0\n", 1},
		{"where it does not tell", "", 1},
		{"where it tells something else", "UDP6: inuse 0\n", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := readNetTable(byteForByte{text: tcpHeading + listens, sockstat: tt.sockstat}, "/proc/7/net/tcp6")
			if err != nil {
				t.Fatal(err)
			}
			if list, err := parseNetTCP(b, "tcp"); err != nil || len(list) != tt.want {
				t.Errorf("%v: %v, want %d", err, list, tt.want)
			}
		})
	}
	t.Run("of this host, with a socket of IPv6 and without connections of it", func(t *testing.T) {
		inode := inodeOf(t, listen(t, "tcp6", "[::1]:0").(syscall.Conn))
		b, err := readNetTable(Linux{}, "/proc/self/net/tcp6")
		if err != nil {
			t.Fatal(err)
		}
		list, err := parseNetTCP(b, "tcp")
		if err != nil || !slices.ContainsFunc(list, func(l Listener) bool { return l.Inode == inode }) {
			t.Errorf("%v: %v, without the listener %d", err, list, inode)
		}
	})
}

// byteForByte is one file, of which every read(2) tells one byte more, and
// sockstat6, which cannot be read where it is empty.
type byteForByte struct {
	Linux
	text, sockstat string
}

func (k byteForByte) ReadFile(path string, _ int) ([]byte, error) {
	switch {
	case !strings.HasSuffix(path, "/sockstat6"):
		return []byte(k.text), nil
	case k.sockstat == "":
		return nil, unix.ENOENT
	}
	return []byte(k.sockstat), nil
}

func (k byteForByte) ReadHead(_ string, _ int, enough func([]byte) bool) ([]byte, error) {
	for i := range k.text {
		if enough([]byte(k.text[:i+1])) {
			return []byte(k.text[:i+1]), nil
		}
	}
	return []byte(k.text), nil
}

func FuzzParseNetInet(f *testing.F) {
	f.Add([]byte(tcpHeading + "   0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0     0        0 23849637 1\n"))
	f.Add([]byte(tcpHeading + "   0: 00000000000000000000000001000000:0050 0:0 07 0 0 0 0 0 7\n"))
	f.Add([]byte("sl\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte, string) ([]Listener, error){parseNetTCP, parseNetUDP} {
			list, err := parse(b, "tcp")
			if err != nil && list != nil {
				t.Errorf("both %v and %v", list, err)
			}
			for _, l := range list {
				if l.Port == 0 || l.Address == "" {
					t.Errorf("listener %+v", l)
				}
			}
		}
	})
}

func FuzzParseNetUnix(f *testing.F) {
	f.Add([]byte(unixHeading + "0: 00000002 00000000 00010000 0001 01 24120 /a b\n\n: \n"))
	f.Add([]byte(unixHeading + "0: 2 0 00010000 0001 01 1\n0: 2 0 00000000 0001 01 1 @x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseNetUnix(b)
		if err != nil && list != nil {
			t.Errorf("both %v and %v", list, err)
		}
		seen := map[uint64]bool{}
		for _, l := range list {
			if l.Inode == 0 || seen[l.Inode] {
				t.Errorf("inode %d is none or twice in %v", l.Inode, list)
			}
			seen[l.Inode] = true
		}
	})
}
