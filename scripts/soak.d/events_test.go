package main

import (
	"encoding/binary"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// message is an event as the kernel sends it: netlink header, struct cn_msg,
// what, cpu, time stamp, and the words of the event.
func message(what uint32, words ...uint32) []byte {
	m := make([]byte, unix.SizeofNlMsghdr+cnMessageBytes)
	m = binary.NativeEndian.AppendUint32(m, what)
	m = binary.NativeEndian.AppendUint32(m, 1)
	m = binary.NativeEndian.AppendUint64(m, uint64(7*time.Second))
	for _, word := range append(words, 0, 0, 0, 0) {
		m = binary.NativeEndian.AppendUint32(m, word)
	}
	return m
}

func TestAnEventIsReadAsTheKernelWritesIt(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		message []byte
		want    event
		ok      bool
	}{
		{"a fork", message(procEventFork, 10, 10, 20, 20), event{at: 7 * time.Second, what: procEventFork, parent: 10, pid: 20}, true},
		{"a fork by a thread, whose parent is the whole process", message(procEventFork, 11, 10, 20, 20), event{at: 7 * time.Second, what: procEventFork, parent: 10, pid: 20}, true},
		{"a new thread", message(procEventFork, 10, 10, 21, 20), event{}, false},
		{"an exec", message(procEventExec, 20, 20), event{at: 7 * time.Second, what: procEventExec, pid: 20}, true},
		{"the end of a process by SIGTERM", message(procEventExit, 20, 20, 15, 17), event{at: 7 * time.Second, what: procEventExit, pid: 20, status: 15}, true},
		{"the end of a thread", message(procEventExit, 21, 20, 0, 17), event{}, false},
		{"another event", message(0x4, 20, 20), event{}, false},
		{"half a message", message(procEventExec, 20, 20)[:40], event{}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseEvent(row.message)
			if ok != row.ok || ok && got != row.want {
				t.Errorf("got %+v, %v; want %+v, %v", got, ok, row.want, row.ok)
			}
		})
	}
}

func FuzzEvent(f *testing.F) {
	f.Add(message(procEventExit, 20, 20, 15, 17))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, ok := parseEvent(data); ok && e.what != procEventFork && e.what != procEventExec && e.what != procEventExit {
			t.Errorf("%+v is no event that was asked for", e)
		}
	})
}

// The kernel itself, with a child of this test.
func TestTheKernelTellsTheEndOfAProcessAndItsWaitStatus(t *testing.T) {
	t.Parallel()
	fd, err := listenEvents()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	patience := unix.NsecToTimeval(int64(30 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sh", "-c", "kill -TERM $$")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	var ended event
	err = readEvents(fd, func(e event) bool {
		if e.what == procEventExit && e.pid == child.Process.Pid {
			ended = e
		}
		return ended.pid == 0
	})
	if err != nil {
		t.Fatal(err)
	}
	if !ended.status.Signaled() || ended.status.Signal() != unix.SIGTERM {
		t.Errorf("wait status %#x, want the one of SIGTERM", int(ended.status))
	}
}
