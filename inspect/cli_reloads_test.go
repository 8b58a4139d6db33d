package inspect

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReloadsThatAMasterCounts(t *testing.T) {
	for _, c := range []struct {
		name string
		text string
		want MasterAnswer
	}{
		{
			"1.9, which tells no version",
			`#<PID>          <type>          <relative PID>  <reloads>       <uptime>
1162            master          0               2               0d 00h00m19s
# workers
1204            worker          1               0               0d 00h00m03s
# old workers
1163            worker          [was: 1]        2               0d 00h00m19s
`,
			MasterAnswer{"", map[int]int{1204: 0, 1163: 2}},
		},
		{
			"2.0 to 2.4",
			`#<PID>          <type>          <relative PID>  <reloads>       <uptime>        <version>       
1162            master          0               5               0d00h02m07s     2.2.9           
# workers
1271            worker          1               0               0d00h00m00s     2.2.9           
# old workers
1233            worker          [was: 1]        3               0d00h00m43s     2.2.9           
# programs
`,
			MasterAnswer{"2.2.9", map[int]int{1271: 0, 1233: 3}},
		},
		{
			"2.5 and later",
			`#<PID>          <type>          <reloads>       <uptime>        <version>      
8343            master          7 [failed: 1]   0d00h00m02s     3.4.7-1
# workers
8391            worker          0               0d00h00m01s     3.4.7-1
# old workers
8346            worker          6               0d00h00m02s     2.6.12-1+deb12u4
`,
			MasterAnswer{"3.4.7-1", map[int]int{8391: 0, 8346: 6}},
		},
		{"rows that tell nothing", "1 master\n2 worker\nx worker 1 2\n3 worker many 0d\n4 worker 4294967296 0d\n", MasterAnswer{"", map[int]int{}}},
		{"nothing", "", MasterAnswer{"", map[int]int{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, parseReloads([]byte(c.text))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzReloads(f *testing.F) {
	f.Add([]byte("#<PID> <relative PID>\n1 master 0 5 0d 2.2\n2 worker [was: 1] 3 0d 2.2\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		answer := parseReloads(b)
		for pid, n := range answer.Reloads {
			if pid < 0 || n < 0 {
				t.Errorf("process %d has seen %d", pid, n)
			}
		}
		// parseShowProc reads the same text for the decision, and by stricter rules.
		table, err := parseShowProc(b)
		if err != nil {
			return
		}
		known := slices.Concat(table.current, table.old, table.programs)
		for pid := range answer.Reloads {
			if !slices.Contains(known, pid) {
				t.Errorf("process %d is not among %v", pid, known)
			}
		}
	})
}
