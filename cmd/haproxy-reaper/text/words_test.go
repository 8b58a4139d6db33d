package text

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// TestEveryReasonHasWords reads the closed set from its source, so that a
// reason cannot be added and forgotten here.
func TestEveryReasonHasWords(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../../reaper/judge/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Reason") {
			constants[spec.Names[0].Name] = true
		}
		return true
	})
	if len(constants) != len(reasonWords) {
		t.Errorf("%d reasons, words for %d", len(constants), len(reasonWords))
	}
	for _, reason := range judge.Refusals {
		if reasonWords[reason] == "" {
			t.Errorf("no words for the refusal %s", reason)
		}
	}
	for _, reason := range judge.StrandedReasons {
		if strandedWords[reason] == "" {
			t.Errorf("no words for a process that is stranded for %s", reason)
		}
	}
	for _, role := range judge.Roles {
		if role != judge.RoleResidual && reasonWords[judge.Reason(role)] == "" {
			t.Errorf("no words for the role %s", role)
		}
	}
}

func TestDurationsHaveTheirTwoLargestUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                        "0s",
		0:                                   "0s",
		59999 * time.Millisecond:            "59s",
		time.Minute:                         "1m",
		time.Hour - 1:                       "59m",
		time.Hour:                           "1h0m",
		2*time.Hour + 10*time.Minute:        "2h10m",
		24*time.Hour - 1:                    "23h59m",
		74 * time.Hour:                      "3d2h",
		1000 * 24 * time.Hour:               "1000d",
		time.Duration(math.MaxInt64):        "106751d",
		judge.Seconds(1e300):                "106751d",
		judge.Seconds(12.4):                 "12s",
		judge.Seconds(-3):                   "0s",
		999*24*time.Hour + 23*time.Hour + 1: "999d23h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d ns: %s, want %s", d, got, want)
		}
	}
}

func TestCountsFitSevenColumns(t *testing.T) {
	for n, want := range map[int]string{0: "0", 9_999_999: "9999999", 10_000_000: "10000k", 123_456_789: "123456k", 1_234_567_890: "1234M", math.MaxInt64: "9223P"} {
		if got := count(n); got != want || len(got) > 7 {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestSizesFitTenColumns(t *testing.T) {
	for n, want := range map[uint64]string{0: "0.0 KiB", 512: "0.5 KiB", 8912896: "8.5 MiB", 1<<20 - 1: "1.0 MiB", 24 << 30: "24.0 GiB", math.MaxUint64: "16.0 EiB"} {
		if got := Size(n); got != want || len(got) > 10 {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestDueIsSaidBothWays(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		12*time.Minute + 30*time.Second: "due in 13m", // rounded up: it lies ahead
		time.Millisecond:                "due in 1s",
		0:                               "due now",
		-999 * time.Millisecond:         "due now",
		-3 * time.Minute:                "overdue by 3m",
	} {
		p := judge.Process{Due: new(fixture.Noon.Add(wait))}
		if got := dueWords(&p, fixture.Noon); got != want {
			t.Errorf("%v: %q, want %q", wait, got, want)
		}
	}
	if got := dueWords(&judge.Process{}, fixture.Noon); got != "" {
		t.Errorf("a process that is never due: %q", got)
	}
}

func TestSentencesSayWhatIsNotKnown(t *testing.T) {
	p := fixture.Overdue(6034, 0)
	p.Connections.Client, p.ResidualSeconds, p.Outcome = nil, nil, judge.OutcomeDryRun
	got := outcomeSentence(&judge.Instance{Name: "haproxy.service"}, &p)
	if want := "would terminate residual process 6034 of haproxy.service (client connections unknown)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestASignalWhoseEndWasNotAwaitedIsSaid(t *testing.T) {
	p := fixture.Overdue(6034, 2)
	p.Signals = []string{"SIGTERM"}
	got := outcomeSentence(&judge.Instance{Name: "haproxy.service"}, &p)
	if want := "sent SIGTERM to residual process 6034 of haproxy.service (2 client connections) and did not wait for its end"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A user who reads the documents finds every role and every reason.
func TestTheDocumentsTellEveryRoleAndReason(t *testing.T) {
	documents := fixture.Read(t, "../README.md") + fixture.Read(t, "../../../reaper/README.md")
	var list []string
	for _, r := range judge.Roles {
		list = append(list, string(r))
	}
	for r := range reasonWords {
		list = append(list, string(r))
	}
	for _, w := range list {
		if !strings.Contains(documents, "`"+w+"`") {
			t.Errorf("no `%s` in the documents of the command line and of the decision", w)
		}
	}
}
