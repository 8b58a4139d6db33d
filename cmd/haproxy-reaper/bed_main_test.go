package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain makes one binary of five programs, told apart by the name they were
// started under: the tests, the agent itself (so that -race and coverage hold
// for it as the tests run it), the init of a bed, the agent with a test before its
// system calls, and the agent with some of them refused.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case bedInitName:
		bedInit()
	case bedCallsName:
		bedCalls()
	case bedRefusedName:
		bedRefused()
	}
	testscript.Main(testRun{m}, map[string]func(){"haproxy-reaper": main})
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
