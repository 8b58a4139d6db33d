package agent

import (
	"os"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
)

// A user who reads the README finds every command and every flag.
func TestREADMETellsEveryCommandAndFlag(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, f := range flags.Table() {
		words = append(words, "--"+f.Name)
	}
	for _, c := range commands() {
		words = append(words, c.name)
	}
	for _, w := range words {
		if !strings.Contains(string(readme), "`"+w+"`") {
			t.Errorf("no `%s` in the README", w)
		}
	}
}
