package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Every so often a client begins an upload and leaves it half done, which keeps
// the worker that has it. Of so many the oldest is then brought to its end.
const (
	holdEvery  = 700 * time.Millisecond
	heldAtMost = 10
)

// held is one upload.
type held struct {
	io.WriteCloser
	answer *bufio.Reader
}

// holdOn keeps uploads under way until the end.
func (c *clients) holdOn(ctx context.Context) {
	var all []*held
	for ctx.Err() == nil {
		began := now()
		h, err := c.begin()
		if ctx.Err() != nil {
			break
		}
		c.made(began, 0, err)
		if err == nil {
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

// begin begins an upload. "100 Continue" says that a worker has it.
func (c *clients) begin() (*held, error) {
	conn, err := dial(c.address)
	if err != nil {
		return nil, err
	}
	h := &held{WriteCloser: conn, answer: bufio.NewReader(conn)}
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: soak\r\nContent-Length: 1\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
	if err == nil {
		var line string
		if line, err = h.answer.ReadString('\n'); err == nil && !strings.Contains(line, " 100 ") {
			err = fmt.Errorf("answered %q", line)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return h, nil
}

// await waits for the end of an upload. One that was cut before has lost its
// worker.
func (c *clients) await(ctx context.Context, h *held) {
	defer h.Close()
	text, _ := io.ReadAll(h.answer)
	if ctx.Err() != nil || strings.Contains(string(text), " 200 ") {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Cut++
}
