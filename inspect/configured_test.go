package inspect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

// Anybody's process can name as many files as it likes, and all instances wait
// for the look that reads them.
func TestNoMoreIsReadOfAConfigurationThanAnyoneNeeds(t *testing.T) {
	const bind, many = "frontend f\n bind :443\n", 40 << 20
	for _, tt := range []struct {
		name    string
		files   map[string]string
		paths   []string
		unknown bool
		reads   int
	}{
		{"one file", map[string]string{"/a.cfg": bind}, []string{"/a.cfg"}, false, 1},
		{"a thousand", map[string]string{"/a.cfg": bind}, slices.Repeat([]string{"/a.cfg"}, 1000), false, 1000},
		{"one more", map[string]string{"/a.cfg": bind}, slices.Repeat([]string{"/a.cfg"}, 1001), true, 1000},
		{"a thousand and one by way of directories", map[string]string{"/d/a.cfg": bind, "/d/b.cfg": bind}, slices.Repeat([]string{"/d"}, 501), true, 1000},
		{"more than 64 MiB in all", map[string]string{"/a.cfg": bind, "/b.cfg": strings.Repeat("#", many)}, []string{"/b.cfg", "/b.cfg", "/a.cfg"}, true, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fakehost.New()
			for name, text := range tt.files {
				w.Write(name, text)
			}
			p := &inspect.Process{ProcID: inspect.ProcID{PID: 50}, Command: inspect.Command{Config: tt.paths}}
			reads := 0
			w.Before = func(_ int, call, _ string) error {
				if call == "ReadFile" {
					reads++
				}
				return nil
			}
			got := inspect.NewHost(w, nil).ConfiguredPorts(inspect.Snapshot{}, p)
			if got.Unknown != tt.unknown || !got.Ports[443] || reads != tt.reads {
				t.Errorf("unknown %v, ports %v after %d files, want %v, 443 and %d", got.Unknown, got.Ports, reads, tt.unknown, tt.reads)
			}
		})
	}
}
