package inspect

import (
	"errors"
	"fmt"
	"time"
)

// Any user can start programs that are named haproxy, so many and so large as the
// kernel allows. What they cost is bounded here. A process beyond a bound cannot be read,
// and that concerns its own instance alone.
const (
	// strangersListed is the most strangers that are listed at all: each is a row of a
	// report.
	strangersListed = 5000
	// strangersRead is the most strangers of which a pidfd is held. As shipped the agent
	// may have 1,024 descriptors.
	strangersRead = 256
	// strangerCommand and strangerArguments are the most of a stranger's command line, in
	// bytes and in arguments: enough for the pids of 2,000 old workers.
	strangerCommand   = 16 << 10
	strangerArguments = 2048
	// strangerDescriptors is the most descriptors of strangers that one look examines, of
	// all together.
	strangerDescriptors = 100_000
	// strangersSockets and tablesPatience are how many sockets of others, and for how long,
	// a look reads in the kernel's tables. Any user can have a million of them in one slot
	// of a table, by one port. The kernel walks the slot anew for each part of its answer.
	strangersSockets = 20_000
	tablesPatience   = time.Second
	// strangerPatience is how long a look waits for the facts of one stranger, and
	// strangersLate how many may keep it waiting. A kernel lets some reads wait for as
	// long as it likes, each on a thread of its own.
	strangerPatience = 100 * time.Millisecond
	strangersLate    = 8
	// strangerSocketsPatience is how long a look waits for the sockets or the memory of one
	// stranger, and strangerDescriptorPatience how long for each descriptor besides.
	strangerSocketsPatience    = time.Second
	strangerDescriptorPatience = 20 * time.Microsecond
	// strangersPatience is how long a look reads the facts of strangers in all. The kernel
	// takes 10 ms for the status of a process in 65,536 groups.
	strangersPatience = time.Second
)

var (
	errManyStrangers      = errors.New("more processes of other users than one look reads")
	errManyDescriptors    = errors.New("more descriptors of other users' processes than one look examines")
	errManySockets        = errors.New("the kernel's tables take too long, or hold too many sockets of other users")
	errNoSocket           = errors.New("a descriptor of another user's process became another one")
	errManyArguments      = fmt.Errorf("more than %d arguments of another user's process", strangerArguments)
	errLate               = errors.New("it took too long to read")
	errStrangersNamespace = errors.New("the tables of another user's network namespace are not read")
)
