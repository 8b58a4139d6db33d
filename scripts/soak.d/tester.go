package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
)

// tester lets the soak boot a machine as the tests do: it is a testing.TB as far
// as that asks for one. Fatal is for the goroutine of run alone.
type tester struct {
	testing.TB // for what is not to be implemented
	ctx        context.Context
	cleanups   []func()
	failed     bool
}

func newTester(ctx context.Context) *tester { return &tester{ctx: ctx} }

// run runs f and then, whatever became of it, what it has asked to be cleaned
// up, last first. It returns whether all was well.
func (t *tester) run(f func(*tester)) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, clean := range slices.Backward(t.cleanups) {
				clean()
			}
		}()
		f(t)
	}()
	<-done
	return !t.failed
}

func (t *tester) Helper()                  {}
func (t *tester) Name() string             { return "soak" }
func (t *tester) Context() context.Context { return t.ctx }
func (t *tester) Failed() bool             { return t.failed }
func (t *tester) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }

func (t *tester) Logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "soak: "+format+"\n", args...)
}

func (t *tester) Error(args ...any) {
	t.failed = true
	fmt.Fprintln(os.Stderr, append([]any{"soak:"}, args...)...)
}

func (t *tester) Errorf(format string, args ...any) { t.Error(fmt.Sprintf(format, args...)) }

func (t *tester) Fatal(args ...any) {
	t.Error(args...)
	runtime.Goexit()
}

func (t *tester) Fatalf(format string, args ...any) { t.Fatal(fmt.Sprintf(format, args...)) }
