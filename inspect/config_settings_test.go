package inspect

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestSettingsOfAConfiguration(t *testing.T) {
	at := func(line int, value string) *Setting { return &Setting{File: "f", Line: line, Value: value} }
	under := func(line int, value string) *Setting {
		return &Setting{File: "f", Line: line, Value: value, Conditional: true}
	}
	for _, c := range []struct {
		name string
		cfg  string
		want Settings
	}{
		{"none", "global\n  daemon\n", Settings{}},
		{"nothing at all", "", Settings{}},
		{"each of them", "global\n\thard-stop-after 30m\n grace 5s\n mworker-max-reloads 3\n stats socket /a mode 600 expose-fd listeners level admin\n",
			Settings{at(2, "30m"), at(3, "5s"), at(4, "3"), at(5, "socket")}},
		{"a later line replaces an earlier one", "hard-stop-after 1h\nhard-stop-after 2h", Settings{HardStopAfter: at(2, "2h")}},
		{"comments and quotes", "# hard-stop-after 1h\n\"hard-stop-after\" '2h' # 3h\n", Settings{HardStopAfter: at(2, "2h")}},
		{"a keyword that only begins so", "hard-stop-after-all 1h\n", Settings{}},
		{"a line without a value", "hard-stop-after\n", Settings{HardStopAfter: at(1, "")}},
		{"within a condition, and a nested one", ".if feature(X)\n.if feature(Y)\n.endif\nhard-stop-after 1h\n.else\nmworker-max-reloads 1\n.endif\ngrace 1s",
			Settings{under(4, "1h"), at(8, "1s"), under(6, "1"), nil}},
		{"behind an end too many", ".endif\nhard-stop-after 1h", Settings{HardStopAfter: at(2, "1h")}},
		{"within a condition behind an end too many", ".endif\n.if 1\nhard-stop-after 1h", Settings{HardStopAfter: under(3, "1h")}},
		{"a stats socket that exposes nothing", "stats socket /a\nstats socket /b expose-fd\nstats socket /c listeners\nstats timeout expose-fd listeners\nstats\n", Settings{}},
		{"one of two stats sockets", "stats socket /a expose-fd listeners\nstats socket /b\n", Settings{ExposeFD: at(1, "socket")}},
		{"a stats socket under a condition does not hide one that is not", "stats socket /a expose-fd listeners\n.if 1\nstats socket /b expose-fd listeners\n.endif", Settings{ExposeFD: at(1, "socket")}},
		{"a stats socket under a condition, and one that is not", ".if 1\nstats socket /b expose-fd listeners\n.endif\nstats socket /a expose-fd listeners\n", Settings{ExposeFD: at(4, "socket")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got Settings
			if err := got.parseSettings("f", strings.NewReader(c.cfg)); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Of a line of any length the beginning is looked at, and no part of it is taken for
// a line of its own.
func TestALongLineIsOneLine(t *testing.T) {
	long := strings.Repeat("x", 3*maxLine)
	cfg := "hard-stop-after 1h " + long + "\n" + strings.Repeat(" ", maxLine) + "grace 1s\nmworker-max-reloads 3\n#" + long
	for name, read := range map[string]io.Reader{"at once": strings.NewReader(cfg), "byte by byte": iotest.OneByteReader(strings.NewReader(cfg))} {
		var got Settings
		err := got.parseSettings("f", read)
		want := Settings{HardStopAfter: &Setting{File: "f", Line: 1, Value: "1h"}, MaxReloads: &Setting{File: "f", Line: 3, Value: "3"}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v, (-want +got)\n%s", name, err, diff)
		}
	}
}

// 30m that is cut short is 3.
func TestOfALineThatIsCutShortNothingCounts(t *testing.T) {
	var got Settings
	err := got.parseSettings("f", io.MultiReader(strings.NewReader("grace 1s\nhard-stop-after 3"), iotest.ErrReader(unix.EIO)))
	if err != unix.EIO || got.HardStopAfter != nil || got.Grace == nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTimesAsHAProxyWritesThem(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "5000": 5 * time.Second, "7us": 7 * time.Microsecond, "7ms": 7 * time.Millisecond,
		"30s": 30 * time.Second, "30m": 30 * time.Minute, "2h": 2 * time.Hour, "1d": 24 * time.Hour, "106751d": 106751 * 24 * time.Hour,
	} {
		if got, ok := (Setting{Value: text}).Duration(); !ok || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "m", "1h30m", "-1s", "1.5s", "1w", "1sm", "${TIME}", "99999999999d", "106752d", "4294967295d", "1 s"} {
		if got, ok := (Setting{Value: text}).Duration(); ok {
			t.Errorf("%q is %v, want no time", text, got)
		}
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte("global\n hard-stop-after 30m\n stats socket /x expose-fd listeners\n.if 1\n grace \"5s\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got Settings
		if err := got.parseSettings("f", io.MultiReader(bytes.NewReader(b), strings.NewReader("\nhard-stop-after 30m\n"))); err != nil {
			t.Error(err)
		}
		if got.HardStopAfter == nil || got.HardStopAfter.Value != "30m" {
			t.Errorf("the last line does not count: %+v", got.HardStopAfter)
		}
		for _, s := range []*Setting{got.HardStopAfter, got.Grace, got.MaxReloads, got.ExposeFD} {
			if s != nil {
				s.Count()
				if d, ok := s.Duration(); ok && d < 0 {
					t.Errorf("%q is %v", s.Value, d)
				}
			}
		}
	})
}

func TestCountsAsHAProxyWritesThem(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "3": 3, "2147483647": 2147483647} {
		if got, ok := (Setting{Value: text}).Count(); !ok || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "-1", "3.5", "three", "2147483648"} {
		if got, ok := (Setting{Value: text}).Count(); ok {
			t.Errorf("%q is %v, want no number", text, got)
		}
	}
}
