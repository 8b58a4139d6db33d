package inspect

import (
	"fmt"
	"strings"
	"testing"
)

const realStatus = "Name:\thaproxy\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t8346\nNgid:\t0\nPid:\t8346\nPPid:\t8343\n" +
	"TracerPid:\t0\nUid:\t0\t102\t0\t102\nGid:\t104\t104\t104\t104\nFDSize:\t64\nGroups:\t104\nNStgid:\t8346\t12\n" +
	"NSpid:\t8346\t12\nVmPeak:\t  102832 kB\nThreads:\t2\nSigQ:\t0/95964\nSigPnd:\t0000000000000000\n" +
	"ShdPnd:\t0000000000000000\nSigBlk:\t0000000000000800\nSigIgn:\t0000000004001800\nSigCgt:\t0000000100702205\n" +
	"CapInh:\t0000000000000000\nSeccomp:\t0\n"

func TestParseStatus(t *testing.T) {
	masks := SignalMasks{Blocked: 0x800, Ignored: 0x4001800, Caught: 0x100702205}
	for _, c := range []struct {
		name string
		text string
		want status
	}{
		{"a worker of a container: the pid it has in there", realStatus, status{12, 64, masks}},
		{"a kernel without PID namespaces", strings.Replace(realStatus, "NSpid:\t8346\t12\n", "", 1), status{8346, 64, masks}},
		{"a name that the kernel escaped", strings.Replace(realStatus, "\thaproxy", `\tx\nSigCgt:\t0`, 1), status{12, 64, masks}},
		{"a name that is a key", strings.Replace(realStatus, "\thaproxy", "\tPid:\t7", 1), status{12, 64, masks}},
		{"a line that is a key without a value", strings.Replace(realStatus, "Umask", "SigCgt\nUmask", 1), status{12, 64, masks}},
		{"a key twice: the first counts", realStatus + "SigCgt:\t0000000000000000\n", status{12, 64, masks}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseStatus([]byte(c.text))
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestParseStatusRefuses(t *testing.T) {
	without := func(key string) string {
		var kept strings.Builder
		for line := range strings.Lines(realStatus) {
			if !strings.HasPrefix(line, key+":") {
				kept.WriteString(line)
			}
		}
		return kept.String()
	}
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"no descriptor slots: no look could be known to be whole", without("FDSize")},
		{"no number of descriptor slots", without("FDSize")},
		{"no blocked signals", without("SigBlk")},
		{"no ignored signals", without("SigIgn")},
		{"no caught signals", without("SigCgt")},
		{"neither NSpid nor Pid", strings.Replace(without("NSpid"), "\nPid:\t8346", "", 1)},
		{"a mask cut short", strings.Replace(realStatus, "0000000100702205", "00000001007022", 1)},
		{"a file cut within its last mask", realStatus[:strings.Index(realStatus, "702205")+6]},
		{"a mask that is no number", strings.Replace(realStatus, "0000000100702205", "000000010070220g", 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := parseStatus([]byte(c.text)); err == nil {
				t.Errorf("got %+v, want an error", got)
			}
		})
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(realStatus))
	f.Add([]byte("Name:\tPid:\nPid:\t1\n"))
	f.Add([]byte("Pid:\nNSpid:\n\n:\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStatus(b)
		if err != nil {
			return
		}
		again := fmt.Sprintf("NSpid:\t%d\nFDSize:\t%d\nSigBlk:\t%016x\nSigIgn:\t%016x\nSigCgt:\t%016x\n",
			s.nspid, s.fdSize, s.masks.Blocked, s.masks.Ignored, s.masks.Caught)
		if got, err := parseStatus([]byte(again)); err != nil || got != s {
			t.Errorf("%+v, written and read again: %+v, %v", s, got, err)
		}
	})
}
