package judge

// strandedReason says why a process is stranded, "" for any other role. listeners
// are its stream and datagram listeners, nil when its sockets could not be read.
// What it holds comes first: a process that listens serves, whatever it was told.
// otherwise is the reason of a process that holds no listener.
func strandedReason(role Role, listeners []string, otherwise StrandedReason) StrandedReason {
	switch {
	case role != RoleStranded:
		return ""
	case listeners == nil:
		return StrandedUnreadable
	case len(listeners) > 0:
		return StrandedListening
	}
	return otherwise
}

// untold is why a member without a listener is stranded.
func (c *classifier) untold(m Member) StrandedReason {
	switch {
	case m.kind == kindLeft:
		return StrandedOtherUser
	case c.group.Model == "":
		return StrandedNoInstance
	}
	return StrandedNotTold
}
