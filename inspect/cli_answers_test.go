package inspect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var compareProcTables = cmp.Options{cmp.AllowUnexported(procTable{}), cmpopts.EquateEmpty()}

func TestParseShowProc(t *testing.T) {
	for _, c := range []struct {
		name string
		text string
		want procTable
	}{
		{
			"1.9: an uptime with a blank",
			`#<PID>          <type>          <relative PID>  <reloads>       <uptime>
1162            master          0               2               0d 00h00m19s
# workers
1204            worker          1               0               0d 00h00m03s
# old workers
1163            worker          [was: 1]        2               0d 00h00m19s

`,
			procTable{1162, []int{1204}, []int{1163}, nil},
		},
		{
			"2.0 to 2.4: programs, and two workers of one generation",
			`#<PID>          <type>          <relative PID>  <reloads>       <uptime>        <version>       
1162            master          0               5               0d00h02m07s     2.4.0           
# workers
1271            worker          1               0               0d00h00m00s     2.4.0           
1272            worker          2               0               0d00h00m00s     2.4.0           
# old workers
1233            worker          [was: 1]        3               0d00h00m43s     2.4.0           
# programs
1244            worker          -               0               0d00h00m00s     -               
# old programs
1220            dataplane       -               1               0d00h00m43s     -               

`,
			procTable{1162, []int{1271, 1272}, []int{1233}, []int{1244, 1220}},
		},
		{
			"2.5 to 3.0: failed reloads, and programs without any",
			`#<PID>          <type>          <reloads>       <uptime>        <version>      
8343            master          1 [failed: 0]   0d00h00m02s     2.6.12-1+deb12u4
# workers
8391            worker          0               0d00h00m01s     2.6.12-1+deb12u4
# old workers
8346            worker          1               0d00h00m02s     2.6.12-1+deb12u4
# programs

`,
			procTable{8343, []int{8391}, []int{8346}, nil},
		},
		{
			"3.1 and later, after a failed reload: the active worker stands with the old",
			`#<PID>          <type>          <reloads>       <uptime>        <version>      
8343            master          2 [failed: 1]   0d00h00m02s     3.2.26         
# workers
# old workers
8346            worker          2               0d00h00m02s     3.2.26         
8391            worker          1               0d00h00m01s     3.2.26         

`,
			procTable{8343, nil, []int{8346, 8391}, nil},
		},
		{
			"rows without a version", "8343 master 0 0d00h00m02s\n# workers\n8391 worker 0 0d00h00m01s\n", procTable{8343, []int{8391}, nil, nil},
		},
		{
			"show proc debug",
			"#<PID>          <type>          <reloads>       <uptime>        <version>      \t\t <ipc_fd[0]>     <ipc_fd[1]>    \n" +
				"8343            master          0 [failed: 0]   0d00h00m02s     3.4.7          \t\t 5               6              \n" +
				"# workers\n" +
				"8391            worker          0               0d00h00m01s     3.4.7          \t\t 7               8              \n\n",
			procTable{8343, []int{8391}, nil, nil},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseShowProc([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, compareProcTables); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseShowProcRefuses(t *testing.T) {
	const master = "8343            master          1 [failed: 0]   0d00h00m02s     2.6.12\n"
	const worker = "8391            worker          0               0d00h00m01s     2.6.12\n"
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"an error message", "Unknown command, but maybe one of the following ones is a better match:\n"},
		{"too low a level", "Permission denied\n"},
		{"no master", "# workers\n" + worker},
		{"two masters", master + master},
		{"a worker in no section", master + worker},
		{"a worker in no section, and no master", worker},
		{"a row with one field too little", master + "# workers\n8391 worker 0\n"},
		{"a master among the workers", master + "# workers\n" + master},
		{"a section that we do not know", master + "# spares\n" + worker},
		{"a pid that is none", master + "# workers\n" + strings.Replace(worker, "8391", "4294967295", 1)},
		{"pid 0", master + "# workers\n" + strings.Replace(worker, "8391", "0", 1)},
		{"a row cut short", master + "# workers\n" + worker[:len(worker)-1]},
		{"a row with too little", master + "# workers\n8391 worker\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := parseShowProc([]byte(c.text)); err == nil {
				t.Errorf("got %+v, want an error", got)
			}
		})
	}
}

