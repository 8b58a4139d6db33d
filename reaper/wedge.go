package reaper

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
