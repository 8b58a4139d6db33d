package metrics

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

var update = flag.Bool("update", false, "rewrite testdata")

var passes = map[string]func() Input{
	"busy": busyPass, "empty": emptyPass, "blind": blindPass, "hostile": hostileNames,
}

// expose renders the collector alone, which is the same on every build.
func expose(t *testing.T, in Input) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(in))
	list, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, family := range list {
		if _, err := expfmt.MetricFamilyToText(&out, family); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func TestExposition(t *testing.T) {
	for _, name := range []string{"busy", "empty", "blind"} {
		in := passes[name]
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", name+".prom")
			got := expose(t, in())
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("exposition differs from %s; -update rewrites it (-want +got):\n%s", golden, diff)
			}
		})
	}
}

func TestLint(t *testing.T) {
	for name, in := range passes {
		problems, err := testutil.GatherAndLint(NewRegistry(in()))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", name, p.Metric, p.Text)
		}
	}
}

func TestEveryCounterIsATotalAndNothingElse(t *testing.T) {
	for _, f := range families {
		if total := strings.HasSuffix(f.name, "_total"); total != (f.kind == prometheus.CounterValue) {
			t.Errorf("%s is of type %v", f.name, f.kind)
		}
	}
}

func TestRegistryHoldsTheCollectorAndBuildInfo(t *testing.T) {
	list, err := NewRegistry(busyPass()).Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, family := range list {
		names[family.GetName()] = true
	}
	want := map[string]bool{"haproxy_reaper_build_info": true}
	for _, f := range families {
		want["haproxy_reaper_"+f.name] = true
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("families (-want +got):\n%s", diff)
	}
}

