package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// unitOf is the unit that a process is in, empty when it is in none of this
// machine or is gone.
func unitOf(pid int, machine string) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil || !strings.Contains(string(text), "/"+machine+"/") {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if _, after, found := strings.Cut(line, "/system.slice/"); found {
			unit, _, _ := strings.Cut(strings.TrimSpace(after), "/")
			return unit
		}
	}
	return ""
}

// innerPid is the pid of a process in its own PID namespace.
func innerPid(pid int) (int, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(list)
			return strconv.Atoi(fields[len(fields)-1])
		}
	}
	return 0, fmt.Errorf("process %d has no NSpid", pid)
}

// hearsSoftStop tells a process that catches SIGUSR1: a worker from when it is
// ready until it gives its handlers back to end.
func hearsSoftStop(pid int) bool {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(status), "\nSigCgt:\t")
	mask, _, _ := strings.Cut(rest, "\n")
	caught, err := strconv.ParseUint(mask, 16, 64)
	return err == nil && caught&(1<<(unix.SIGUSR1-1)) != 0
}

// comm is the name of a process, empty when it is gone.
func comm(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(text))
}

// listeners are the TCP sockets in LISTEN of the network that a process is in, as
// its descriptors name them.
func listeners(pid int) map[string]bool {
	sockets := map[string]bool{}
	table, err := os.Open(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return sockets
	}
	defer table.Close()
	for lines := bufio.NewScanner(table); lines.Scan(); {
		// proc_pid_net(5): the state is field 4, 0A is LISTEN, the inode field 10.
		if f := strings.Fields(lines.Text()); len(f) > 9 && f[3] == "0A" {
			sockets["socket:["+f[9]+"]"] = true
		}
	}
	return sockets
}

// holds tells whether a process has one of these sockets open.
func holds(pid int, sockets map[string]bool) bool {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if link, err := os.Readlink(dir + entry.Name()); err == nil && sockets[link] {
			return true
		}
	}
	return false
}
