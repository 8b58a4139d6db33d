// sendsignal PID: sends SIGTERM by the call that the agent makes, from a pidfd,
// and says what the kernel answered. A test runs it in place of the agent, to
// see what the agent's unit may signal.
package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

func main() {
	pid, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		err = unix.PidfdSendSignal(pidfd, unix.SIGTERM, nil, 0)
	}
	if err != nil {
		fmt.Println(unix.ErrnoName(err.(unix.Errno)))
		os.Exit(1)
	}
	fmt.Println("sent")
}