func TestParseShowInfo(t *testing.T) {
	const text = "Name: HAProxy\nVersion: 2.6.12\nNbproc: 1\nProcess_num: 1\nPid: 8346\nUptime: 0d 0h00m02s\n" +
		"CurrConns: 17\nCumConns: 20\nConnRate: 3\nStopping: 1\nJobs: 2\nListeners: 1\nnode: fe-01\ndescription: Stopping: 0\nStopping: 0\n\n"
	// As 2.2 writes it.
	const sockets = "# socket lvl processes\nunix@/run/a b.sock admin all\nipv4@127.0.0.1:9999 operator all\nipv6@[::1]:9999 user 1\n" +
		"abns@st admin all\nsockpair@4 admin 1\n\n"
	for _, c := range []struct {
		name string
		text string
		want CLIAnswer
	}{
		{"an old worker, whose description plays something else", text, CLIAnswer{Stopping: true, CurrConns: 17, ConnRate: 3, Listeners: 1}},
		{"a current worker", strings.Replace(text, "Stopping: 1", "Stopping: 0", 1), CLIAnswer{CurrConns: 17, ConnRate: 3, Listeners: 1}},
		{"one that does not tell its rate", strings.Replace(text, "ConnRate: 3\n", "", 1), CLIAnswer{Stopping: true, CurrConns: 17, ConnRate: -1, Listeners: 1}},
		{"one that does not tell its listeners", strings.Replace(text, "Listeners: 1\n", "", 1), CLIAnswer{Stopping: true, CurrConns: 17, ConnRate: 3, Listeners: -1}},
		{"one that tells where its CLI listens", text + sockets, CLIAnswer{Stopping: true, CurrConns: 17, ConnRate: 3, Listeners: 1, Sockets: []string{
			"unix@/run/a b.sock", "ipv4@127.0.0.1:9999", "ipv6@[::1]:9999", "abns@st", "sockpair@4",
		}}},
		{"one whose last line about that is cut short", text + strings.TrimRight(sockets, "\n"), CLIAnswer{Stopping: true, CurrConns: 17, ConnRate: 3, Listeners: 1}},
		{"one that does not know the question", text + "Unknown command: 'show cli sockets'\n", CLIAnswer{Stopping: true, CurrConns: 17, ConnRate: 3, Listeners: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pid, got, err := parseShowInfo([]byte(c.text))
			if err != nil || pid != 8346 || !cmp.Equal(got, c.want) {
				t.Errorf("got %d, %+v, %v, want %+v", pid, got, err, c.want)
			}
		})
	}
	for _, c := range []struct{ name, text string }{
		{"nothing", ""},
		{"no such process", "Can't find the target PID matching the prefix '@!99999'\n"},
		{"no Stopping", "Pid: 1\nCurrConns: 1\n"},
		{"no Pid", "Stopping: 1\nCurrConns: 1\n"},
		{"no CurrConns", "Pid: 1\nStopping: 1\n"},
		{"a Stopping that is neither 0 nor 1", "Pid: 1\nCurrConns: 1\nStopping: 2\n"},
		{"a number that is none", "Pid: 1\nCurrConns: many\nStopping: 1\n"},
		{"a last line cut short", "Pid: 1\nStopping: 1\nCurrConns: 1"},
	} {
		t.Run(c.name+" is refused", func(t *testing.T) {
			if pid, got, err := parseShowInfo([]byte(c.text)); err == nil {
				t.Errorf("got %d, %+v, want an error", pid, got)
			}
		})
	}
}

func FuzzParseShowProc(f *testing.F) {
	f.Add([]byte("#<PID>\n1 master 0 0 0\n# workers\n2 worker 0 0d 00h\n# old workers\n3 worker [was: 1] 2\n# programs\n4 x - -\n\n"))
	f.Add([]byte("1 master 1 [failed: 0]\n# old programs\n"))
	f.Add([]byte("#\n \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseShowProc(b)
		if err != nil {
			return
		}
		var again strings.Builder
		fmt.Fprintf(&again, "%d master 0 0\n", got.master)
		for _, s := range []struct {
			heading string
			pids    []int
		}{{"# workers", got.current}, {"# old workers", got.old}, {"# programs", got.programs}} {
			fmt.Fprintln(&again, s.heading)
			for _, pid := range s.pids {
				fmt.Fprintf(&again, "%d worker 0 0\n", pid)
			}
		}
		same, err := parseShowProc([]byte(again.String()))
		if diff := cmp.Diff(got, same, compareProcTables); err != nil || diff != "" {
			t.Errorf("written and read again: %v, %s", err, diff)
		}
	})
}

func FuzzParseShowInfo(f *testing.F) {
	f.Add([]byte("Pid: 8346\nCurrConns: 17\nStopping: 1\n\n"))
	f.Add([]byte("Pid: 8346\nCurrConns: 17\nStopping: 1\n\n# socket lvl processes\nunix@/a admin all\n\n"))
	f.Add([]byte("Pid: \nStopping: -1\nCurrConns: 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		pid, got, err := parseShowInfo(b)
		if err != nil {
			return
		}
		stopping := 0
		if got.Stopping {
			stopping = 1
		}
		again := fmt.Sprintf("Pid: %d\nCurrConns: %d\nStopping: %d\n", pid, got.CurrConns, stopping)
		if got.ConnRate >= 0 {
			again += fmt.Sprintf("ConnRate: %d\n", got.ConnRate)
		}
		if got.Listeners >= 0 {
			again += fmt.Sprintf("Listeners: %d\n", got.Listeners)
		}
		if len(got.Sockets) > 0 {
			again += "\n# socket lvl processes\n" + strings.Join(got.Sockets, " admin all\n") + " admin all\n"
		}
		samePID, same, err := parseShowInfo([]byte(again))
		if err != nil || samePID != pid || !cmp.Equal(same, got) {
			t.Errorf("written and read again: %d, %+v, %v", samePID, same, err)
		}
	})
}

// Node and description are free text, and come before or after what counts.
func TestEachKeyOfShowInfoCountsOnce(t *testing.T) {
	pid, got, err := parseShowInfo([]byte("Name: HAProxy\nPid: 7\nPid: 8\nStopping: 1\nnode: x\nStopping: 0\nCurrConns: 2\nConnRate: 3\nConnRate: 4\n\n"))
	if want := (CLIAnswer{Stopping: true, CurrConns: 2, ConnRate: 3, Listeners: -1}); err != nil || pid != 7 || !cmp.Equal(got, want) {
		t.Errorf("process %d, %+v, %v; want 7, %+v", pid, got, err, want)
	}
}
