package inspect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMasterCLIOfARealHAProxy asks a master about its workers before and after a
// reload, with one connection held, so that the old worker stays.
func TestMasterCLIOfARealHAProxy(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	backend := listen(t, "tcp", "127.0.0.1:0").(*net.TCPListener)
	if deadline, ok := ctx.Deadline(); ok {
		_ = backend.SetDeadline(deadline)
	}
	free := listen(t, "tcp", "127.0.0.1:0")
	frontend := free.Addr().String()
	free.Close()
	cli, master := startHAProxy(t, frontend, backend.Addr().String())

	before := procWhen(t, ctx, cli, func(p procTable) bool { return len(p.current) == 1 })
	first := before.current[0]
	want := procTable{master: master.Pid, current: []int{first}}
	if diff := cmp.Diff(want, before, compareProcTables); diff != "" {
		t.Errorf("before the reload: %s", diff)
	}

	client := dialWhenUp(t, ctx, frontend)
	defer client.Close()
	server, err := backend.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	info, err := cli.info(ctx, first)
	if err != nil || info.Stopping || info.CurrConns != 1 || info.ConnRate < 0 {
		t.Errorf("current worker: got %+v, %v, want one connection and not stopping", info, err)
	}

	if err := master.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	after := procWhen(t, ctx, cli, func(p procTable) bool {
		return len(p.current) == 1 && !slices.Contains(p.current, first)
	})
	want = procTable{master: master.Pid, current: after.current, old: []int{first}}
	if diff := cmp.Diff(want, after, compareProcTables); diff != "" {
		t.Errorf("after the reload: %s", diff)
	}
	// It is listed as old an instant before it has handled the signal.
	for info = (CLIAnswer{}); !info.Stopping; poll(t, ctx) {
		if info, err = cli.info(ctx, first); err != nil {
			t.Fatal(err)
		}
	}
	if info.CurrConns != 1 {
		t.Errorf("old worker: got %d connections, want 1", info.CurrConns)
	}
	info, err = cli.info(ctx, after.current[0])
	if err != nil || info.Stopping || info.CurrConns != 0 {
		t.Errorf("new worker: got %+v, %v, want no connection and not stopping", info, err)
	}
	if got, err := cli.info(ctx, os.Getpid()); err == nil {
		t.Errorf("a process that is none of the master's: got %+v, want an error", got)
	}
}

// startHAProxy starts a master with a CLI; it ends with the test. The port of
// frontend was free a moment ago.
func startHAProxy(t *testing.T, frontend, backend string) (realCLI, *os.Process) {
	t.Helper()
	// t.TempDir can be too long for a unix socket.
	dir, err := os.MkdirTemp("", "reaper")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := filepath.Join(dir, "haproxy.cfg")
	text := fmt.Sprintf(`
defaults
	mode tcp
	timeout connect 10s
	timeout client 10m
	timeout server 10m
listen test
	bind %s
	server backend %s
`, frontend, backend)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "master.sock")
	var log bytes.Buffer
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program = "/usr/sbin/haproxy" // not everybody has that in PATH
	}
	cmd := exec.Command(program, "-W", "-S", socket+",mode,600", "-f", config)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &log, &log, 5*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs HAProxy: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("HAProxy said:\n%s", log.Bytes())
		}
	})
	return realCLI{socket}, cmd.Process
}

// realCLI is a master's socket, asked over a new connection each time.
type realCLI struct{ path string }

func (r realCLI) open(ctx context.Context) (*masterCLI, error) {
	conn, err := (Linux{}).Dial(ctx, "unix", r.path)
	if err != nil {
		return nil, err
	}
	return newMasterCLI(ctx, conn, cliPlace{}), nil
}

func (r realCLI) proc(ctx context.Context) (procTable, error) {
	cli, err := r.open(ctx)
	if err != nil {
		return procTable{}, err
	}
	defer cli.close()
	text, err := cli.ask("show proc", maxAnswer)
	if err != nil {
		return procTable{}, err
	}
	return parseShowProc(text)
}

func (r realCLI) info(ctx context.Context, nspid int) (CLIAnswer, error) {
	cli, err := r.open(ctx)
	if err != nil {
		return CLIAnswer{}, err
	}
	defer cli.close()
	answer, err := cli.info(nspid)
	return answer, errors.Join(err, cli.quit())
}

// procWhen asks for the list of processes until it is as wanted: a master of up
// to 3.0 closes its CLI during a reload.
func procWhen(t *testing.T, ctx context.Context, cli realCLI, wanted func(procTable) bool) procTable {
	t.Helper()
	for {
		table, err := cli.proc(ctx)
		if err == nil && wanted(table) {
			return table
		}
		if ctx.Err() != nil {
			t.Fatalf("the master lists %+v, %v", table, err)
		}
		poll(t, ctx)
	}
}

func dialWhenUp(t *testing.T, ctx context.Context, address string) net.Conn {
	t.Helper()
	for {
		c, err := net.Dial("tcp", address)
		if err == nil {
			return c
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		poll(t, ctx)
	}
}

// poll is the pause between two looks at a condition.
func poll(t *testing.T, ctx context.Context) {
	t.Helper()
	if err := (Linux{}).Sleep(ctx, 5*time.Millisecond); err != nil {
		t.Log(err)
	}
}
