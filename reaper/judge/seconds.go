package judge

import "time"

// Seconds returns a report's number of seconds as a duration. What no clock could
// have measured is the longest duration there is.
func Seconds(s float64) time.Duration {
	const longest = 1<<63 - 1
	if s*float64(time.Second) >= longest {
		return longest
	}
	return time.Duration(s * float64(time.Second))
}
