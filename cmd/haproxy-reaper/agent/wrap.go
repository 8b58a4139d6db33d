package agent

import (
	"strings"
	"unicode/utf8"
)

// columns is the width that everything but the one-line sentences keeps to.
const columns = 100

// wrap breaks a text into lines of at most columns, each after the first
// beginning with indent, at spaces where there are any.
func wrap(first, indent, text string) string {
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
			room := columns - utf8.RuneCountInString(line) - space
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
