package reaper_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
	"github.com/haproxy-reaper/haproxy-reaper/reaper"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// Bytes from outside, and a whole pass over one of the hosts of the fault sweep:
// whatever they are, nobody is signalled who is not residual.

const fuzzBoot = "6f6a7e5c-1d3b-4c22-9a52-0e1f00000001" // of ordinary

// hostOf picks a host by a number that the fuzzer chooses.
func hostOf(worlds []faultWorld, n byte) faultWorld { return worlds[int(n)%len(worlds)] }

// passOver makes a pass, and fails on a wrong signal or a descriptor left open.
func passOver(t *testing.T, w faultWorld, k *kernel, deadline time.Duration, memory judge.Memory) {
	t.Helper()
	h := inspect.NewHost(k, []string{"haproxy"})
	p := &reaper.Pass{
		Host: h, Terminator: reaper.Signaller{Host: h}, Timing: w.timing, MasterSocket: w.socket,
		Policy: judge.Policy{Deadline: deadline}, Memory: memory,
	}
	_, _ = p.Run(context.Background())
	h.Close()
	if k.wrong > 0 {
		t.Errorf("%s: %s", w.name, strings.Join(k.history, "; "))
	}
	if n := k.World.Open(); n > 0 {
		t.Errorf("%s: %d descriptors were left open", w.name, n)
	}
}

func FuzzNoStateSignalsAnybodyWhoIsNotResidual(f *testing.F) {
	worlds := faultWorlds()
	for n := range len(worlds) {
		f.Add(byte(n), []byte(`{"version":1,"boot_id":"`+fuzzBoot+`","memory":{"101@66000":{"Residual":1},"102@180000":{"Residual":1800000000001,"Stranded":true},`+
			`"100@60000":{"Residual":600000000001},"103@360000":{"Residual":3600000000000,"Superseded":1,"Signals":["SIGTERM","SIGKILL"]}},"counters":{}}`))
	}
	f.Fuzz(func(t *testing.T, n byte, content []byte) {
		w := hostOf(worlds, n)
		k := w.build()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "state.json"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		// Damaged, of another boot or true: the pass goes on with what is returned.
		state, _ := state.Load(dir, fuzzBoot, k.World.Now(), k.World.Boottime())
		passOver(t, w, k, 20*time.Minute, state.Memory)
	})
}

func FuzzNoStrangerAddsASignal(f *testing.F) {
	worlds := faultWorlds()
	for n := range len(worlds) {
		f.Add(byte(n), []byte("haproxy\x00-sf\x00101\x00102\x00-f\x00/etc/haproxy.cfg\x00"), "haproxy", "/system.slice/haproxy.service", fakehost.WorkerMasks.Caught, uint64(0), uint16(100), true)
	}
	f.Fuzz(func(t *testing.T, n byte, cmdline []byte, comm, cgroup string, caught, blocked uint64, age uint16, listens bool) {
		w := hostOf(worlds, n)
		k := w.build()
		p := fakehost.Proc{
			PID: 900, PPID: 1, UID: 5001, Ticks: k.now() - min(uint64(age), k.now()-1), Comm: comm, Cgroup: cgroup,
			Args: strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00"), Masks: inspect.SignalMasks{Caught: caught, Blocked: blocked},
		}
		if listens {
			p.Sockets = []fakehost.Socket{fakehost.Listen(443)}
		}
		k.World.Start(p)
		passOver(t, w, k, 0, nil)
	})
}

func FuzzNoAnswerOfAMasterCLIAddsASignal(f *testing.F) {
	const table = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n100             master          0               0d01h00m00s     2.6.12\n# workers\n"
	info := []byte("Name: HAProxy\nPid: 101\nStopping: 1\nCurrConns: 7\n\n")
	worlds := faultWorlds()
	for n := range len(worlds) {
		f.Add(byte(n), []byte(table+"102             worker          0               0d00h10m00s     2.6.12\n\n"), info)
	}
	f.Fuzz(func(t *testing.T, n byte, table, info []byte) {
		w := hostOf(worlds, n)
		w.socket = ""
		dress := w.dress
		w.dress = func(h host, b body, p *fakehost.Proc) {
			if dress != nil {
				dress(h, b, p)
			}
			answering(h, b, p)
			for command := range p.CLI {
				p.CLI[command] = string(info)
			}
			if p.CLI != nil {
				p.CLI["show proc"] = string(table)
			}
		}
		passOver(t, w, w.build(), 0, nil)
	})
}
