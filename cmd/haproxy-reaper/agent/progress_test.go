package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/fixture"
)

// onScreen is what a terminal shows after these bytes: a line is what comes after
// its last clearing.
func onScreen(written string) []string {
	var lines []string
	for line := range strings.Lines(written) {
		lines = append(lines, line[strings.LastIndex(line, clearLine)+1:])
	}
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], clearLine[1:])
	}
	return lines
}

func TestProgressAndLogDoNotStandInEachOthersLines(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(&out)
	p.terminal = true
	p.drained("web.service", 1, 3)
	p.drained("api.service", 5, 90)
	if _, err := p.Write([]byte("level=INFO msg=draining\n")); err != nil {
		t.Fatal(err)
	}
	p.drained("web.service", 3, 3)
	p.drained("api.service", 6, 90)
	want := []string{"level=INFO msg=draining\n", "draining api.service: 6 of 90 client connections"}
	if got := onScreen(out.String()); strings.Join(got, "") != strings.Join(want, "") {
		t.Errorf("the screen shows %q, want %q", got, want)
	}
	p.end()
	if got := onScreen(out.String()); got[len(got)-1] != "" {
		t.Errorf("at its end the line still says %q", got[len(got)-1])
	}
}

func TestProgressIsForTerminalsAlone(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := newProgress(file)
	p.drained("web.service", 1, 3)
	p.end()
	if b, err := os.ReadFile(file.Name()); err != nil || len(b) > 0 {
		t.Errorf("it wrote %q, %v", b, err)
	}
	if p.log() != file {
		t.Error("what is logged does not go to the file itself")
	}
	_, terminal := fixture.Terminal(t)
	if p := newProgress(terminal); !p.terminal || p.log() != p {
		t.Error("a terminal is not known for one")
	}
}
