package judge

import "testing"

// What is withheld is a signal. Every other verdict stays as it is.
func TestOnlyVerdictsToTerminateAreWithheld(t *testing.T) {
	in := Instance{Processes: []Process{{Verdict: VerdictTerminate}, {Verdict: "another", Reason: "of its own"}}}
	got := in.Withhold(VerdictRefuse, ReasonChanged).Processes
	if got[0].Verdict != VerdictRefuse || got[0].Reason != ReasonChanged {
		t.Errorf("the signal is not withheld: %q, %q", got[0].Verdict, got[0].Reason)
	}
	if got[1].Verdict != "another" || got[1].Reason != "of its own" {
		t.Errorf("the other verdict is %q, %q", got[1].Verdict, got[1].Reason)
	}
}
