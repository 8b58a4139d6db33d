package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// servePasses is how many passes of serve are measured, servedEvery how often
// one is run then, and shippedEvery how often as it ships.
const (
	servePasses  = 40
	servedEvery  = 250 * time.Millisecond
	shippedEvery = 15 * time.Second
)

// serveCost is the CPU of serve and its passes, for each pass and the one scrape
// that comes with it, on a host where nothing is due.
func serveCost(ctx context.Context, s settings, say func(string)) (time.Duration, error) {
	const address = "127.0.0.1:12101"
	state, err := os.MkdirTemp(s.dir, "serve") // its passes are counted from 0
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, s.agent, "serve", "--dry-run", "--deadline", "1h", "--config", "/dev/null", "--log.level", "error",
		"--interval", fmt.Sprintf("%dms", servedEvery.Milliseconds()), "--web.listen-address", address, "--state-dir", state)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	passes := 0
	for next := time.NewTicker(servedEvery); err == nil && passes < servePasses; {
		select {
		case <-next.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if n, failed := scrape("http://" + address + "/metrics"); failed == nil {
			passes = n
		}
		say(fmt.Sprintf("serve: pass %d of %d", passes, servePasses))
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if ended := cmd.Wait(); err == nil {
		err = ended
	}
	// Its children are waited for, so theirs is in it.
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()) / time.Duration(max(passes, 1)), err
}

// scrape asks serve how many passes there were.
func scrape(address string) (passes int, err error) {
	response, err := http.Get(address)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), "haproxy_reaper_runs_total "); found {
			return strconv.Atoi(value)
		}
	}
	return 0, fmt.Errorf("%s: no haproxy_reaper_runs_total", address)
}
