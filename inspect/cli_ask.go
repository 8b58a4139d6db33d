package inspect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// askTimeout bounds all that is asked of one master in a look, answerTimeout each
	// answer: what is stopped never gives one.
	askTimeout    = 3 * time.Second
	answerTimeout = time.Second

	// maxHeld is the number of connections of its CLI that keeps a master's workers
	// from being asked, ours left out. A master takes ten (the maxconn of its proxy). A
	// request to a worker that does not answer keeps one until that worker goes (seen on
	// 2.2 to 3.4; haproxy/haproxy#3351).
	maxHeld = 3
)

// Questions are what a master is asked about.
type Questions struct {
	Workers  []*Process // its ready workers are asked about themselves
	Sessions []*Process // those of the workers whose streams are asked for
}

// AskMaster asks a master's CLI about its workers over one connection. It leaves
// each worker's answer in its CLI field. Of q.Sessions it leaves in the field of
// this name since when each client is there: the kernel does not tell. HAProxy
// counts streams, so a connection that has none just now (an idle one of HTTP) has
// no age. It is for a person who asks who holds a worker: it makes the worker write
// a line for every stream.
//
// socket is a path of our own root directory, "" for the address in the master's
// arguments (-S), or "none".
//
// An UnaskedError says that the master answered, and that some workers have no
// answer. Any other error means that the CLI is no witness: there is none, a rule
// keeps it from being asked (ErrCLIRule), it does not answer (HAProxy up to 3.0
// closes it during a reload), or it is another master's.
func (h *Host) AskMaster(ctx context.Context, s Snapshot, master *Process, q Questions, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cli, err := h.openCLI(ctx, s, master, socket)
	if err != nil {
		return err
	}
	defer cli.close()
	_, table, err := h.askProc(cli, master)
	if err != nil {
		return err
	}
	return h.askWorkers(cli, table, q)
}

// openCLI connects to a master's CLI, if there is one and the rules allow it. One
// attempt is made, and none where the master is stopped, or did not answer before
// in this pass.
func (h *Host) openCLI(ctx context.Context, s Snapshot, master *Process, socket string) (*masterCLI, error) {
	place, err := h.cliPlace(s, master, socket)
	if err != nil {
		return nil, err
	}
	if why := h.mayAnswer(master); why != "" {
		return nil, fmt.Errorf("ask master CLI at %s: the master %s", ShownName(place.address), why)
	}
	held, heldErr := h.masterSockets(ctx, master)
	type result struct {
		cli *masterCLI
		err error
	}
	// A path may lead to a file system that does not answer.
	connected := make(chan result, 1)
	go func() {
		conn, err := h.connect(ctx, master, place, held)
		if err != nil {
			connected <- result{err: err}
			return
		}
		connected <- result{cli: newMasterCLI(ctx, conn, place)}
	}()
	patience, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	select {
	case r := <-connected:
		switch {
		case errors.Is(r.err, ErrCLIRule), errors.Is(r.err, ErrNoCLI):
			return nil, r.err
		case r.err != nil:
			return nil, fmt.Errorf("ask master CLI at %s: %w", ShownName(place.address), plain(r.err))
		}
		r.cli.held, r.cli.heldErr = held.connections, heldErr
		return r.cli, nil
	case <-patience.Done():
		h.note(master.ProcID, silentNow)
		go func() {
			if r := <-connected; r.cli != nil {
				r.cli.close()
			}
		}()
		return nil, fmt.Errorf("ask master CLI at %s: %w", ShownName(place.address), patience.Err())
	}
}

// askProc asks a master for its list of processes, and verifies that the list is
// this master's. A master that does not answer is not asked again in this pass.
func (h *Host) askProc(cli *masterCLI, master *Process) (text []byte, table procTable, err error) {
	if text, err = cli.ask("show proc", maxAnswer); err != nil {
		if isSilence(err) {
			h.note(master.ProcID, silentNow)
		}
		return nil, procTable{}, err
	}
	if table, err = parseShowProc(text); err == nil && table.master != master.NSPID {
		err = fmt.Errorf("%w: the one at %s belongs to process %d", ErrNoCLI, ShownName(cli.place.address), table.master)
	}
	return text, table, err
}

