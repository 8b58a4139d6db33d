package inspect_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// asking is a host with a master, 100, that answers this, and two workers, of
// which 102 is starting.
func asking(t *testing.T, answers map[string]string) (*inspect.Host, inspect.Snapshot, []*inspect.Process) {
	t.Helper()
	w := fakehost.New()
	s := fakehost.NewService(w, "haproxy", 100, 1000)
	s.Master.CLI = answers
	s.Worker(101, 1100, nil)
	s.Worker(102, 1200, []int{101}).Masks = fakehost.ReloadingMasks
	h := inspect.NewHost(w, []string{"haproxy"})
	t.Cleanup(h.Close)
	snapshot, err := h.Observe(t.Context())
	if err != nil || len(snapshot.Processes) != 3 {
		t.Fatal(snapshot.Processes, err)
	}
	return h, snapshot, snapshot.Processes
}

const showProc = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n" +
	"100             master          2               0d01h00m00s     2.6.12\n# workers\n101             worker          1               0d00h10m00s     2.6.12\n\n"

func TestAMasterTellsHowManyReloadsItsWorkersHaveSeen(t *testing.T) {
	h, s, all := asking(t, map[string]string{"show proc": showProc})
	got, err := h.AskReloads(t.Context(), s, all[0], "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(inspect.MasterAnswer{Version: "2.6.12", Reloads: map[int]int{101: 1}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := h.AskReloads(t.Context(), s, all[0], "none"); !errors.Is(err, inspect.ErrNoCLI) {
		t.Errorf("none shall be asked: %v", err)
	}

	h, s, all = asking(t, nil)
	if got, err := h.AskReloads(t.Context(), s, all[0], ""); err == nil || errors.Is(err, inspect.ErrNoCLI) {
		t.Errorf("nobody answers: %v, %v", got, err)
	}
	h, s, all = asking(t, map[string]string{"show proc": "Permission denied\n\n"})
	if got, err := h.AskReloads(t.Context(), s, all[0], ""); err == nil || errors.Is(err, inspect.ErrNoCLI) {
		t.Errorf("it lets us ask nothing: %v, %v", got, err)
	}
	all[0].NSPID = 77
	h, s, _ = asking(t, map[string]string{"show proc": showProc})
	if got, err := h.AskReloads(t.Context(), s, all[0], ""); !errors.Is(err, inspect.ErrNoCLI) {
		t.Errorf("the answer of another master: %v, %v", got, err)
	}
}

func TestAMasterTellsSinceWhenTheClientsOfItsReadyWorkersAreThere(t *testing.T) {
	h, s, all := asking(t, map[string]string{"@!101 show sess": "0x1: proto=tcpv4 src=10.0.0.1:1 age=10m\n\n", "@!102 show sess": "0x1: proto=tcpv4 src=10.0.0.2:2 age=10m\n\n"})
	if err := h.AskSessions(t.Context(), s, all[0], all[1:], ""); err != nil {
		t.Fatal(err)
	}
	if got := all[1].Sessions[netip.MustParseAddrPort("10.0.0.1:1")]; got != 10*time.Minute || len(all[1].Sessions) != 1 {
		t.Errorf("of the ready one: %v", all[1].Sessions)
	}
	if all[2].Sessions != nil {
		t.Errorf("one that starts was asked: %v", all[2].Sessions)
	}
	if err := h.AskSessions(t.Context(), s, all[0], all[1:], "none"); !errors.Is(err, inspect.ErrNoCLI) {
		t.Errorf("none shall be asked: %v", err)
	}

	h, s, all = asking(t, map[string]string{"@!101 show sess": "Permission denied\n\n"})
	if err := h.AskSessions(t.Context(), s, all[0], all[1:], ""); err == nil || all[1].Sessions != nil {
		t.Errorf("it lets us ask nothing: %v, %v", all[1].Sessions, err)
	}
	h, s, all = asking(t, nil)
	if err := h.AskSessions(t.Context(), s, all[0], all[1:], ""); err == nil || all[1].Sessions != nil {
		t.Errorf("nobody answers: %v, %v", all[1].Sessions, err)
	}
}
