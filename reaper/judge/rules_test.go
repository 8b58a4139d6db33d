package judge

import (
	"math"
	"testing"
	"time"
)

func TestNoNumberOfSecondsIsTooLargeOrTooSmallForADuration(t *testing.T) {
	const longest = time.Duration(math.MaxInt64)
	for seconds, want := range map[float64]time.Duration{
		0: 0, -1: 0, math.Inf(-1): 0, 1.5: 1500 * time.Millisecond, 0.1 + 0.2: 300 * time.Millisecond,
		9223372036: 9223372036 * time.Second, longest.Seconds(): longest, 1e300: longest, math.Inf(1): longest,
	} {
		if got := span(seconds); got != want {
			t.Errorf("%v s are %v, want %v", seconds, got, want)
		}
	}
}

func TestASumOfDurationsIsNeverPastTheLongest(t *testing.T) {
	const longest = time.Duration(math.MaxInt64)
	for _, row := range []struct{ a, b, want time.Duration }{
		{time.Hour, time.Minute, 61 * time.Minute}, {0, longest, longest}, {longest, 0, longest},
		{longest - 1, 1, longest}, {longest, 1, longest}, {time.Hour, longest, longest}, {longest, longest, longest},
	} {
		if got := later(row.a, row.b); got != row.want {
			t.Errorf("%v and %v are %v, want %v", row.a, row.b, got, row.want)
		}
	}
}

// The own deadline of a port, with the jitter on it, spares its connections until
// the moment that it comes.
func TestHowLongAPortSparesItsConnections(t *testing.T) {
	policy := &Policy{DeadlineFor: map[uint16]time.Duration{22: time.Hour}, DeadlineJitter: 10 * time.Minute}
	half := 0.5
	j := rules{policy: policy, host: &Report{HostShare: &half}}
	for _, row := range []struct {
		residual time.Duration
		port     uint16
		want     bool
	}{
		{time.Minute, 22, true}, {65*time.Minute - 1, 22, true}, {65 * time.Minute, 22, false}, {2 * time.Hour, 22, false}, {time.Minute, 443, false},
	} {
		residual := row.residual.Seconds()
		if got := j.sparesPort(&Process{ResidualSeconds: &residual}, row.port); got != row.want {
			t.Errorf("port %d after %v: spared %v, want %v", row.port, row.residual, got, row.want)
		}
	}
}
