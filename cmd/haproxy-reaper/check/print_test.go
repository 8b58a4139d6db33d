package check

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// faulty is a host on which something is wrong, in the words of the golden files.
func faulty() Facts {
	return preflightOf(func(p *Facts, f *instanceFacts) {
		f.changed = inspect.TicksToBoottime(6500)
		f.service.KillMode = "process"
		p.Report.Instances[0].Processes[2].Args = []string{"haproxy"}
	})
}

func TestCheckPrintsAsPublished(t *testing.T) {
	r := Judge(faulty())
	words := Text(&r)
	fixture.Golden(t, "testdata/check.txt", words)
	document, err := text.JSON(&r)
	if err != nil {
		t.Fatal(err)
	}
	fixture.Golden(t, "testdata/check.json", string(document))
	for line := range strings.Lines(words) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > text.Columns {
			t.Errorf("%d columns in %q", n, line)
		}
	}
}

func TestCheckEscapesWhatItWasTold(t *testing.T) {
	p := faulty()
	p.Report.Instances[0].Name = "a\x1b[2Jb\nc"
	f := p.instances["haproxy.service"]
	f.config.Settings.HardStopAfter.Value = "\x1b]0;x\a"
	f.unitErr = fmt.Errorf("\u202e")
	p.instances = map[string]instanceFacts{"a\x1b[2Jb\nc": f}
	r := Judge(p)
	words := Text(&r)
	if strings.ContainsAny(words, "\x1b\a\u202e") || !strings.Contains(words, `a\x1b[2Jb\nc`) {
		t.Errorf("%q", words)
	}
	document, err := text.JSON(&r)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(document, &r); err != nil {
		t.Error(err)
	}
}
