// Package state keeps on disk what outlives a pass: what it remembers, and its counters.
//
//	state.go      the file, read and updated under a lock
//	bound.go      what is forgotten first where the file would grow too large
//	counters.go   what passes have done, by instance
//	lifetimes.go  how long residual processes were there
//	ended.go      a pass that has ended, or died
//	lock.go       one live pass at a time
//	replace.go    a file replaced at once
package state
