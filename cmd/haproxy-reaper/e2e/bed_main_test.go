package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// TestMain makes one binary of five programs, told apart by the name they were
// started under: the tests, the agent itself (so that -race and coverage hold
// for it as the tests run it), the init of a bed, the agent with a test before its
// system calls, the agent with some of them refused, and a flood of connections.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case bedInitName:
		bedInit()
	case bedCallsName:
		bedCalls()
	case bedRefusedName:
		bedRefused()
	case bedFloodName:
		bedFlood()
	}
	testscript.Main(testRun{m}, map[string]func(){"haproxy-reaper": func() { os.Exit(agent.Main(dropWhereGoCan)) }})
}

// dropWhereGoCan lets serve keep its capabilities in a test binary with cgo: the
// race detector needs cgo, and Go cannot drop them there. What the agent itself
// does is tested with builds of its own.
func dropWhereGoCan() error {
	if err := inspect.DropEffectiveCapabilities(); !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}

// testRun is testing.M that also fails when a goroutine outlives the tests.
type testRun struct{ m *testing.M }

func (r testRun) Run() int {
	// A bed spends nearly all of its time waiting, so four at a time do well
	// on two cores.
	flag.Parse()
	if runtime.GOMAXPROCS(0) < 4 {
		flag.Set("test.parallel", "4")
	}
	code := r.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