// Anybody who may start a HAProxy may start a hundred.
func TestMoreInstancesThanSixtyFourAreSummedUnderOneName(t *testing.T) {
	in := emptyPass()
	for i := range 100 {
		in.Report.Instances = append(in.Report.Instances, judge.Instance{
			Name: fmt.Sprintf("haproxy@%03d.service", i), Confirmed: i != 99, Processes: []judge.Process{residual(2*time.Hour, time.Hour, 3, "")},
		})
	}
	in.Counters.Add(in.Report, false)
	in.Counters.Units["gone.service"] = state.UnitCounters{TerminatedProcesses: 5, Signals: map[string]uint64{"SIGTERM": 5}}
	text := expose(t, in)
	for _, want := range []string{
		`instances 100`,
		`processes{state="residual",unit="haproxy@062.service"} 1`,
		`processes{state="residual",unit="(others)"} 37`,
		`connections{side="client",state="residual",unit="(others)"} 111`,
		`active_confirmed{unit="(others)"} 0`,
		`terminated_processes_total{unit="(others)"} 5`,
		`signals_sent_total{signal="SIGTERM",unit="(others)"} 5`,
	} {
		if !strings.Contains(text, "haproxy_reaper_"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if got := strings.Count(text, "haproxy_reaper_active_confirmed{"); got != 64 {
		t.Errorf("%d instances are told apart, want 64", got)
	}
	for _, gone := range []string{`"haproxy@063.service"`, `"gone.service"`} {
		if strings.Contains(text, gone) {
			t.Errorf("%s has a name of its own", gone)
		}
	}
}

// Whatever another user names an HAProxy, and however many it starts, the service's
// series are its own, the service's counters are when it is gone, and what no alert
// pages for is told.
func TestStrangersAreSummedFirstAndTakeNoSeriesFromAService(t *testing.T) {
	stranger := func(n int, name string) judge.Instance {
		return judge.Instance{Name: name, Owner: judge.Owner{UID: uint32(1000 + n%200), Stranger: true}, Processes: []judge.Process{
			{Role: judge.RoleActive, Started: ago(time.Minute)}, residual(2*time.Hour, time.Hour, 3, ""),
		}}
	}
	in := emptyPass()
	for n := range 300 {
		in.Report.Instances = append(in.Report.Instances, stranger(n, fmt.Sprintf("/!%03d.cfg@user", n)))
	}
	for _, own := range []judge.Instance{
		{Name: "haproxy.service", Confirmed: true},
		{Name: "/~/own.cfg@haproxy", Confirmed: true, Owner: judge.Owner{UID: 102}},
	} {
		own.Processes = []judge.Process{{Role: judge.RoleActive, Started: ago(time.Hour)}, residual(2*time.Hour, time.Hour, 3, "")}
		in.Report.Instances = append(in.Report.Instances, own)
	}
	none := judge.Instance{Processes: []judge.Process{{Role: judge.RoleStranded}}, Owner: judge.Owner{UID: 1000, Stranger: true}}
	in.Report.Instances = append(in.Report.Instances, none)
	in.Counters.Units = map[string]state.UnitCounters{"zz-gone.service": {TerminatedProcesses: 5, Owner: &judge.Owner{}}}
	in.Counters.Add(in.Report, false)
	text := expose(t, in)
	has := func(want ...string) {
		t.Helper()
		for _, want := range want {
			if !strings.Contains(text, "haproxy_reaper_"+want+"\n") {
				t.Errorf("no %s", want)
			}
		}
	}
	hasNot := func(unwanted ...string) {
		t.Helper()
		for _, unwanted := range unwanted {
			if strings.Contains(text, "haproxy_reaper_"+unwanted) {
				t.Errorf("there is %s", unwanted)
			}
		}
	}
	has(
		`instances 302`,
		`stranger_instances 300`,
		`active_confirmed{unit="haproxy.service"} 1`,
		`processes{state="residual",unit="haproxy.service"} 1`,
		`stranger{unit="haproxy.service"} 0`,
		`active_confirmed{unit="/~/own.cfg@haproxy"} 1`,
		`stranger{unit="/~/own.cfg@haproxy"} 0`,
		`terminated_processes_total{unit="zz-gone.service"} 5`,
		`stranger{unit="(others)"} 1`,
		`active_confirmed{unit="(others)"} 0`,
		`processes{state="residual",unit="(others)"} 241`, // 300, less those of the 59 names that are left
	)
	hasNot(`active_start_timestamp_seconds{unit="(others)"}`)
	if got := strings.Count(text, "haproxy_reaper_terminated_processes_total{"); got != 64 {
		t.Errorf("%d instances have counters, want 64", got)
	}

	// A host that has more than 64 of its own: the sum is of those, and says nothing of
	// strangers but what was counted.
	for n := range 80 {
		in.Report.Instances = append(in.Report.Instances, judge.Instance{Name: fmt.Sprintf("own-%02d.service", n), Confirmed: true, Processes: []judge.Process{
			residual(2*time.Hour, time.Hour, 3, judge.OutcomeSurvived),
		}})
	}
	text = expose(t, in)
	has(`stranger{unit="(others)"} 0`, `active_confirmed{unit="(others)"} 1`)
	if !regexp.MustCompile(`surviving_processes{unit="\(others\)"} [12]\d\n`).MatchString(text) {
		t.Error("the sum is not of the some twenty instances that are no strangers'")
	}
}

// A process of no instance is no service, which could be confirmed or be gone.
func TestProcessesOfNoInstanceAreNeitherCountedAsOneNorUnconfirmed(t *testing.T) {
	in := emptyPass()
	in.Report.Instances = []judge.Instance{{Processes: []judge.Process{{Role: judge.RoleStranded}}}}
	in.Counters.Add(in.Report, false)
	text := expose(t, in)
	for _, want := range []string{"instances 0", `processes{state="stranded",unit=""} 1`} {
		if !strings.Contains(text, "haproxy_reaper_"+want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(text, "haproxy_reaper_active_confirmed{") {
		t.Error("an instance is unconfirmed")
	}
}

// TestGauges has one row for each rule that the golden files follow.
func TestGauges(t *testing.T) {
	const absent = ""
	instance := func(processes ...judge.Process) Input {
		in := emptyPass()
		in.Report.Instances = []judge.Instance{{Name: "haproxy.service", Processes: processes}}
		in.Counters.Add(in.Report, false)
		return in
	}
	without := func(change func(*judge.Process)) judge.Process {
		p := residual(2*time.Hour, time.Hour, 3, "")
		change(&p)
		return p
	}
	goneAndUnseen := emptyPass()
	goneAndUnseen.Counters.Units = map[string]state.UnitCounters{"haproxy.service": {}}
	outOfSight := blindPass()

	tests := []struct {
		name   string
		in     Input
		sample string
		want   string
	}{
		{"a process that left is not counted", busyPass(), `processes{state="residual",unit="haproxy.service"}`, "2"},
		{"its connections are not counted", busyPass(), `connections{side="client",state="residual",unit="haproxy.service"}`, "43"},
		{"a survivor is overdue, one that left or has time is not", busyPass(), `overdue_processes{unit="haproxy.service"}`, "1"},
		{"who is still there after its signal is a survivor", busyPass(), `surviving_processes{unit="haproxy.service"}`, "1"},
		{"who was refused was not signalled, and survived nothing", busyPass(), `surviving_processes{unit="edge.service"}`, "0"},
		{"an instance that is gone has no survivor", busyPass(), `surviving_processes{unit="gone.service"}`, "0"},
		{"survivors that nobody could look for are no number", blindPass(), `surviving_processes{unit="haproxy.service"}`, absent},
		{"the oldest is the oldest of those still there", busyPass(), `oldest_residual_since_timestamp_seconds{unit="haproxy.service"}`, "1.7953308e+09"},
		{"a process is due at the very moment of its deadline", instance(residual(2*time.Hour, 30*time.Minute, 3, "")), `overdue_processes{unit="haproxy.service"}`, "1"},
		{"a process that was refused is overdue all the same", busyPass(), `overdue_processes{unit="edge.service"}`, "1"},
		{"no residual process is a number", instance(), `processes{state="residual",unit="haproxy.service"}`, "0"},
		{"no residual process has no oldest", instance(), `oldest_residual_start_timestamp_seconds{unit="haproxy.service"}`, absent},
		{"no residual process holds no memory", instance(), `residual_memory_bytes{unit="haproxy.service"}`, "0"},
		{"clients that one process does not tell are no number", busyPass(), `connections{side="client",state="residual",unit="edge.service"}`, absent},
		{"the other sides of it are", busyPass(), `connections{side="server",state="residual",unit="edge.service"}`, "10"},
		{"memory that one process does not tell is no number", busyPass(), `residual_memory_bytes{unit="edge.service"}`, absent},
		{"the active's server side is not known", busyPass(), `connections{side="server",state="active",unit="haproxy.service"}`, absent},
		{"its clients are", busyPass(), `connections{side="client",state="active",unit="haproxy.service"}`, "120"},
		{"an instance without active has no start of it", busyPass(), `active_start_timestamp_seconds{unit="edge.service"}`, absent},
		{"a time that is not known does not hide the others", instance(
			without(func(p *judge.Process) { p.Superseded = nil }), residual(2*time.Hour, time.Hour, 1, "")),
			`oldest_residual_since_timestamp_seconds{unit="haproxy.service"}`, "1.795338e+09"},
		{"an instance that is gone has no processes", goneAndUnseen, `processes{state="active",unit="haproxy.service"}`, "0"},
		{"an instance that is gone is not unconfirmed", goneAndUnseen, `active_confirmed{unit="haproxy.service"}`, absent},
		{"an instance out of sight has no number of processes", outOfSight, `processes{state="active",unit="haproxy.service"}`, absent},
		{"its counters stand", outOfSight, `terminated_processes_total{unit="haproxy.service"}`, "0"},
		{"a host out of sight has no number of instances", outOfSight, `instances`, absent},
		{"a host without HAProxy has none", emptyPass(), `instances`, "0"},
		{"a quote in a name is escaped", hostileNames(), `active_confirmed{unit="/tmp/a\"b.cfg"}`, "0"},
		{"a backslash in a name is escaped", hostileNames(), `active_confirmed{unit="/tmp/a\\b.cfg"}`, "0"},
		{"a newline in a name is escaped", hostileNames(), `active_confirmed{unit="/tmp/a\nb.cfg"}`, "0"},
		{"two names that are no text stand once, and spoil nothing", hostileNames(), "active_confirmed{unit=\"/tmp/a\uFFFDb.cfg\"}", "0"},
		{"without a pass there is no last run", Input{}, `last_run_timestamp_seconds`, absent},
		{"without a pass it took no time", Input{}, `last_run_duration_seconds`, absent},
		{"without a success there is no time of it", Input{Run: passTime}, `last_success_timestamp_seconds`, absent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := absent
			for line := range strings.Lines(expose(t, tt.in)) {
				if value, ok := strings.CutPrefix(line, "haproxy_reaper_"+tt.sample+" "); ok {
					got = strings.TrimSpace(value)
				}
			}
			if got != tt.want {
				t.Errorf("%s is %q, want %q", tt.sample, got, tt.want)
			}
		})
	}
}
