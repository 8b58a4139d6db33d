package judge

import (
	"math"
	"testing"
	"time"
)

func TestSecondsOfAReportAsADuration(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		seconds float64
		want    time.Duration
	}{{0, 0}, {1.5, 1500 * time.Millisecond}, {-2, -2 * time.Second}, {1e300, math.MaxInt64}, {math.Inf(1), math.MaxInt64}} {
		if got := Seconds(row.seconds); got != row.want {
			t.Errorf("%v s: %v, want %v", row.seconds, got, row.want)
		}
	}
}
