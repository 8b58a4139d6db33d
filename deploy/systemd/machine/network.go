package machine

import (
	"fmt"
	"net"
	"runtime"

	"golang.org/x/sys/unix"
)

// Inside runs f on a thread that is in the machine's network: sockets that it
// opens belong there.
func (m *Machine) Inside(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		if err := unix.Setns(int(m.netns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("join the machine's network: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Dial connects to an address in the machine's network.
func (m *Machine) Dial(address string) net.Conn {
	m.T.Helper()
	var c net.Conn
	err := m.Inside(func() (err error) {
		c, err = net.DialTimeout("tcp", address, Patience)
		return err
	})
	if err != nil {
		m.T.Fatal(err)
	}
	m.T.Cleanup(func() { c.Close() })
	return c
}
