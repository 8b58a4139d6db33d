package inspect

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseBindPorts(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     string
		ports   []uint16
		unknown bool
	}{
		{"any section, bind and dgram-bind", "frontend f\n  bind :80\nlog-forward l\n\tdgram-bind *:514\n", []uint16{80, 514}, false},
		{"addresses", "bind 127.0.0.1:1\nbind [::1]:2\nbind ::3\nbind ::1:4\nbind www.example.com:5\n", []uint16{1, 2, 3, 4, 5}, false},
		{"families", "bind udp@:1\nbind quic4@:2\nbind quic6@[::]:3\nbind ipv4@*:4\nbind quic+udp@:5\nbind mptcp@:6", []uint16{1, 2, 3, 4, 5, 6}, false},
		{"a range", "bind a:1000-1002", []uint16{1000, 1001, 1002}, false},
		{"the highest ports", "bind :65534-65535", []uint16{65534, 65535}, false},
		{"a list", "bind :1,:2,127.0.0.1:3-4 ssl crt /x:9", []uint16{1, 2, 3, 4}, false},
		{"quotes", `bind ":1" 'name' x` + "\n" + `bind '127.0.0.1':"2"` + "\n\"bind\" :3", []uint16{1, 2, 3}, false},
		{"comments", "# bind :1\nbind :2 # :3\nbind :4#:5\n", []uint16{2, 4}, false},
		{"a hash within quotes is no comment", "bind 'a#b:6'\n", []uint16{6}, false},
		{"conditions count on both sides", ".if feature(X)\nbind :1\n.else\nbind :2\n.endif", []uint16{1, 2}, false},
		{"families without a port", "bind /run/x.sock\nbind unix@x\nbind abns@x:7\nbind uxst@/a\nbind sockpair@3\nbind rhttp@be/srv\n", nil, false},
		{"other lines", "server bind :1\nlog 127.0.0.1:514 local0\nbinder :2\nstats socket :3\n", nil, false},
		{"lines of another system", "bind :1\r\nbind :2\r\n", []uint16{1, 2}, false},
		{"nothing", "", nil, false},

		{"a variable for a stream port", "bind :1\nbind :${PORT}\nbind *:$P\nbind ipv4@${A}:${P}\nbind 10.${N}.0.1:${P}\n", []uint16{1}, false},
		{"a variable, and then a port, in a list", "bind :${PORT},:8443", []uint16{8443}, false},
		{"a variable in front of a port", "bind \"$ADDR\":1\nbind ${FAMILY}@:2\nbind quic4@${ADDR}:3", []uint16{1, 2, 3}, false},
		{"a variable for a datagram port", "bind :1\nbind quic4@:${PORT}\n", []uint16{1}, true},
		{"a variable for the port of a dgram-bind", "dgram-bind :${PORT}\n", nil, true},
		{"a variable for a port of any family", "bind ${ADDR}:${PORT}\n", nil, true},
		{"a variable for the port of a family in a variable", "bind ${FAMILY}@:${PORT}\n", nil, true},
		{"a variable for the end of a family", "bind quic${VERSION}@:${PORT}\n", nil, true},
		{"a variable for everything", "bind $ALL\n", nil, true},
		{"a variable as the keyword", `"$X" :1`, nil, true},
		{"a variable elsewhere is nobody's concern", `bind :1 crt "$CERT"`, []uint16{1}, false},
		{"somebody else's descriptor", "bind fd@3\nbind :2", []uint16{2}, true},
		{"no address", "bind", nil, true},
		{"no port", "bind 127.0.0.1", nil, true},
		{"port 0", "bind :0", nil, true},
		{"a port beyond any", "bind :65536", nil, true},
		{"a range backwards", "bind :9-8", nil, true},
		{"an empty member of a list", "bind :1,", []uint16{1}, true},
		{"an unknown family, and then a port, in a list", "bind new@:1,:2", []uint16{2}, true},
		{"an unknown family", "bind new@:1", nil, true},
		{"an open quote", "bind \":1\nbind :2", []uint16{2}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ports, unknown := parseBindPorts([]byte(c.cfg))
			got := slices.Sorted(maps.Keys(ports))
			if diff := cmp.Diff(c.ports, got, cmpopts.EquateEmpty()); diff != "" || unknown != c.unknown {
				t.Errorf("unknown %v, want %v; ports %s", unknown, c.unknown, diff)
			}
		})
	}
}

func FuzzParseBindPorts(f *testing.F) {
	f.Add([]byte("frontend f\n bind \":80\",quic4@:443-445 ssl # x\n dgram-bind 'a\\:1'\n"))
	f.Add([]byte("bind fd@${X}\nbind [::1]:1-\\"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ports, unknown := parseBindPorts(b)
		if ports[0] {
			t.Error("port 0")
		}
		// What comes before never hides a plain line that follows.
		more, moreUnknown := parseBindPorts(append(append(slices.Clone(b), '\n'), "bind :5140\n"...))
		if !more[5140] || len(more) < len(ports) || unknown && !moreUnknown {
			t.Errorf("ports %v (unknown %v), and with a line more %v (unknown %v)", ports, unknown, more, moreUnknown)
		}
	})
}

// configuration.txt, "Quoting and escaping".
func TestALineIsSplitAsHAProxyDoes(t *testing.T) {
	for line, want := range map[string][]string{
		"":              nil,
		" \t\v\f ":      nil,
		"a  b\tc\vd\fe": {"a", "b", "c", "d", "e"},
		"a b # c":       {"a", "b"},
		"a\nb":          {"a"},
		"a\x00b":        {"a"},
		`a\ b`:          {"a b"},
		`a\#b`:          {"a#b"},
		`a\\b`:          {`a\b`},
		`\"a\'`:         {`"a'`},
		`\$A`:           {"$A"},
		`a\nb`:          {`a\nb`},
		`a\`:            {`a\`},
		`\`:             {`\`},
		`"a b"c 'd "e'`: {"a bc", `d "e`},
		`"a\"b" "\ "`:   {`a"b`, " "},
		`'a\ b\'`:       {`a\ b\`},
		`'' ""`:         {"", ""},
		`"a#b" '#'`:     {"a#b", "#"},
	} {
		words, ok := configWords(line)
		if diff := cmp.Diff(want, words, cmpopts.EquateEmpty()); diff != "" || !ok {
			t.Errorf("%q, ok %v (-want +got):\n%s", line, ok, diff)
		}
	}
	for line, want := range map[string][]string{`a "b`: {"a", "b"}, `a 'b c`: {"a", "b c"}, `"`: {""}} {
		words, ok := configWords(line)
		if diff := cmp.Diff(want, words); diff != "" || ok {
			t.Errorf("%q, ok %v (-want +got):\n%s", line, ok, diff)
		}
	}
}
