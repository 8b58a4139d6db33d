package text

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

func TestClientsAreListedUnderTheProcessTheyHold(t *testing.T) {
	p := fixture.OldWorker(6034, time.Hour, 16)
	p.Clients = []judge.Client{
		{Peer: "10.0.0.2", Port: 443, Connections: 3, OldestSeconds: new(7200.0), MinIdleSeconds: new(12.4), MaxIdleSeconds: new(310.0), Bytes: new(uint64(1 << 20))},
		{Peer: "2001:db8:1234:5678:9abc:def0:1234:5678", Port: 443, Connections: 1, MinIdleSeconds: new(5.0), MaxIdleSeconds: new(5.0), Bytes: new(uint64(512))},
		{Path: "/run/app/\x1b[2J.sock", Connections: 1},
	}
	for i := range 9 {
		p.Clients = append(p.Clients, judge.Client{Peer: fmt.Sprintf("10.0.1.%d", i), Port: 22, Connections: 1, MinIdleSeconds: new(1.0), MaxIdleSeconds: new(1.0), Bytes: new(uint64(1024))})
	}
	var b strings.Builder
	writeClients(&b, &p)
	want := `      PEER AND LOCAL PORT                        CLIENTS    OLDEST  IDLE                 BYTES
      10.0.0.2 to port 443                             3      2h0m  12s to 5m          1.0 MiB
      2001:db8:1234:5678:9abc:def0:1234:5678 to port 443       1         ?  5s                 0.5 KiB
      unix /run/app/\x1b[2J.sock                       1         ?  ?                        ?
      10.0.1.0 to port 22                              1         ?  1s                 1.0 KiB
`
	for i := 1; i < 7; i++ {
		want += fmt.Sprintf("      10.0.1.%d to port 22                              1         ?  1s                 1.0 KiB\n", i)
	}
	want += "      and 2 more peers with 2 client connections, all of them with -o json\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProcessThatWasNotAskedForItsClientsListsNone(t *testing.T) {
	p := fixture.OldWorker(6034, time.Hour, 16)
	var b strings.Builder
	if writeClients(&b, &p); b.Len() != 0 {
		t.Errorf("%q", b.String())
	}
}
