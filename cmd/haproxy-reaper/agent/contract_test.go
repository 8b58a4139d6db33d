package agent

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/haproxy-reaper/haproxy-reaper/reaper"
)

// A user who reads the README finds every flag, every reason and every role.
func TestREADMETellsEveryWordOfTheContract(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(text)
	for _, w := range contractWords() {
		if !strings.Contains(readme, "`"+w+"`") {
			t.Errorf("no `%s` in the README", w)
		}
	}
}

// contractWords is every word that scripts, dashboards and configuration files
// are written with.
func contractWords() []string {
	var words []string
	new(config).flags().VisitAll(func(f *pflag.Flag) { words = append(words, "--"+f.Name) })
	for _, c := range commands() {
		words = append(words, c.name)
	}
	for _, r := range reaper.Roles {
		words = append(words, string(r))
	}
	for _, r := range slices.Sorted(maps.Keys(reasonWords)) {
		words = append(words, string(r))
	}
	return words
}
