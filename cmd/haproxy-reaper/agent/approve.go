package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// errUnanswered says that a run by hand could not be confirmed. sudo drops
// DRYRUN, so this keeps `DRYRUN=1 sudo haproxy-reaper reap </dev/null` from
// going live.
var errUnanswered = errors.New("a run by hand needs an answer or --yes: standard input is no terminal")

// approval stands between a live pass's decision and its first signal.
type approval struct {
	program *program
	ask     bool // a person started this, and has not said --yes
	config  *flags.Config

	// err says why the pass may not act, beyond an answer of no.
	err error
}

// byHand tells whether a person runs this: from a terminal, or through sudo.
func (p *program) byHand() bool {
	sudo, _ := p.lookupEnv("SUDO_UID")
	return p.terminal() != nil || sudo != ""
}

// terminal is standard input where that is a terminal, else nil.
func (p *program) terminal() *os.File {
	if file, ok := p.stdin.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return file
	}
	return nil
}

// approve is asked once by the pass, with what it decided and may yet signal.
func (a *approval) approve(ctx context.Context, r judge.Report) (bool, error) {
	plan, refused := planned(r)
	if !a.ask || len(plan)+len(refused) == 0 {
		return true, nil
	}
	terminal := a.program.terminal()
	if terminal == nil {
		a.err = errUnanswered
		return false, a.err
	}
	// Standard output is for the report, which may be JSON.
	prompt := text.Report(&r, headOf(&r, a.config)) + "\n" + question(len(plan), len(refused)) + " [y/N] "
	if _, err := io.WriteString(a.program.stderr, prompt); err != nil {
		a.err = fmt.Errorf("ask: %w", err)
		return false, a.err
	}
	return readAnswer(ctx, terminal), nil
}

// planned are the processes to be terminated, and those that are due and
// refused: a refusal may clear before the pass ends, and then they go too. One for
// want of a privilege does not.
func planned(r judge.Report) (plan, refused []judge.Process) {
	for _, instance := range r.Instances {
		for _, p := range instance.Processes {
			switch {
			case p.Verdict == judge.VerdictTerminate:
				plan = append(plan, p)
			case p.Verdict == judge.VerdictRefuse && p.IsDue(r.Time) && instance.Refusal != judge.ReasonPrivilege:
				refused = append(refused, p)
			}
		}
	}
	return plan, refused
}

func question(plan, refused int) string {
	switch {
	case refused == 0:
		return fmt.Sprintf("terminate %s?", text.Processes(plan))
	case plan == 0:
		return fmt.Sprintf("terminate %s, should what stands against it clear up?", text.Processes(refused))
	default:
		return fmt.Sprintf("terminate %s, and %d more, should what stands against it clear up?", text.Processes(plan), refused)
	}
}

// readAnswer reads a line; nothing but y or yes is yes. A signal to us is no.
func readAnswer(ctx context.Context, terminal io.Reader) bool {
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(terminal).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		return false
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true
		}
		return false
	}
}