// askWorkers asks a master about its workers, the youngest first. Those that the master
// does not list come last: it hangs up if it does not know one. It ends with the first
// that does not answer: the connection is not to be used any more, and may be lost to
// the master. So at most one is lost in a look.
func (h *Host) askWorkers(cli *masterCLI, table procTable, q Questions) error {
	unasked := &UnaskedError{}
	ready := slices.DeleteFunc(slices.Clone(q.Workers), func(w *Process) bool {
		return !w.Signals.Ready() // a starting worker may not answer at all (3.1 and later)
	})
	slices.Reverse(ready)
	slices.SortStableFunc(ready, func(a, b *Process) int { return table.unlisted(a) - table.unlisted(b) })
	if n := h.lost(cli, q.Workers); n >= maxHeld {
		unasked.add(fmt.Sprintf("not asked: its master has %d connections open already", n), ready...)
		return unasked.orNil()
	}
	answers, sessions := map[*Process]CLIAnswer{}, map[*Process]map[netip.AddrPort]time.Duration{}
	for i, w := range ready {
		if why := h.mayAnswer(w); why != "" {
			unasked.add("not asked: it "+why, w)
			continue
		}
		err := errNoTime
		if cli.hasTime() {
			err = cli.askWorker(w, slices.Contains(q.Sessions, w), answers, sessions)
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, errNoAnswer):
			unasked.add(err.Error(), w)
			continue
		case errors.Is(err, errMisfit):
			return err
		case isSilence(err):
			h.note(w.ProcID, silentForGood)
			unasked.add("none within "+answerTimeout.String(), w)
		default:
			unasked.add(cause(err).Error(), w)
		}
		unasked.add("not asked after that", ready[i+1:]...)
		return unasked.take(answers, sessions)
	}
	if err := cli.quit(); err != nil {
		return err
	}
	return unasked.take(answers, sessions)
}

// lost is how many connections a master seems to have lost: those that its CLI has
// open beside ours, or, where they cannot be counted, one for each worker that did
// not answer.
func (h *Host) lost(cli *masterCLI, workers []*Process) int {
	if cli.heldErr == nil {
		return cli.held
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, w := range workers {
		if h.silent[w.ProcID] == silentForGood {
			n++
		}
	}
	return n
}

// mayAnswer says what keeps a process from being asked, "" where it may answer. Its
// state is read right before: the look's own is old by now.
func (h *Host) mayAnswer(p *Process) string {
	h.mu.Lock()
	silence := h.silent[p.ProcID]
	h.mu.Unlock()
	if silence != "" {
		return string(silence)
	}
	b, err := h.kernel.ReadFile(procPath(p.PID, "stat"), factLimit)
	if err != nil {
		return "has a state that could not be read"
	}
	st, err := parseStat(b)
	switch {
	case err != nil:
		return "has a state that could not be read"
	case st.startTicks != p.StartTicks:
		return "has gone"
	case st.state == 'T':
		return "is stopped"
	case st.state == 't':
		return "is held by a debugger"
	case st.state == 'D':
		return "is blocked in the kernel"
	}
	return ""
}

// silence is that a process did not answer, in the words of a report.
type silence string

const (
	silentNow     silence = "did not answer a moment ago" // of a master: it may load a configuration
	silentForGood silence = "did not answer before"       // of a worker: to ask costs a connection
)

func (h *Host) note(id ProcID, s silence) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent[id] = s
}

// Spare keeps a worker from being asked by this host's masters: it did not answer
// before, and each question may cost its master a connection for ever.
func (h *Host) Spare(id ProcID) { h.note(id, silentForGood) }

// Silent are the living workers that did not answer, those of Spare among them.
func (h *Host) Silent() []ProcID {
	h.mu.Lock()
	var list []ProcID
	for id, s := range h.silent {
		if s == silentForGood {
			list = append(list, id)
		}
	}
	h.mu.Unlock()
	return slices.DeleteFunc(list, func(id ProcID) bool { return h.Handle(id) == nil || h.Exited(id) })
}

// cause is an error without the words that say where it came up.
func cause(err error) error {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// isSilence tells that an answer did not come in time.
func isSilence(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// UnaskedError says which workers have no answer, and why, of a master that
// answered itself.
type UnaskedError struct {
	whys []string
	pids map[string][]string
}

func (e *UnaskedError) Error() string {
	parts := make([]string, len(e.whys))
	for i, why := range e.whys {
		parts[i] = fmt.Sprintf("%s (%s)", strings.Join(e.pids[why], ", "), why)
	}
	return "master CLI: no answer of " + strings.Join(parts, ", ")
}

func (e *UnaskedError) add(why string, workers ...*Process) {
	for _, w := range workers {
		if e.pids == nil {
			e.pids = map[string][]string{}
		}
		if e.pids[why] == nil {
			e.whys = append(e.whys, why)
		}
		e.pids[why] = append(e.pids[why], strconv.Itoa(w.PID))
	}
}

func (e *UnaskedError) orNil() error {
	if len(e.whys) == 0 {
		return nil
	}
	return e
}

// take leaves the answers with their processes.
func (e *UnaskedError) take(answers map[*Process]CLIAnswer, sessions map[*Process]map[netip.AddrPort]time.Duration) error {
	for w, answer := range answers {
		w.CLI = &answer
	}
	for w, ages := range sessions {
		w.Sessions = ages
	}
	return e.orNil()
}
