package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// progress is a line on a terminal that says how far things are; nothing
// elsewhere.
type progress struct {
	mu       sync.Mutex
	title    string
	terminal bool
	last     time.Time
}

func newProgress(title string) *progress {
	_, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS)
	return &progress{title: title, terminal: err == nil}
}

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal && time.Since(p.last) > 100*time.Millisecond {
		p.last = time.Now()
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s: %s", p.title, fmt.Sprintf(format, args...))
	}
}

func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
