package e2e

import (
	"net"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// startQUIC starts a service with a frontend of QUIC on port 8443, and returns how
// many requests its server was asked. It answers none.
func (b *bed) startQUIC(model judge.Model) (*service, chan bool) {
	b.t.Helper()
	asked := make(chan bool, 100)
	silent := b.serve(func(net.Conn) { asked <- true; <-b.t.Context().Done() })
	return b.startService("web", setup{
		model:  model,
		global: "    limited-quic\n",
		files:  map[string]string{bedDir + "/web.pem": certificate(b.t)},
		sections: `
frontend quic
    mode http
    timeout client 1h
    bind quic4@127.0.0.1:8443 ssl crt ` + bedDir + `/web.pem alpn h3
    default_backend silent
backend silent
    mode http
    server s1 ` + silent + `
`}), asked
}

// holdByQUIC has the active worker serve a client over QUIC.
func (s *service) holdByQUIC(asked chan bool) {
	s.b.t.Helper()
	if err := s.b.requestByQUIC("127.0.0.1:8443"); err != nil {
		s.b.t.Fatal("request by QUIC:", err)
	}
	select {
	case <-asked:
	case <-time.After(bedPatience):
		s.b.t.Fatal("the server was not asked")
	}
	worker := s.active()
	s.clients[worker.ProcID] = append(s.clients[worker.ProcID], nil)
}

// inEveryQUIC runs a test on the releases whose build in Debian has QUIC, in each
// model.
func inEveryQUIC(t *testing.T, test func(*testing.T, *bed, judge.Model)) {
	t.Helper()
	hasQUIC := func(r release) bool { return r.since(3, 0) }
	for _, model := range models {
		t.Run(string(model), func(t *testing.T) {
			inReleases(t, hasQUIC, func(t *testing.T, b *bed) { test(t, b, model) })
		})
	}
}

// The kernel does not know when a datagram moved last: how long a client of QUIC
// has been idle is unknown, and no rule of idleness is about it.
func TestClientOfQUICIsAClientThatWasIdleForAnUnknownTime(t *testing.T) {
	inEveryQUIC(t, func(t *testing.T, b *bed, model judge.Model) {
		s, asked := b.startQUIC(model)
		s.holdByQUIC(asked)
		old := s.active()
		s.reload()
		unknownIdle := func(what string, row told) {
			t.Helper()
			for _, field := range []string{"min_idle_seconds", "max_idle_seconds"} {
				if value, there := row[field]; !there || value != nil {
					t.Errorf("%s: %s is %v, want null", what, field, value)
				}
			}
		}
		b.until(func() error { return b.age(s.active(), time.Second) })
		a := b.agent("status", "--clients").exits(0).counts(old, "client", 1).counts(old, "server", 1).counts(old, "former", 0)
		p := a.told(old)
		if idle, there := p["idle_seconds"]; !there || idle != nil {
			t.Errorf("%v was idle for %v seconds, want null", old.ProcID, idle)
		}
		for _, list := range []string{"ports", "clients"} {
			rows := p.rows(list)
			if len(rows) != 1 || rows[0]["port"] != float64(8443) {
				t.Fatalf("%s of %v: %v, want one on port 8443", list, old.ProcID, rows)
			}
			unknownIdle(list, rows[0])
		}
		before := b.processes()
		b.agent("reap", "--deadline", "1h", "--idle-after", "1ms").exits(0).finds(old, isWaited)
		b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, isWaited)
		b.agent("reap", "--deadline", "0s", "--hard-deadline", "1h", "--active-within", "1ms").exits(0).finds(old, sparedFor(judge.ReasonActiveClients))
		b.agent("reap", "--deadline", "0s", "--deadline-for", "8443=1h").exits(0).finds(old, sparedFor(judge.ReasonWithinPortDeadline))
		b.stay(before...)
	})
}

// A client over TCP beside it is idle for as long as it is.
func TestIdleTimeOfAPortIsThatOfItsStreams(t *testing.T) {
	inEveryQUIC(t, func(t *testing.T, b *bed, model judge.Model) {
		s, asked := b.startQUIC(model)
		s.holdByQUIC(asked)
		s.hold(1)
		old := s.active()
		s.reload()
		b.until(func() error { return b.age(s.active(), time.Second) })
		rows := b.agent("status").exits(0).counts(old, "client", 2).told(old).rows("ports")
		if len(rows) != 2 {
			t.Fatalf("ports of %v: %v, want 2", old.ProcID, rows)
		}
		for _, row := range rows {
			idle, known := row["min_idle_seconds"].(float64)
			if streams := row["port"] == float64(8000); known != streams || streams && idle < 0.5 {
				t.Errorf("port %v: idle for %v", row["port"], row["min_idle_seconds"])
			}
		}
		// It is not known that all are idle.
		b.agent("reap", "--deadline", "1h", "--idle-after", "1ms").exits(0).finds(old, isWaited)
	})
}

// Those of the active are its clients too, with and without a master CLI. Their
// number is right, or it is not there.
func TestClientsOfQUICOfTheActiveAreNotNone(t *testing.T) {
	inEveryQUIC(t, func(t *testing.T, b *bed, model judge.Model) {
		s, asked := b.startQUIC(model)
		s.holdByQUIC(asked)
		s.holdByQUIC(asked)
		if got := b.agent("status").exits(0).side(s.active(), "client"); got != nil && got != float64(2) {
			t.Errorf("clients of the active: %v, want 2 or null", got)
		}
		s.hold(1)
		if got := b.agent("status").exits(0).side(s.active(), "client"); got != nil && got != float64(3) {
			t.Errorf("clients of the active: %v, want 3 or null", got)
		}
	})
}

// With tune.quic.socket-owner listener a client has no socket of its own. Up to
// 3.0 an old worker ends with its listener; later ones keep the connection, and
// the master CLI alone knows of it.
func TestClientOfQUICThatSharesASocketIsAnUnknownClient(t *testing.T) {
	keeps := func(r release) bool { return r.since(3, 1) }
	inReleases(t, keeps, func(t *testing.T, b *bed) {
		s, asked := b.startQUIC(judge.ModelMasterWorker)
		s.edit("    limited-quic\n", "    limited-quic\n    tune.quic.socket-owner listener\n")
		s.reload()
		s.holdByQUIC(asked)
		old := s.active()
		s.reload()
		before := b.processes()
		b.agent("reap", "--deadline", "1h", "--empty-after", "0s").exits(0).finds(old, isWaited).counts(old, "client", 0).counts(old, "unknown", 1)
		b.stay(before...)
	})
}
