package inspect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxAnswer bounds an answer of the master CLI, in bytes: ten times what
// `show proc` prints of the 202 processes that it can.
const maxAnswer = 256 << 10

// MasterCLI is the socket that a master opens with -S (management.txt, "Master
// CLI"; HAProxy 1.9 and later). Its answers are a witness's word: they may
// contradict what the kernel says, never replace it.
//
// A master serves few of these connections at once, so each question is one
// short connection, and the caller's context bounds it.
type MasterCLI struct {
	Kernel           Kernel
	Network, Address string
}

// Ask sends one command and returns the whole answer.
func (m MasterCLI) Ask(ctx context.Context, command string) ([]byte, error) {
	return m.askUpTo(ctx, command, maxAnswer)
}

// askUpTo is Ask for an answer of so many bytes at the most.
func (m MasterCLI) askUpTo(ctx context.Context, command string, limit int) ([]byte, error) {
	answer, err := m.ask(ctx, command, limit)
	if err != nil {
		// A deadline on a connection is reported as a timeout of its own.
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("ask master CLI %q: %w", command, err)
	}
	return answer, nil
}

func (m MasterCLI) ask(ctx context.Context, command string, limit int) ([]byte, error) {
	conn, err := m.Kernel.Dial(ctx, m.Network, m.Address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// The master's side stays open after an answer: quit ends it (all versions).
	if _, err := io.WriteString(conn, command+";quit\n"); err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(answer) > limit {
		return nil, errors.New("answer too long")
	}
	return answer, nil
}

// Proc is the master's own list of its processes.
func (m MasterCLI) Proc(ctx context.Context) (procTable, error) {
	answer, err := m.Ask(ctx, "show proc")
	if err != nil {
		return procTable{}, err
	}
	return parseShowProc(answer)
}

// Info asks a worker about itself; nspid is its pid in its own PID namespace,
// which is the one the master knows. An answer of another process is an error.
// A worker that is still starting may not answer at all (3.1 and later). The same
// connection asks where its own CLI listens (seen on 2.2 to 3.4).
func (m MasterCLI) Info(ctx context.Context, nspid int) (CLIAnswer, error) {
	answer, err := m.Ask(ctx, fmt.Sprintf("@!%[1]d show info;@!%[1]d show cli sockets", nspid))
	if err != nil {
		return CLIAnswer{}, err
	}
	pid, info, err := parseShowInfo(answer)
	if err != nil {
		return CLIAnswer{}, err
	}
	if pid != nspid {
		return CLIAnswer{}, fmt.Errorf("show info: answer of process %d, want %d", pid, nspid)
	}
	return info, nil
}
