package inspect

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"
)

// maxAnswer bounds an answer of the master CLI, in bytes: ten times what
// `show proc` prints of the 202 processes that it can.
const maxAnswer = 256 << 10

// masterCLI is a conversation with a master (management.txt, "Master CLI"; HAProxy
// 1.9 and later): one question after another over one connection, since a master
// takes ten of them. Its answers are a witness's word: they may contradict what the
// kernel says, never replace it.
type masterCLI struct {
	ctx   context.Context
	stop  func() bool
	conn  net.Conn
	in    *bufio.Reader
	place cliPlace

	held    int // connections that the master had when this one was made
	heldErr error
}

var (
	errNoTime = errors.New("not asked: no time was left")
	// errNoAnswer says that the master had an answer of its own: the worker exited, or
	// the level of the socket is too low.
	errNoAnswer = errors.New("none")
	// errHungUp says that the master closed the connection amid an answer.
	errHungUp = errors.New("the master hung up")
	// errMisfit says that an answer is of another process than the one that was asked.
	// A worker that was taken over may write more than one answer.
	errMisfit = errors.New("master CLI: the answers do not fit the questions")
)

// newMasterCLI begins a conversation that ends with ctx.
func newMasterCLI(ctx context.Context, conn net.Conn, place cliPlace) *masterCLI {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return &masterCLI{ctx: ctx, stop: stop, conn: conn, in: bufio.NewReader(conn), place: place}
}

func (c *masterCLI) close() {
	c.stop()
	_ = c.conn.Close()
}

// hasTime tells whether an answer may take its whole time.
func (c *masterCLI) hasTime() bool {
	deadline, bounded := c.ctx.Deadline()
	return !bounded || time.Until(deadline) >= answerTimeout
}

// ask sends a command and returns its answer, with the blank line that ends each
// (2.2 to 3.4). The error is os.ErrDeadlineExceeded if the answer does not come in
// time, and the context's if that has ended.
func (c *masterCLI) ask(command string, limit int) ([]byte, error) {
	answer, err := c.exchange(command, limit)
	if err != nil {
		if c.ctx.Err() != nil {
			err = c.ctx.Err()
		}
		return nil, fmt.Errorf("ask master CLI %q: %w", command, plain(err))
	}
	return answer, nil
}

func (c *masterCLI) exchange(command string, limit int) ([]byte, error) {
	_ = c.conn.SetDeadline(time.Now().Add(answerTimeout))
	if err := c.ctx.Err(); err != nil {
		return nil, err // before this, it may have set a deadline that was set off here
	}
	if _, err := io.WriteString(c.conn, command+"\n"); err != nil {
		return nil, err
	}
	var answer []byte
	for {
		line, err := c.in.ReadSlice('\n')
		answer = append(answer, line...)
		switch {
		case len(answer) > limit:
			return nil, errors.New("answer too long")
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return nil, errHungUp
		case err != nil:
			return nil, err
		case len(answer) == 1, bytes.HasSuffix(answer, []byte("\n\n")):
			return answer, nil
		}
	}
}

// askWorker asks a worker about itself, where its own CLI listens, and for its
// streams if that is wanted.
func (c *masterCLI) askWorker(w *Process, streams bool, answers map[*Process]CLIAnswer, sessions map[*Process]map[netip.AddrPort]time.Duration) error {
	answer, err := c.info(w.NSPID)
	if err != nil {
		return err
	}
	answers[w] = answer
	if !streams {
		return nil
	}
	text, err := c.ask(fmt.Sprintf("@!%d show sess", w.NSPID), maxSessions)
	if err != nil {
		return err
	}
	ages, err := parseShowSess(text)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	sessions[w] = ages
	return nil
}

// info asks a worker about itself; nspid is its pid in its own PID namespace,
// which is the one the master knows. It also asks where its own CLI listens.
func (c *masterCLI) info(nspid int) (CLIAnswer, error) {
	text, err := c.ask(fmt.Sprintf("@!%d show info", nspid), maxAnswer)
	if err != nil {
		return CLIAnswer{}, err
	}
	pid, _, err := parseShowInfo(text)
	switch {
	case err != nil:
		return CLIAnswer{}, fmt.Errorf("%w: %w", errNoAnswer, err)
	case pid != nspid:
		return CLIAnswer{}, fmt.Errorf("%w: process %d answers for %d", errMisfit, pid, nspid)
	}
	sockets, err := c.ask(fmt.Sprintf("@!%d show cli sockets", nspid), maxAnswer)
	if err != nil {
		return CLIAnswer{}, err
	}
	_, answer, err := parseShowInfo(slices.Concat(text, sockets))
	return answer, err
}

// quit ends the conversation. Whatever is left of the answers then is none that was
// asked for.
func (c *masterCLI) quit() error {
	_ = c.conn.SetDeadline(time.Now().Add(answerTimeout))
	if err := c.ctx.Err(); err != nil {
		return fmt.Errorf("ask master CLI: %w", err)
	}
	_, sendErr := io.WriteString(c.conn, "quit\n")
	rest, err := io.ReadAll(io.LimitReader(c.in, maxAnswer))
	switch err = errors.Join(sendErr, err); {
	case len(bytes.TrimSpace(rest)) > 0:
		return errMisfit
	case isSilence(err): // else it has closed its side first
		return fmt.Errorf("ask master CLI %q: %w", "quit", plain(err))
	}
	return nil
}

// plain is an error without the address of the connection, which may be a
// descriptor of our own.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
