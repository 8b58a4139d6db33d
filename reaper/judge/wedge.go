package judge

// Wedge is what keeps a process from leaving when it is told to, as far as the
// kernel tells: the state of proc(5) at the look. One that spins has none.
type Wedge string

const (
	WedgeNone    Wedge = ""
	WedgeStopped Wedge = "stopped" // T, by SIGSTOP or the like: SIGTERM waits until it goes on
	WedgeTraced  Wedge = "traced"  // t, held by a debugger: the same
	WedgeBlocked Wedge = "blocked" // D, in a call that no signal ends: for an instant, or for ever
)

// Wedges is every wedge but none.
var Wedges = []Wedge{WedgeStopped, WedgeTraced, WedgeBlocked}

// Stuck tells whether a signal of this pass is likely to change nothing: the
// process is stopped or traced, or it outlived the signal of an earlier pass. It
// is signalled when it is due, and takes no place of a process that would leave:
// five wedged ones under a cap of five would keep all others for ever.
// A process in state D alone is not stuck: it may be there for an instant.
func (p *Process) Stuck() bool {
	return p.SignalledBefore || p.Wedge == WedgeStopped || p.Wedge == WedgeTraced
}

// wedgeOf reads a state letter. Whoever is not to leave is not wedged.
func wedgeOf(role Role, state byte) Wedge {
	if role != RoleResidual && role != RoleStranded {
		return WedgeNone
	}
	switch state {
	case 'T':
		return WedgeStopped
	case 't':
		return WedgeTraced
	case 'D':
		return WedgeBlocked
	}
	return WedgeNone
}
