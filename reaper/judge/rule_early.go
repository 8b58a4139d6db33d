package judge

// empty is the rule of --empty-after. It counts from when the process was
// superseded: since when it has no client nobody knows. One whose clients are
// all gone may still hold half-closed connections, and some of its own towards
// backends: those keep many an old worker for ever.
func (j *rules) empty(p *Process) claim {
	if j.policy.EmptyAfter == nil || !toldApart(p) || *p.Connections.Client > 0 {
		return claim{}
	}
	return claim{ReasonEmpty, max(0, *j.policy.EmptyAfter-span(*p.ResidualSeconds)), true}
}

// idle is the rule of --idle-after: how long until no byte will have moved for
// that long on any client connection of a process that has some.
func (j *rules) idle(p *Process) claim {
	if j.policy.IdleAfter == 0 || !idleKnown(p) || p.IdleSeconds == nil {
		return claim{}
	}
	return claim{ReasonIdle, max(0, j.policy.IdleAfter-span(*p.IdleSeconds)), true}
}
