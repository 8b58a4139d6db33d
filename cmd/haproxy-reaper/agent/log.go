package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// newLogger logs to standard error. Where that is the journal, each line begins
// with its priority instead of its time, which the journal adds itself.
func newLogger(stderr io.Writer, lookupEnv func(string) (string, bool), level, format string) *slog.Logger {
	options := &slog.HandlerOptions{Level: parseLevel(level)}
	newHandler := func(w io.Writer) slog.Handler {
		if format == "json" {
			return slog.NewJSONHandler(w, options)
		}
		return slog.NewTextHandler(w, options)
	}
	stream, _ := lookupEnv("JOURNAL_STREAM")
	if !isJournal(stderr, stream) {
		return slog.New(newHandler(stderr))
	}
	options.ReplaceAttr = dropTime
	handler := journalHandler{}
	for i, priority := range priorities {
		handler[i] = newHandler(prefixWriter{stderr, priority.prefix})
	}
	return slog.New(handler)
}

func parseLevel(word string) slog.Level {
	switch word {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}

// isJournal tells whether w is the stream that systemd connected to the journal:
// JOURNAL_STREAM holds its device and inode number (systemd.exec(5)), and stays
// in the environment of those who redirect it.
func isJournal(w io.Writer, stream string) bool {
	file, ok := w.(*os.File)
	if !ok || stream == "" {
		return false
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return false
	}
	return stream == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

func dropTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// priorities are the prefixes of sd-daemon(3) by the least level they are for,
// most severe first.
var priorities = [...]struct {
	level  slog.Level
	prefix string
}{
	{slog.LevelError, "<3>"},
	{slog.LevelWarn, "<4>"},
	{slog.LevelInfo, "<6>"},
	{slog.LevelDebug, "<7>"},
}

// journalHandler has a handler for each of the priorities.
type journalHandler [len(priorities)]slog.Handler

// forLevel is the handler of a level's priority.
func (h journalHandler) forLevel(level slog.Level) slog.Handler {
	for i, priority := range priorities {
		if level >= priority.level {
			return h[i]
		}
	}
	return h[len(h)-1]
}

func (h journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.forLevel(level).Enabled(ctx, level)
}

func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.forLevel(r.Level).Handle(ctx, r)
}

func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i := range h {
		h[i] = h[i].WithAttrs(attrs)
	}
	return h
}

func (h journalHandler) WithGroup(name string) slog.Handler {
	for i := range h {
		h[i] = h[i].WithGroup(name)
	}
	return h
}

// prefixWriter writes a prefix before each line; slog writes a line at a time.
type prefixWriter struct {
	w      io.Writer
	prefix string
}

func (p prefixWriter) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
