package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/quic"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// request is GET https://x/ in HTTP/3: a HEADERS frame (RFC 9114) whose fields
// are three of QPACK's static table and one with a value of its own (RFC 9204).
var request = []byte{0x01, 8, 0, 0, 0xd1, 0xd7, 0xc1, 0x50, 1, 'x'}

// requestByQUIC opens a QUIC connection in the bed and sends a request on it. It
// stays until the test ends.
func (b *bed) requestByQUIC(address string) error {
	b.t.Helper()
	var packets net.PacketConn
	err := b.amongClients(func() (err error) {
		packets, err = net.ListenPacket("udp4", "127.0.0.1:0")
		return err
	})
	if err != nil {
		return err
	}
	endpoint, err := quic.NewEndpoint(packets, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), bedPatience)
	b.t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel() // nobody has to say good-bye
		endpoint.Close(now)
	})
	defer cancel()
	conn, err := endpoint.Dial(ctx, "udp4", address, &quic.Config{TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, NextProtos: []string{"h3"},
	}})
	if err != nil {
		return err
	}
	stream, err := conn.NewStream(ctx)
	if err != nil {
		return err
	}
	if _, err := stream.Write(request); err != nil {
		return err
	}
	return stream.Flush()
}

// From 2.9 on each QUIC connection has a socket of its own, bound to the
// service's port: a UDP socket that an old worker keeps, and no listener.
func TestResidualHeldByAQUICConnectionIsReaped(t *testing.T) {
	hasQUIC := func(r release) bool { return r.since(3, 0) }
	inReleases(t, hasQUIC, func(t *testing.T, b *bed) {
		if text := b.run(command{args: b.haproxy("-vv")}); !strings.Contains(text, "+QUIC") {
			t.Fatalf("Debian's build of %s has no QUIC:\n%s", b.release, text)
		}
		asked, never := make(chan bool, 10), make(chan bool)
		defer close(never)
		silent := b.serve(func(net.Conn) { asked <- true; <-never })
		s := b.startService("web", setup{
			global: "    limited-quic\n",
			files:  map[string]string{bedDir + "/web.pem": certificate(t)},
			sections: `
frontend quic
    mode http
    timeout client 1h
    bind quic4@127.0.0.1:8443 ssl crt ` + bedDir + `/web.pem alpn h3
    default_backend silent
backend silent
    mode http
    server s1 ` + silent + `
`})
		if err := b.requestByQUIC("127.0.0.1:8443"); err != nil {
			t.Fatal("request by QUIC:", err)
		}
		select {
		case <-asked:
		case <-time.After(bedPatience):
			t.Fatal("the backend was not asked")
		}
		old := s.active()
		address := netip.MustParseAddrPort("127.0.0.1:8443")
		local := fmt.Sprintf("0100007F:%04X", address.Port())
		connected := func() map[string]bool {
			return b.sockets("udp", 9, func(row []string) bool { return row[1] == local && row[2] != "00000000:0000" })
		}
		s.clients[old.ProcID] = []net.Conn{nil} // holds it, as far as the bed is concerned
		s.reload()
		if got := s.residual(); len(got) != 1 || got[0].ProcID != old.ProcID || !got[0].holds(connected()) {
			t.Fatalf("residual processes %v, with a connected socket: this shows nothing", ids(got))
		}
		a := s.reapsExactly(s.residual()[0])
		if got := a.process(old).Connections.Client; got == nil || *got != 1 {
			t.Errorf("clients of %v: %v, want 1", old.ProcID, got)
		}
		if in := a.instance(old); in.Model != judge.ModelMasterWorker || in.Refusal != "" {
			t.Errorf("refusal %q (%s)", in.Refusal, in.RefusalDetail)
		}
		if err := b.requestByQUIC("127.0.0.1:8443"); err != nil {
			t.Error("request by QUIC after the pass:", err)
		}
		select {
		case <-asked:
		case <-time.After(bedPatience):
			t.Fatal("the backend was not asked")
		}
	})
}
