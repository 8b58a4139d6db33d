package agent

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
)

// progress is one line on a terminal that says how far draining is, which may
// take minutes. What is logged meanwhile goes through it, so that neither stands
// in the other's line. Elsewhere than on a terminal it says nothing.
type progress struct {
	out      io.Writer
	terminal bool

	mu    sync.Mutex
	left  map[string]string // of each instance that is drained now
	shown bool
}

func newProgress(out io.Writer) *progress {
	file, ok := out.(*os.File)
	return &progress{out: out, terminal: ok && term.IsTerminal(int(file.Fd())), left: map[string]string{}}
}

// log is where to log to: the file itself where it is no terminal, since it tells
// whether it is the journal.
func (p *progress) log() io.Writer {
	if p.terminal {
		return p
	}
	return p.out
}

const clearLine = "\r\x1b[K"

// Write writes what is logged in place of the line, and the line below it.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	n, err := p.out.Write(b)
	p.show()
	return n, err
}

// drained says that so many of an instance's clients are closed; when all are,
// that line is over.
func (p *progress) drained(instance string, closed, of int) {
	if !p.terminal {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left[instance] = fmt.Sprintf("draining %s: %d of %s", text.Escape(instance), closed, text.Plural(of, "client connection", "client connections"))
	if closed >= of {
		delete(p.left, instance)
	}
	p.clear()
	p.show()
}

// end takes the line away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	clear(p.left)
}

func (p *progress) clear() {
	if p.shown {
		_, _ = io.WriteString(p.out, clearLine)
		p.shown = false
	}
}

func (p *progress) show() {
	if len(p.left) == 0 {
		return
	}
	_, _ = io.WriteString(p.out, strings.Join(slices.Sorted(maps.Values(p.left)), "; "))
	p.shown = true
}
