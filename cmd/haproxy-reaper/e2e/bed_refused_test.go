package e2e

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bedRefusedName is the name the test binary runs under to become the agent with a
// filter that refuses some system calls.
const bedRefusedName = "bed-refused"

// refusing is a command that runs the agent under a filter which answers EPERM to
// these system calls, as systemd's and container runtimes' do.
func refusing(calls []int, args ...string) []string {
	numbers := make([]string, len(calls))
	for i, call := range calls {
		numbers[i] = strconv.Itoa(call)
	}
	return append([]string{bedRefusedName, strings.Join(numbers, ",")}, args...)
}

// bedRefused installs the filter and becomes the agent.
func bedRefused() {
	runtime.LockOSThread() // the filter is this thread's, and execve keeps it
	err := refuseCalls(strings.Split(os.Args[1], ","))
	if err == nil {
		err = unix.Exec(bedAgent, append([]string{bedAgent}, os.Args[2:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// refuseCalls has this thread, and what it executes, get EPERM from calls. The
// filter is that of each architecture: the agent and its tests are of one.
func refuseCalls(numbers []string) error {
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}} // seccomp_data.nr
	for i, text := range numbers {
		number, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return err
		}
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(number), Jt: uint8(len(numbers) - i)})
	}
	filter = append(filter,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}
