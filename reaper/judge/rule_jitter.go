package judge

import "time"

// jitter is this host's part of --deadline-jitter, and all of it where the
// host's share is not known.
func (j *rules) jitter() time.Duration {
	share := 1.0
	if j.host.HostShare != nil {
		share = max(0, min(*j.host.HostShare, 1))
	}
	return time.Duration(share * float64(j.policy.DeadlineJitter))
}
