package text

import (
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// What serves is not to be ended by hand, and what may serve is not either.
func TestNobodyIsAdvisedToEndWhatMayServe(t *testing.T) {
	for _, model := range []reaper.Model{reaper.ModelMasterWorker, reaper.ModelDaemon} {
		for _, reason := range append(slices.Clone(reaper.StrandedReasons), "") {
			got := StrandedAdvice(model, reason, 6034, 6035)
			serves := reason == reaper.StrandedListening || reason == reaper.StrandedUnreadable
			if strings.Contains(got, "do not end it by hand") != serves || strings.Contains(got, "kill") != (reason == reaper.StrandedOtherUser) {
				t.Errorf("%s, %q: %s", model, reason, got)
			}
		}
	}
	if got := StrandedAdvice(reaper.ModelDaemon, reaper.StrandedNotTold, 6034, 6035); !strings.Contains(got, "-sf 6034 6035") {
		t.Errorf("of two: %s", got)
	}
}
