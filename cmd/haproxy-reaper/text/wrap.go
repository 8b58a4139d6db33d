package text

import (
	"strings"
	"unicode/utf8"
)

// Columns is the width that every line keeps to, but for the one-line sentences.
const Columns = 100

// Wrap breaks a text into lines of at most Columns, at spaces where there are any. The
// first line begins with first, each further line with indent.
func Wrap(first, indent, text string) string {
	var lines []string
	line, empty := first, true
	flush := func() {
		lines = append(lines, strings.TrimRight(line, " "))
		line, empty = indent, true
	}
	for word := range strings.FieldsSeq(text) {
		for {
			space := 0
			if !empty {
				space = 1
			}
			room := Columns - utf8.RuneCountInString(line) - space
			if utf8.RuneCountInString(word) <= room {
				line += strings.Repeat(" ", space) + word
				empty = false
				break
			}
			if !empty {
				flush()
				continue
			}
			head := string([]rune(word)[:room])
			line += head
			word = word[len(head):]
			flush()
		}
	}
	if !empty || len(lines) == 0 {
		flush()
	}
	return strings.Join(lines, "\n")
}
