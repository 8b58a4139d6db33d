package text

import (
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// What serves is not to be ended by hand, and what may serve is not either.
func TestNobodyIsAdvisedToEndWhatMayServe(t *testing.T) {
	for _, model := range []judge.Model{judge.ModelMasterWorker, judge.ModelDaemon} {
		for _, reason := range append(slices.Clone(judge.StrandedReasons), "") {
			got := StrandedAdvice(model, reason, 6034, 6035)
			serves := reason == judge.StrandedListening || reason == judge.StrandedUnreadable
			if strings.Contains(got, "do not end it by hand") != serves || strings.Contains(got, "kill") != (reason == judge.StrandedOtherUser) {
				t.Errorf("%s, %q: %s", model, reason, got)
			}
		}
	}
	if got := StrandedAdvice(judge.ModelDaemon, judge.StrandedNotTold, 6034, 6035); !strings.Contains(got, "-sf 6034 6035") {
		t.Errorf("of two: %s", got)
	}
}
