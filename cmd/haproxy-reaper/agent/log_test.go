package agent

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// journal is a file that JOURNAL_STREAM says is the journal, or is not.
func journal(t *testing.T) (file *os.File, stream string) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "journal"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return file, fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

func environment(stream string) func(string) (string, bool) {
	return func(name string) (string, bool) { return stream, name == "JOURNAL_STREAM" && stream != "" }
}

func TestOnAJournalEachLineHasItsPriorityAndNoTime(t *testing.T) {
	file, stream := journal(t)
	log := newLogger(file, environment(stream), "debug", "text").With("instance", "haproxy.service")
	log.Debug("a")
	log.Info("b")
	log.WithGroup("g").Warn("c", "pid", 7)
	log.Error("d", "error", "x\ny")
	log.Log(t.Context(), slog.LevelInfo+1, "e")
	got, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := `<7>level=DEBUG msg=a instance=haproxy.service
<6>level=INFO msg=b instance=haproxy.service
<4>level=WARN msg=c instance=haproxy.service g.pid=7
<3>level=ERROR msg=d instance=haproxy.service error="x\ny"
<6>level=INFO+1 msg=e instance=haproxy.service
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestElsewhereLinesHaveTheirTime(t *testing.T) {
	file, stream := journal(t)
	newLogger(file, environment(stream+"0"), "info", "text").Info("another stream's journal")
	newLogger(file, environment(""), "info", "json").Info("no journal")
	got, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Split(string(got), "\n")
	if len(list) != 3 || !strings.HasPrefix(list[0], "time=") || !strings.HasPrefix(list[1], `{"time":`) {
		t.Errorf("got %q", list)
	}
}

func TestTheLevelIsTheLeastSevereLogged(t *testing.T) {
	for level, want := range map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1} {
		file, stream := journal(t)
		var buffer bytes.Buffer
		for _, log := range []*slog.Logger{
			newLogger(file, environment(stream), level, "json"),
			newLogger(&buffer, environment(stream), level, "text"),
		} {
			log.Debug("x")
			log.Info("x")
			log.Warn("x")
			log.Error("x")
		}
		journaled, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(journaled, []byte("\n")); got != want {
			t.Errorf("%s: %d lines in the journal, want %d", level, got, want)
		}
		if got := bytes.Count(buffer.Bytes(), []byte("\n")); got != want {
			t.Errorf("%s: %d lines, want %d", level, got, want)
		}
	}
}
