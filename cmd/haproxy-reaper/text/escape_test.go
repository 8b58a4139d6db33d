package text

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEscapeLeavesWhatPrints(t *testing.T) {
	for in, want := range map[string]string{
		"haproxy.service":          "haproxy.service",
		`dev-disk\x2dlabel.device`: `dev-disk\x2dlabel.device`,
		"/etc/größe.cfg":           "/etc/größe.cfg",
		"":                         "",
		"a\nb":                     `a\nb`,
		"\x1b[31mred":              `\x1b[31mred`,
		"a\x00b\x7f":               `a\x00b\x7f`,
		"\u202egpj.exe":            `\u202egpj.exe`,
		"\xff\xfe":                 `\xff\xfe`,
		"\ufffd":                   "\ufffd",
		`say "x" 'y'`:              `say "x" 'y'`,
		"no\u00a0break":            `no\u00a0break`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzEscapedTextPrints(f *testing.F) {
	f.Add("a\x1b\xff\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		got := Escape(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q comes out as %q", s, got)
		}
	})
}

func FuzzWrappedTextKeepsToItsColumns(f *testing.F) {
	f.Add("haproxy.service (master-worker): active confirmed")
	f.Add(strings.Repeat("x", 300) + " " + strings.Repeat("y ", 60))
	f.Fuzz(func(t *testing.T, text string) {
		got := Wrap("", "    ", Escape(text))
		for line := range strings.SplitSeq(got, "\n") {
			if n := utf8.RuneCountInString(line); n > Columns {
				t.Errorf("%d columns: %q", n, line)
			}
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if squeeze(got) != squeeze(Escape(text)) {
			t.Errorf("%q lost something: %q", text, got)
		}
	})
}
