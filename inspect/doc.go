// Package inspect reads HAProxy's processes from the host. It is the only
// package that does, and it decides nothing.
//
// What is read, and where from:
//
//	/proc                         the pids
//	/proc/PID/exe                 whether it is HAProxy's executable
//	/proc/PID                     owner (stat(2))
//	/proc/PID/{stat,status}       parent, start ticks, pid in its namespace, signal masks
//	/proc/PID/{cmdline,cgroup}    arguments (with the -sf list), systemd unit, class of its sockets
//	/proc/PID/ns/{pid,net}        namespaces
//	/proc/PID/fd                  which sockets the active holds, lowest descriptors only
//	sock_diag(7)                  which sockets of the host are in LISTEN, and may receive datagrams
//	pidfd_getfd(2)                each descriptor of an old worker, one at a time;
//	                              where it is refused, sock_diag(7) and /proc/PID/fd;
//	                              of an active in another network namespace, the lowest ones
//	kcmp(2)                       whether an old worker's threads share their descriptors
//	/proc/self/status             what this program may do
//	/proc/1/comm                  whether /proc hides other users' processes
//	/proc/PID/smaps_rollup        the memory that ends with an old worker
//	the master CLI                show proc, @!PID show info, @!PID show cli sockets; by hand, @!PID show sess
//	the files of -f               by hand, what ends old workers
//	unit files of systemd         by hand, what a stop does to a service
//
// The first word of a file's name says where it reads: proc_ the files of /proc/PID,
// socket_ sockets and the kernel's tables of them, cli_ HAProxy's master CLI, config_
// HAProxy's and systemd's files, memory_ how much memory there is. kernel.go lists every
// system call, host.go is a look, and limits.go says how much a look reads of strangers.
//
// What a Snapshot guarantees: a Process was opened by pidfd before the first of
// its facts was read and was still alive after the last one, so all of them are
// of one process, whatever happened to its pid. Processes are read one after
// another; a Snapshot of several is not atomic, and whoever decides on one must
// look twice. A fact that could not be read is an error, never an empty value:
// "I may not look" is not "there is none".
//
// A dump of sockets proves presence, never absence: measured, listeners were
// missing from up to 13 % of dumps while SO_REUSEPORT siblings came and went.
// Absence is proven descriptor by descriptor only (Sockets.Proof): each is known
// to be something else, or the process is not judged.
//
// A process can be caught in an instant that tells nothing of it, amid its
// signals or in execve(2). Such a one is read again for a moment.
//
// Active workers are touched as little as may be: no descriptor of theirs is
// duplicated unless nothing else shows a listener. In another network namespace
// nothing else does at a bounded cost.
package inspect
