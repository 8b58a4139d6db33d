package reaper

// strandedReason says why a process is stranded, "" for any other role. listeners
// are its stream and datagram listeners, nil when its sockets could not be read;
// otherUser is set where its user is not the active's in daemon mode: then nothing
// that another account could not forge says whether it was told to stop.
//
// What it holds comes first: a process that listens serves, whatever it was told.
func strandedReason(role Role, listeners []string, otherUser bool) StrandedReason {
	switch {
	case role != RoleStranded:
		return ""
	case listeners == nil:
		return StrandedUnreadable
	case len(listeners) > 0:
		return StrandedListening
	case otherUser:
		return StrandedOtherUser
	}
	return StrandedNotTold
}
