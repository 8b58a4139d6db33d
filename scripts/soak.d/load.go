package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a client waits for its answer. One whose first packet
// was dropped tries again after a second, and must not count as lost for that.
const patience = 30 * time.Second

// An outage shows on the connections that are under way. More of them, and a
// burst to make up for what starved clients have missed, would only keep a busy
// machine from getting out of it: these are not made, and counted.
const (
	mostAtOnce = 500
	mostBehind = 100 * time.Millisecond
)

// report is what the clients of one service have seen since their last report.
type report struct {
	Made    int            // connections, those to be held included
	Failed  int            // of these: no connection, no answer, half an answer
	Missed  int            // were due, and not made
	Cuts    []cut          // held connections that ended before their time
	Errors  map[string]int // of the failed
	Answers map[int]answer // by the pid of the worker
}

// answer is what is known of a worker by its answers, in CLOCK_MONOTONIC.
type answer struct{ First, LastBegan time.Duration }

// clients are those of one service.
type clients struct {
	address string
	every   time.Duration // a connection
	hold    time.Duration // a held connection

	mu     sync.Mutex
	report report
}

// load runs the clients of all addresses until standard input ends, and writes a
// line with their reports several times a second. It is a process of its own in
// the network of the machine.
func load(args []string) error {
	rate, err := strconv.ParseFloat(args[0], 64)
	if err != nil || rate <= 0 {
		return fmt.Errorf("%q is no rate", args[0])
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var all []*clients
	for _, address := range args[1:] {
		c := &clients{address: address, every: time.Duration(float64(len(args)-1) / rate * float64(time.Second)), hold: holdEvery}
		all = append(all, c)
		go c.run(ctx)
		go c.holdOn(ctx)
	}
	out := bufio.NewWriter(os.Stdout)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
		reports := make([]report, len(all))
		for i, c := range all {
			reports[i] = c.take()
		}
		if err := json.NewEncoder(out).Encode(reports); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// take returns the report, and begins another.
func (c *clients) take() report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	c.report = report{}
	return r
}

// run makes connections at a fixed rate, whatever becomes of them.
func (c *clients) run(ctx context.Context) {
	underWay := make(chan struct{}, mostAtOnce)
	for next := time.Now(); ctx.Err() == nil; next = next.Add(c.every) {
		time.Sleep(time.Until(next))
		if behind := time.Since(next); behind > mostBehind {
			missed := behind / c.every
			next = next.Add(missed * c.every)
			c.missed(int(missed))
		}
		select {
		case underWay <- struct{}{}:
			go func() {
				defer func() { <-underWay }()
				began := now()
				pid, err := ask(c.address)
				if ctx.Err() == nil || err == nil {
					c.made(began, pid, err)
				}
			}()
		default:
			c.missed(1)
		}
	}
}

func (c *clients) missed(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Missed += n
}

// made takes down a connection, and who has answered it, 0 when that was not told.
func (c *clients) made(began time.Duration, pid int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Made++
	if err != nil {
		c.report.Failed++
		if c.report.Errors == nil {
			c.report.Errors = map[string]int{}
		}
		c.report.Errors[plainly(err)]++
		return
	}
	if pid == 0 {
		return
	}
	if c.report.Answers == nil {
		c.report.Answers = map[int]answer{}
	}
	a, known := c.report.Answers[pid]
	if !known {
		a.First = now()
	}
	a.LastBegan = max(a.LastBegan, began)
	c.report.Answers[pid] = a
}

// plainly is an error without what differs from one connection to the next.
func plainly(err error) string {
	var errno syscall.Errno
	var op *net.OpError
	switch {
	case errors.As(err, &op) && errors.As(err, &errno):
		return op.Op + ": " + errno.Error()
	case errors.As(err, &op) && op.Timeout():
		return op.Op + ": timeout"
	}
	return err.Error()
}

// ask makes a connection, asks for the page and returns the pid that it tells.
// The connection is reset at the end, so that it leaves nothing in TIME_WAIT.
func ask(address string) (pid int, err error) {
	c, err := dial(address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		return 0, err
	}
	var buf [512]byte
	n := 0
	for {
		more, err := c.Read(buf[n:])
		n += more
		if errors.Is(err, io.EOF) {
			return told(string(buf[:n]))
		}
		if err != nil {
			return 0, err
		}
		if n == len(buf) {
			return 0, errors.New("too long an answer")
		}
	}
}

func dial(address string) (*net.TCPConn, error) {
	// Probes of idle connections would be half of the calls.
	dialer := net.Dialer{Timeout: patience, KeepAlive: -1}
	c, err := dialer.Dial("tcp4", address)
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	tcp.SetLinger(0)
	tcp.SetDeadline(time.Now().Add(patience))
	return tcp, nil
}

// told is the pid in a whole answer.
func told(text string) (int, error) {
	head, body, found := strings.Cut(text, "\r\n\r\n")
	switch {
	case text == "":
		return 0, errors.New("closed without an answer")
	case !strings.Contains(head, " 200 "):
		status, _, _ := strings.Cut(head, "\r\n")
		return 0, errors.New("answered " + status)
	case !found:
		return 0, errHalf
	}
	return pidIn(body)
}

var errHalf = errors.New("half an answer")

// pidIn is the pid that the page tells.
func pidIn(page string) (int, error) {
	number, isPid := strings.CutPrefix(page, "pid ")
	number, whole := strings.CutSuffix(number, "\n")
	if !isPid || !whole {
		return 0, errHalf
	}
	return strconv.Atoi(number)
}
