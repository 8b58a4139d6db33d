package inspect

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// configuration.txt, "Quoting and escaping".
func TestALineIsSplitAsHAProxyDoes(t *testing.T) {
	for line, want := range map[string][]string{
		"":              nil,
		" \t\v\f ":      nil,
		"a  b\tc\vd\fe": {"a", "b", "c", "d", "e"},
		"a b # c":       {"a", "b"},
		"a\nb":          {"a"},
		"a\x00b":        {"a"},
		`a\ b`:          {"a b"},
		`a\#b`:          {"a#b"},
		`a\\b`:          {`a\b`},
		`\"a\'`:         {`"a'`},
		`\$A`:           {"$A"},
		`a\nb`:          {`a\nb`},
		`a\`:            {`a\`},
		`\`:             {`\`},
		`"a b"c 'd "e'`: {"a bc", `d "e`},
		`"a\"b" "\ "`:   {`a"b`, " "},
		`'a\ b\'`:       {`a\ b\`},
		`'' ""`:         {"", ""},
		`"a#b" '#'`:     {"a#b", "#"},
	} {
		words, ok := configWords(line)
		if diff := cmp.Diff(want, words, cmpopts.EquateEmpty()); diff != "" || !ok {
			t.Errorf("%q, ok %v (-want +got):\n%s", line, ok, diff)
		}
	}
	for line, want := range map[string][]string{`a "b`: {"a", "b"}, `a 'b c`: {"a", "b c"}, `"`: {""}} {
		words, ok := configWords(line)
		if diff := cmp.Diff(want, words); diff != "" || ok {
			t.Errorf("%q, ok %v (-want +got):\n%s", line, ok, diff)
		}
	}
}
