package inspect

import "strings"

// configWords splits a line of a configuration as HAProxy does (configuration.txt,
// "Quoting and escaping"), up to a comment. Variables stay as they are written.
// It is not ok when a quote is left open; the words before it still count.
func configWords(line string) (words []string, ok bool) {
	var word strings.Builder
	var quote byte
	inWord := false
	end := func() {
		if inWord {
			words = append(words, word.String())
		}
		word.Reset()
		inWord = false
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\n' || c == '\r' || c == 0:
			end()
			return words, quote == 0
		case quote == 0 && c == '#':
			end()
			return words, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\v' || c == '\f'):
			end()
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != '\'' && c == '\\' && i+1 < len(line) && strings.IndexByte(` \#'"$`, line[i+1]) >= 0:
			i++
			word.WriteByte(line[i])
			inWord = true
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	end()
	return words, quote == 0
}
