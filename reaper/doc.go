// Package reaper decides which HAProxy processes are residual and ends those
// that are due. A pass goes through five stages, each in files of its own:
//
//	look       observe.go                          what package inspect shows, at one moment
//	classify   tree.go cluster.go lineage.go       what each process is, and which are one instance
//	           generation.go group.go doubt.go
//	           told.go                             what says that a process was told to stop
//	           side.go                             whose each connection is
//	           classify.go refusal.go name.go      roles, names, and what stands against acting
//	           describe.go stranded.go             on an instance
//	decide     decide.go policy.go rules.go        one verdict, with one reason, for every process;
//	           rule_*.go                           each rule of a policy by itself
//	act        act.go targets.go                   each target from the first look to its outcome
//	           prove.go                            two looks that agree, the active confirmed
//	           drain.go terminate.go               connections closed one by one; signals
//	report     report.go reason.go                 the one document that all stages fill in;
//	           whatif.go                           one that was saved, decided again
//
// Between passes memory.go remembers since when a process is known to be
// residual, and that it was told to stop; state.go keeps that, and the counters of
// counters.go, on disk.
//
// Classify and Decide are functions of their arguments: no clock, no operating
// system, no log. Dry run is another Terminator, chosen once. What is unclear is
// refused: an instance is left alone, with a reason of the closed set in
// reason.go.
//
// A target is a process that the first look found due. A pass takes it through these
// stages (targets.go), and through no others:
//
//	             +------------ draining <---+
//	             v                          |
//	         proposed ----------------> proven ----> signalled ----> left
//	             ^   two looks agree        SIGTERM, SIGKILL |
//	             |                                           v
//	             +------------- for SIGKILL ------------- survived
//
// From proposed, proven and draining a target may also be left, when it is gone, and
// withheld, when anything is not as it was. A survivor that gets no SIGKILL is a
// survivor still.
package reaper
