package inspect_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

func TestTheTightestMemoryLimitCounts(t *testing.T) {
	const v1, v2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
	limit := func(limit, available uint64) *inspect.MemoryLimit {
		return &inspect.MemoryLimit{Limit: limit, Available: available}
	}
	for _, tt := range []struct {
		name   string
		cgroup string // /proc/10/cgroup
		files  map[string]string
		want   *inspect.MemoryLimit
	}{
		{"v2: its own, and page cache counts as available", "0::/system.slice/h.service\n", map[string]string{
			v2 + "/system.slice/h.service/memory.max":     "1000\n",
			v2 + "/system.slice/h.service/memory.current": "700\n",
			v2 + "/system.slice/h.service/memory.stat":    "anon 500\ninactive_file 200\n",
			v2 + "/system.slice/memory.max":               "max\n",
		}, limit(1000, 500)},
		{"v2: that of one above it, which has less left", "0::/system.slice/h.service\n", map[string]string{
			v2 + "/system.slice/h.service/memory.max":     "1000\n",
			v2 + "/system.slice/h.service/memory.current": "500\n",
			v2 + "/system.slice/h.service/memory.stat":    "inactive_file 0\n",
			v2 + "/system.slice/memory.max":               "2000\n",
			v2 + "/system.slice/memory.current":           "1900\n",
			v2 + "/system.slice/memory.stat":              "inactive_file 0\n",
		}, limit(2000, 100)},
		{"v2: that of one above it, of which a smaller part is left, though more of it", "0::/system.slice/h.service\n", map[string]string{
			v2 + "/system.slice/h.service/memory.max":     "1000\n",
			v2 + "/system.slice/h.service/memory.current": "500\n",
			v2 + "/system.slice/h.service/memory.stat":    "inactive_file 0\n",
			v2 + "/system.slice/memory.max":               "2000\n",
			v2 + "/system.slice/memory.current":           "1100\n",
			v2 + "/system.slice/memory.stat":              "inactive_file 0\n",
		}, limit(2000, 900)},
		{"v2: its own, where of that above it the same part is left", "0::/system.slice/h.service\n", map[string]string{
			v2 + "/system.slice/h.service/memory.max":     "1000\n",
			v2 + "/system.slice/h.service/memory.current": "500\n",
			v2 + "/system.slice/h.service/memory.stat":    "inactive_file 0\n",
			v2 + "/system.slice/memory.max":               "2000\n",
			v2 + "/system.slice/memory.current":           "1000\n",
			v2 + "/system.slice/memory.stat":              "inactive_file 0\n",
		}, limit(1000, 500)},
		{"v2: that of a container, at the root of what is seen", "0::/\n", map[string]string{
			v2 + "/memory.max": "1000\n", v2 + "/memory.current": "1200\n", v2 + "/memory.stat": "inactive_file 100\n",
		}, limit(1000, 0)},
		{"v1: among other controllers", "4:cpu,memory:/a\n0::/b\n", map[string]string{
			v1 + "/a/memory.limit_in_bytes": "1000\n", v1 + "/a/memory.usage_in_bytes": "400\n", v1 + "/a/memory.stat": "inactive_file 1\ntotal_inactive_file 100\n",
			v1 + "/memory.limit_in_bytes": "9223372036854771712\n",
		}, limit(1000, 700)},
		{"v1: a limit that nothing reaches is none", "4:memory:/a\n", map[string]string{
			v1 + "/a/memory.limit_in_bytes": "4611686018427387904\n", v1 + "/a/memory.usage_in_bytes": "400\n", v1 + "/a/memory.stat": "total_inactive_file 100\n",
		}, nil},
		{"a limit of nothing is none", "4:memory:/a\n", map[string]string{
			v1 + "/a/memory.limit_in_bytes": "0\n", v1 + "/a/memory.usage_in_bytes": "0\n", v1 + "/a/memory.stat": "total_inactive_file 0\n",
		}, nil},
		{"a hierarchy 0 that has controllers, and a numbered one that has none", "0:cpu:/a\n5::/a\n", map[string]string{
			v2 + "/a/memory.max": "1000\n", v2 + "/a/memory.current": "1\n", v2 + "/a/memory.stat": "inactive_file 0\n",
		}, nil},
		{"none is set", "0::/h.service\n", map[string]string{v2 + "/h.service/memory.max": "max\n"}, nil},
		{"what is used is not known", "0::/h.service\n", map[string]string{v2 + "/h.service/memory.max": "1000\n", v2 + "/h.service/memory.stat": "inactive_file 0\n"}, nil},
		{"how much of it is cache is not known", "0::/h.service\n", map[string]string{
			v2 + "/h.service/memory.max": "1000\n", v2 + "/h.service/memory.current": "400\n", v2 + "/h.service/memory.stat": "anon 1\n",
		}, nil},
		{"a limit that is no number", "0::/h.service\n", map[string]string{v2 + "/h.service/memory.max": "lots\n"}, nil},
		{"it lies outside what we see", "0::/../other\n", map[string]string{
			v2 + "/other/memory.max": "1000\n", v2 + "/other/memory.current": "1\n", v2 + "/other/memory.stat": "inactive_file 0\n",
		}, nil},
		{"no hierarchy accounts for it", "1:cpu:/\n", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := fakehost.New()
			w.Write("/proc/10/cgroup", tt.cgroup)
			for name, content := range tt.files {
				w.Write(name, content)
			}
			host := inspect.NewHost(w, []string{"haproxy"})
			defer host.Close()
			got := host.CgroupMemory(&inspect.Process{ProcID: inspect.ProcID{PID: 10}})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
