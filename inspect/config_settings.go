package inspect

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"
)

// Settings are those of HAProxy's global section that say how old workers end
// and what they hand over; nil for one that no file has. A later line replaces
// an earlier one, as it does for HAProxy.
type Settings struct {
	HardStopAfter *Setting // hard-stop-after, HAProxy 1.8
	Grace         *Setting // grace, in the global section since 2.5: before the soft stop, and so before hard-stop-after
	MaxReloads    *Setting // mworker-max-reloads, HAProxy 2.0
	ExposeFD      *Setting // a stats socket with "expose-fd listeners", HAProxy 1.8
}

// Setting is one line of a configuration.
type Setting struct {
	File string // as HAProxy was told it
	Line int
	// Value is its first argument as it is written, variables not replaced.
	Value string
	// Conditional lines stand between .if and .endif: whether HAProxy read this
	// one cannot be told from here.
	Conditional bool
}

// Duration is the value as HAProxy takes a time: a number with one unit, in
// milliseconds without (configuration.txt, "Time format"). 0 switches the
// setting off.
func (s Setting) Duration() (time.Duration, bool) {
	digits := strings.TrimRight(s.Value, "umshd")
	unit, known := map[string]time.Duration{
		"": time.Millisecond, "us": time.Microsecond, "ms": time.Millisecond,
		"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
	}[s.Value[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || !known || time.Duration(n) > (1<<63-1)/max(unit, 1) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// Count is the value as a number.
func (s Setting) Count() (int, bool) {
	n, err := strconv.ParseUint(s.Value, 10, 31)
	return int(n), err == nil
}

// maxLine is how many bytes of a line are looked at. HAProxy takes lines of any
// length, and none of these settings needs more.
const maxLine = 64 << 10

// parseSettings lays the settings of one file over those of the files before, and
// returns the error that ended the reading. All of these keywords belong to the
// global section alone, so that sections need not be told apart.
func (all *Settings) parseSettings(file string, cfg io.Reader) error {
	depth, number := 0, 0
	lines := bufio.NewReaderSize(cfg, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err // of a line that was cut short nothing counts
		}
		number++
		words, _ := configWords(string(line))
		all.apply(words, Setting{File: file, Line: number}, &depth)
		for err == bufio.ErrBufferFull {
			_, err = lines.ReadSlice('\n')
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// apply applies one line, of which at is where it stands; depth is how many .if
// are open.
func (all *Settings) apply(words []string, at Setting, depth *int) {
	if len(words) == 0 {
		return
	}
	found := &at
	found.Conditional = *depth > 0
	if len(words) > 1 {
		found.Value = words[1]
	}
	switch words[0] {
	case ".if":
		*depth++
	case ".endif":
		*depth = max(0, *depth-1)
	case "hard-stop-after":
		all.HardStopAfter = found
	case "grace":
		all.Grace = found
	case "mworker-max-reloads":
		all.MaxReloads = found
	case "stats":
		// One such socket is enough, and no other takes it back.
		if exposesListeners(words) && (all.ExposeFD == nil || all.ExposeFD.Conditional) {
			all.ExposeFD = found
		}
	}
}

// exposesListeners tells a line "stats socket ADDRESS ... expose-fd listeners".
func exposesListeners(words []string) bool {
	line := strings.Join(words, "\x00") + "\x00"
	return strings.HasPrefix(line, "stats\x00socket\x00") && strings.Contains(line, "\x00expose-fd\x00listeners\x00")
}
