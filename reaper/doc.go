// Package reaper is one pass over a host: it looks, has package judge decide, and ends
// the processes that are due.
//
//	pass.go        the stages of a pass, side by side for each instance
//	look.go        one look: what package inspect shows, at one moment
//	act.go         each target from the first look to its outcome
//	targets.go     the stages of a target, and its outcome
//	prove.go       two looks that agree, the active confirmed
//	drain.go       client connections closed one by one
//	terminator.go  signals, or none in a dry run
//	abandon.go     calls that the kernel does not return from
//
// What is unclear is refused: an instance is left alone, with a reason of a closed set.
//
// A target is a process that the first look found due. A pass takes it through these
// stages, and through no others:
//
//	    +------------ draining <---+
//	    v                          |
//	proposed ----------------> proven ----> signalled ----> left
//	    ^   two looks agree        SIGTERM, SIGKILL |
//	    |                                           v
//	    +------------- for SIGKILL ------------- survived
//
// From proposed, proven and draining a target may also be left, when it is gone, and
// withheld, when anything is not as it was. A survivor that gets no SIGKILL is a
// survivor still.
package reaper
