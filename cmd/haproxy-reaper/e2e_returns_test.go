package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

const bedState = "/var/lib/haproxy-reaper/state.json"

// later puts what the state remembers of a reap further back: nobody waits half
// a minute.
func (b *bed) later(by time.Duration) {
	b.t.Helper()
	at := regexp.MustCompile(`("at_nanoseconds": )(\d+)`)
	text := b.read(bedState)
	if !at.MatchString(text) {
		b.t.Fatalf("the state tells of nobody that was cut off: %s", text)
	}
	b.write(bedState, at.ReplaceAllStringFunc(text, func(s string) string {
		ns, _ := strconv.ParseInt(at.FindStringSubmatch(s)[2], 10, 64)
		return fmt.Sprintf(`"at_nanoseconds": %d`, ns-by.Nanoseconds())
	}))
}

func TestWhoWillComeBackIsForetoldAndWhoHasIsCounted(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model reaper.Model) {
		s := b.withTwoPorts(model)
		old := s.residualBy("127.0.0.1:8000", 3)
		b.dialFrom("127.0.0.2", "127.0.0.1:8000") // stays with the active

		forecast := func(flags ...string) *reaper.Forecast {
			t.Helper()
			return b.agent(append([]string{"status", "--deadline", "0s"}, flags...)...).instance(old).Forecast
		}
		ports, rate, takes := []reaper.PortClients{{Port: 8000, Clients: 3}}, 2.0, 1.5
		if diff := cmp.Diff(&reaper.Forecast{Clients: 3, Ports: ports, AtOnce: 3}, forecast()); diff != "" {
			t.Errorf("without draining (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(&reaper.Forecast{Clients: 3, Ports: ports, RatePerSecond: &rate, DrainSeconds: &takes}, forecast("--drain-rate", "2")); diff != "" {
			t.Errorf("with it (-want +got):\n%s", diff)
		}
		dry := b.start(command{args: []string{bedAgent, "reap", "--dry-run", "--deadline", "0s", "--drain-rate", "2"}})
		dry.wait(t)
		said := "forecast for /run/bed/web.cfg: 3 clients would have to reconnect (port 8000: 3), 2 a second for 2s"
		if text := dry.stdout.String(); !strings.Contains(text, said) {
			t.Errorf("a dry run does not say %q:\n%s", said, text)
		}
		rateTold := b.agent("status").instance(old).ConnectionRate
		if (rateTold != nil) != (model == reaper.ModelMasterWorker) {
			t.Errorf("the active's rate is %v: a master CLI tells it, and nobody else", rateTold)
		}

		a := b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated)
		if back := a.instance(old).Returns; len(back) != 0 {
			t.Errorf("they are back before they went: %+v", back)
		}
		// Two of three come back, and somebody else comes for the first time.
		b.dialFrom("127.0.0.1", "127.0.0.1:8000")
		b.dialFrom("127.0.0.1", "127.0.0.1:8000")
		b.dialFrom("127.0.0.3", "127.0.0.1:8000")
		b.dialFrom("127.0.0.1", "127.0.0.1:8001")
		returned := func(a *answer, after time.Duration) {
			t.Helper()
			back := a.instance(s.active()).Returns
			if len(back) != 1 || back[0].Ended != 3 || back[0].Returned != 2 || back[0].AfterSeconds < after.Seconds() {
				t.Errorf("%+v, want 2 of 3 after %v", back, after)
			}
		}
		returned(b.agent("status"), 0)
		returned(b.agent("reap", "--deadline", "0s").exits(0), 0) // too early to be counted
		b.later(31 * time.Second)
		b.advises("2 of 3 client connections of /run/bed/web.cfg that a reap ended")
		const textfile = bedDir + "/haproxy-reaper.prom"
		a = b.agent("reap", "--deadline", "0s", "--textfile", textfile).exits(0).says("clients that were cut off have come back")
		returned(a, 31*time.Second)
		written := samples(t, b.read(textfile))
		for name, want := range map[string]float64{"followed": 3, "returned": 2} {
			if got := written[fmt.Sprintf(`haproxy_reaper_%s_connections_total{unit=%q}`, name, unit)]; got != want {
				t.Errorf("%s_connections_total is %v, want %v", name, got, want)
			}
		}
		if back := b.agent("status").instance(s.active()).Returns; len(back) != 0 {
			t.Errorf("they are told of again: %+v", back)
		}
	})
}

// The passes of serve count them as well.
func TestServeCountsWhoComesBack(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.withTwoPorts(reaper.ModelMasterWorker)
	old := s.residualBy("127.0.0.1:8000", 2)
	b.agent("reap", "--deadline", "0s").exits(0).finds(old, isTerminated)
	b.dialFrom("127.0.0.1", "127.0.0.1:8000")
	b.later(time.Minute)
	serve := b.startServe("--interval", "1h", "--deadline", "0s")
	serve.has(fmt.Sprintf(`haproxy_reaper_followed_connections_total{unit=%q}`, unit), 2)
	serve.has(fmt.Sprintf(`haproxy_reaper_returned_connections_total{unit=%q}`, unit), 1)
	serve.stop()
}
