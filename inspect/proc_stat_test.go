package inspect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const realStat = "8346 (haproxy) S 8343 8343 8300 0 -1 4194624 310 0 0 0 2 1 0 0 20 0 2 0 11935213 " +
	"105299968 2432 18446744073709551615 1 1 0 0 0 0 0 5255169 7348741 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

func TestParseStat(t *testing.T) {
	fields := strings.SplitAfterN(realStat, ") ", 2)[1]
	for _, c := range []struct {
		name string
		text string
		want stat
	}{
		{"a worker", realStat, stat{8346, "haproxy", 'S', 8343, 8300, false, true, 2, 11935213}},
		{"a name that plays another process", "8346 (a) Z 1 1 (hap) " + fields, stat{8346, "a) Z 1 1 (hap", 'S', 8343, 8300, false, true, 2, 11935213}},
		{"a name that ends in parentheses", "8346 (()))) " + fields, stat{8346, "()))", 'S', 8343, 8300, false, true, 2, 11935213}},
		{"a name with newlines", "8346 (a\nb) " + fields, stat{8346, "a\nb", 'S', 8343, 8300, false, true, 2, 11935213}},
		{"one that is exiting", strings.Replace(realStat, "-1 4194624 ", "-1 4194628 ", 1), stat{8346, "haproxy", 'S', 8343, 8300, true, true, 2, 11935213}},
		{"one that has executed its program itself", strings.Replace(realStat, "-1 4194624 ", "-1 4194560 ", 1), stat{8346, "haproxy", 'S', 8343, 8300, false, false, 2, 11935213}},
		{"an empty name", "8346 () " + fields, stat{8346, "", 'S', 8343, 8300, false, true, 2, 11935213}},
		{"a parent outside of our PID namespace", strings.Replace(realStat, "S 8343", "S 0", 1), stat{8346, "haproxy", 'S', 0, 8300, false, true, 2, 11935213}},
		{"fields that a newer kernel adds", strings.TrimSuffix(realStat, "\n") + " 7 8 9\n", stat{8346, "haproxy", 'S', 8343, 8300, false, true, 2, 11935213}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseStat([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(stat{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseStatRefuses(t *testing.T) {
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"no name", "8346 S 8343"},
		{"a name without an end", "8346 (haproxy S 8343"},
		{"parentheses in the wrong order", "8346 )haproxy( S 8343 8343 8300 0 -1 1 1 0 0 0 2 1 0 0 20 0 2 0 119 1 2"},
		{"no pid", strings.TrimPrefix(realStat, "8346 ")},
		{"a negative pid", "-" + realStat},
		{"a pid beyond any", "9" + strings.Replace(realStat, "8346", "99999999999", 1)},
		{"a state of two letters", strings.Replace(realStat, ") S ", ") SS ", 1)},
		{"a state that is no letter", strings.Replace(realStat, ") S ", ") \xfa ", 1)},
		{"a parent that is no number", strings.Replace(realStat, "S 8343", "S x", 1)},
		{"a session that is no number", strings.Replace(realStat, "8343 8300", "8343 -", 1)},
		{"flags that are no number", strings.Replace(realStat, "4194624", "4194624x", 1)},
		{"a start time that is no number", strings.Replace(realStat, "11935213", "-1", 1)},
		{"a start time beyond 64 bits", strings.Replace(realStat, "11935213", "99999999999999999999", 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := parseStat([]byte(c.text)); err == nil {
				t.Errorf("got %+v, want an error", got)
			}
		})
	}
}

// proc(5) has states of either case; what stands next to the letters is none.
func TestAStateIsALetter(t *testing.T) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for c := range 256 {
		if want := strings.IndexByte(letters, byte(c)) >= 0; isLetter(byte(c)) != want {
			t.Errorf("%q: got %v", byte(c), !want)
		}
	}
}

// A file that ends too early must not turn one start time into another.
func TestParseStatNeverReadsACutNumber(t *testing.T) {
	want, err := parseStat([]byte(realStat))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(realStat) {
		got, err := parseStat([]byte(realStat[:n]))
		if err == nil && got != want {
			t.Errorf("cut after %d bytes: got %+v, want %+v or an error", n, got, want)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(realStat))
	f.Add([]byte("1 (a) Z 1 1 (hap) S 2"))
	f.Add([]byte("1 ()"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStat(b)
		if err != nil {
			return
		}
		flags := 0
		if s.exiting {
			flags = flagExiting
		}
		if s.forked {
			flags |= flagForkNoExec
		}
		again := fmt.Sprintf("%d (%s) %c %d 0 %d 0 0 %d 0 0 0 0 0 0 0 0 0 0 %d 0 %d 0\n",
			s.pid, s.comm, s.state, s.ppid, s.session, flags, s.threads, s.startTicks)
		got, err := parseStat([]byte(again))
		if err != nil || got != s {
			t.Errorf("%+v, written and read again: %+v, %v", s, got, err)
		}
	})
}
