// Package judge decides which HAProxy processes are residual, and which of them are due.
// Its functions are functions of their arguments: no clock, no operating system, no log.
//
//	classify  tree.go cluster.go lineage.go    what each process is, and which are one instance
//	          generation.go group.go doubt.go
//	          told.go                          what says that a process was told to stop
//	          side.go                          whose each connection is
//	          classify.go describe.go          roles, and what a report says of a process
//	          superseded.go wedge.go           since when it is superseded, and what keeps it
//	          refusal.go stranded.go           what stands against acting on an instance
//	          name.go owner.go                 names of instances, and whose they are
//	decide    decide.go policy.go rules.go     one verdict, with one reason, for every process;
//	          rule_*.go                        each rule of a policy by itself
//	          forecast.go                      what a pass would disconnect, and when
//	report    report.go reason.go              the one document of a pass, and its closed sets of words
//	          whatif.go                        a saved report, decided again
//	          twice.go                         two looks compared
//
// memory.go is what a pass remembers for the next: since when a process is known to be
// residual, and that it was told to stop.
package judge
