// Package reaper decides which HAProxy processes are residual and ends those
// that are due. A pass goes through five stages, each in files of its own:
//
//	observe    observe.go                          what package inspect shows, at one moment
//	classify   tree.go cluster.go lineage.go       what each process is, and which are one instance
//	           generation.go group.go near.go
//	           told.go                             what says that a process was told to stop
//	           side.go                             whose each connection is
//	           classify.go refusal.go name.go      roles, names, and what stands against acting
//	           describe.go stranded.go             on an instance
//	decide     decide.go policy.go judge.go        one verdict, with one reason, for every process;
//	           rule_*.go                           each rule of a policy by itself
//	act        execute.go agree.go confirm.go      two looks that agree, the active confirmed, signals
//	           drain.go terminate.go wait.go
//	report     report.go reason.go                 the one document that all stages fill in;
//	           saved.go                            one that was saved, decided again
//
// Between passes memory.go remembers since when a process is known to be
// residual, and that it was told to stop; state.go keeps that, and the counters of
// counters.go, on disk.
//
// Classify and Decide are functions of their arguments: no clock, no operating
// system, no log. Dry run is another Terminator, chosen once. What is unclear is
// refused: an instance is left alone, with a reason of the closed set in
// reason.go.
package reaper
