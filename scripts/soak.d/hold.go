package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Every so often a client asks a worker who it is, begins an upload on the same
// connection and leaves it half done, which keeps that worker. Of so many the
// oldest is then brought to its end.
const (
	holdEvery  = 700 * time.Millisecond
	heldAtMost = 10
)

// held is one upload.
type held struct {
	io.WriteCloser
	answer *bufio.Reader
	worker int // its pid
}

// cut is a held connection that ended before its time.
type cut struct {
	Worker int           // its pid
	At     time.Duration // CLOCK_MONOTONIC
}

// holdOn keeps uploads under way until the end.
func (c *clients) holdOn(ctx context.Context) {
	var all []*held
	for ctx.Err() == nil {
		began := now()
		h, worker, err := c.begin()
		if ctx.Err() != nil {
			break
		}
		c.made(began, worker, err)
		if h != nil {
			all = append(all, h)
			go c.await(ctx, h)
		}
		if len(all) > heldAtMost {
			io.WriteString(all[0], "x") // await reads the answer
			all = all[1:]
		}
		select {
		case <-ctx.Done():
		case <-time.After(c.hold):
		}
	}
	for _, h := range all {
		h.Close()
	}
}

// begin begins an upload, and tells who has it: "100 Continue" says that somebody
// has. There is none, and no error, where the worker was told to leave just now:
// that closes a connection between two requests.
func (c *clients) begin() (h *held, worker int, err error) {
	conn, err := dial(c.address)
	if err != nil {
		return nil, 0, err
	}
	defer func() {
		if h == nil {
			conn.Close()
		}
	}()
	answer := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: soak\r\n\r\n"); err != nil {
		return nil, 0, err
	}
	response, err := http.ReadResponse(answer, nil)
	if err != nil {
		return nil, 0, err
	}
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, 0, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, 0, errors.New("answered " + response.Status)
	}
	if worker, err = pidIn(string(page)); err != nil || response.Close {
		return nil, worker, err
	}
	line := ""
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: soak\r\nContent-Length: 1\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
	if err == nil {
		line, err = answer.ReadString('\n')
	}
	switch {
	case line == "" && (errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)):
		return nil, worker, nil
	case err != nil:
		return nil, worker, err
	case !strings.Contains(line, " 100 "):
		return nil, worker, fmt.Errorf("answered %q", line)
	}
	conn.SetDeadline(time.Time{})
	return &held{conn, answer, worker}, worker, nil
}

// await waits for the end of an upload. One that was cut before has lost its
// worker, or was drained.
func (c *clients) await(ctx context.Context, h *held) {
	defer h.Close()
	text, _ := io.ReadAll(h.answer)
	at := now()
	if ctx.Err() != nil || strings.Contains(string(text), " 200 ") {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Cuts = append(c.report.Cuts, cut{h.worker, at})
}
