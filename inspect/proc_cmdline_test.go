package inspect

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// cmdline writes arguments as /proc/PID/cmdline has them; blanks separate them.
func cmdline(text string) []byte {
	return []byte(strings.ReplaceAll(text, " ", "\x00") + "\x00")
}

func TestParseCommand(t *testing.T) {
	for _, c := range []struct {
		name string
		line string
		want Command
	}{
		{
			"Debian's master",
			"/usr/sbin/haproxy -Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/haproxy-master.sock",
			Command{Config: []string{"/etc/haproxy/haproxy.cfg"}, MasterSocket: "/run/haproxy-master.sock", MasterWorker: true},
		},
		{
			"a worker after a reload of 2.2 and later",
			"haproxy -sf 23015 23016 -x sockpair@3 -Ws -f /a.cfg",
			Command{Config: []string{"/a.cfg"}, Finish: []int{23015, 23016}, MasterWorker: true},
		},
		{
			"a worker after a reload of 1.8 to 2.1",
			"/usr/sbin/haproxy -W -f /a.cfg -sf 29376 -x /path/stats.sock",
			Command{Config: []string{"/a.cfg"}, Finish: []int{29376}, MasterWorker: true},
		},
		{
			"a daemon that finishes some and terminates others",
			"haproxy -D -f a -sf 1 2 -p /p -st 3",
			Command{Config: []string{"a"}, Finish: []int{1, 2, 3}, Daemon: true},
		},
		{
			"a foreground process with an empty list",
			"haproxy -db -f a -sf",
			Command{Config: []string{"a"}},
		},
		{
			"several configurations, some after --",
			"haproxy -f a -f /dir -D -- b -sf 7",
			Command{Config: []string{"a", "/dir", "b", "-sf", "7"}, Daemon: true},
		},
		{
			"values that look like options",
			"haproxy -p -D -n -W -m -c -N -v -C -sf -L -st -x -S -f -S",
			Command{Config: []string{"-S"}, ChangeDir: "-sf"},
		},
		{
			"options with something stuck on, which HAProxy passes over",
			"haproxy -foo a -Dx -Wsx -sfx 4 -Sx /m.sock",
			Command{Config: []string{"a"}, Finish: []int{4}, MasterSocket: "/m.sock", MasterWorker: true, Daemon: true},
		},
		{
			"a list that ends before what is no pid",
			"haproxy -sf 5 0 6 -f a",
			Command{Config: []string{"a"}, Finish: []int{5}},
		},
		{
			"a list that ends before a pid beyond any",
			"haproxy -st 5 99999999999 -f a",
			Command{Config: []string{"a"}, Finish: []int{5}},
		},
		{
			"a list that ends at the largest pid that a number may be",
			"haproxy -sf 2147483647 2147483648 -f a",
			Command{Config: []string{"a"}, Finish: []int{2147483647}},
		},
		{
			"a master socket with bind options",
			"haproxy -W -S unix@/m.sock,uid,0,mode,660 -S 127.0.0.1:999",
			Command{MasterSocket: "unix@/m.sock", MasterWorker: true},
		},
		{"an abstract master socket", "haproxy -S abns@m", Command{MasterSocket: "abns@m"}},
		{"a TCP master socket", "haproxy -S ipv4@127.0.0.1:999,level,user", Command{MasterSocket: "ipv4@127.0.0.1:999"}},
		{"a master socket that is missing", "haproxy -W -S", Command{MasterWorker: true}},
		{"a check", "haproxy -Ws -f a -c -q", Command{Config: []string{"a"}, MasterWorker: true, CheckOnly: true}},
		{"a check of a condition, which is a value", "haproxy -cc -D", Command{CheckOnly: true}},
		{"a version", "haproxy -vv", Command{CheckOnly: true}},
		{"a dump of the configuration", "haproxy -dC -f a", Command{Config: []string{"a"}, CheckOnly: true}},
		{"help", "haproxy -h", Command{CheckOnly: true}},
		{"debugging options are no checks", "haproxy -d -dM -dK -dc -dV -V -q -4", Command{}},
		{"traces with a value", "haproxy -dt h1 -f a", Command{Config: []string{"a"}}},
		{"traces with a value stuck on, or none", "haproxy -dth1 -dt -f a", Command{Config: []string{"a"}}},
		{"words that belong to no option", "haproxy a -- ", Command{Config: []string{""}}},
		{"the argument list of 1.7's parent", "/usr/sbin/haproxy-master", Command{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Args = strings.Split(c.line, " ")
			if diff := cmp.Diff(c.want, ParseCommand(cmdline(c.line)), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Command{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseCommandOfOddFiles(t *testing.T) {
	for _, c := range []struct {
		name string
		text string
		want Command
	}{
		{"a zombie has none", "", Command{}},
		{"one empty argument", "\x00", Command{Args: []string{""}}},
		{"no NUL at the end", "haproxy\x00-D", Command{Args: []string{"haproxy", "-D"}, Daemon: true}},
		{"empty arguments", "haproxy\x00\x00-D\x00\x00", Command{Args: []string{"haproxy", "", "-D", ""}, Daemon: true}},
		{"a pid with the blanks that HAProxy takes too", "haproxy\x00-sf\x00 12\n\x00", Command{Args: []string{"haproxy", "-sf", " 12\n"}, Finish: []int{12}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, ParseCommand([]byte(c.text)), cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Command{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestIdentityIsTheSameAfterAReload(t *testing.T) {
	same := []string{
		"/usr/sbin/haproxy -Ws -f /a.cfg -p /p",
		"haproxy -Ws -f /a.cfg -p /p",
		"haproxy -sf 1 2 -x sockpair@3 -Ws -f /a.cfg -p /p",
		"haproxy -st 1 -Ws -f /a.cfg -p /p",
		"haproxy -Ws -f /a.cfg -p /p -sf 3639 -x /path/stats.sock",
		"haproxy -Ws -x /dev/null -f /a.cfg -sf -p /p",
		"haproxy -f /a.cfg -p /other -Ws",
		"haproxy -Ws -C / -f a.cfg",
		"haproxy -Ws -f a.cfg",
		"haproxy -Ws -- /x/../a.cfg",
		"haproxy -Ws -Ws -f /a.cfg",
	}
	want := ParseCommand(cmdline(same[0])).Identity("/")
	if len(want) != sha256.Size {
		t.Errorf("got %q, which is no digest", want)
	}
	for _, line := range same {
		if got := ParseCommand(cmdline(line)).Identity("/"); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	for _, line := range []string{
		"haproxy -Ws -f /b.cfg -p /p",
		"haproxy -Ws -f /a.cfg -p /p -D",
		"haproxy -Ws -f /a.cfg -p -sf 1",
		"haproxy -Ws -f /a.cfg -p /p -- -sf 1",
		"haproxy -Ws -f /a.cfg /p -p",
		"haproxy -Ws -C /etc -f a.cfg",
		"haproxy -Ws -f /a.cfg -f /b.cfg",
	} {
		if got := ParseCommand(cmdline(line)).Identity("/"); got == want {
			t.Errorf("%s: is taken for the same service", line)
		}
	}
}

func TestPathsOfAConfigurationAreResolved(t *testing.T) {
	for _, tt := range []struct {
		name, line, dir string
		want            []string
	}{
		{"an absolute path is what it is", "haproxy -f /a/b.cfg", "/x", []string{"/a/b.cfg"}},
		{"a relative path starts from the working directory", "haproxy -f b.cfg -f ../c.cfg", "/x/y", []string{"/x/y/b.cfg", "/x/c.cfg"}},
		{"-C comes before the working directory", "haproxy -C /etc -f b.cfg", "/x", []string{"/etc/b.cfg"}},
		{"after a relative -C the working directory is there already", "haproxy -C etc -f b.cfg", "/x/etc", []string{"/x/etc/b.cfg"}},
		{"a relative path stays where the directory is not known", "haproxy -f ./b.cfg", "", []string{"b.cfg"}},
		{"the order of the files stays", "haproxy -f /2 -f /1 -- /0", "", []string{"/2", "/1", "/0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ParseCommand(cmdline(tt.line)).ConfigPaths(tt.dir); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("\x00\x00-\x00--\x00-sf"))
	f.Add(cmdline("haproxy -sf 23015 -x sockpair@3 -Ws -f /a.cfg -S /m,mode,600"))
	f.Add(cmdline("haproxy -f a -cc -dt x -- -sf 7"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := ParseCommand(b)
		for _, pid := range c.Finish {
			if pid <= 0 {
				t.Errorf("finishes %d", pid)
			}
		}
		if strings.Contains(c.MasterSocket, ",") {
			t.Errorf("master socket %q", c.MasterSocket)
		}
		if len(c.Args) == 0 {
			return
		}
		// What a reload puts before the arguments changes nothing but the list.
		reloaded := slices.Insert(slices.Clone(c.Args), 1, "-sf", "17", "-x", "sockpair@3")
		r := ParseCommand([]byte(strings.Join(reloaded, "\x00") + "\x00"))
		if got, want := r.Identity(""), c.Identity(""); got != want {
			t.Errorf("identity %q after a reload, %q before", got, want)
		}
		if !slices.Equal(r.Finish, slices.Compact(slices.Sorted(slices.Values(append([]int{17}, c.Finish...))))) || !slices.Equal(r.Config, c.Config) {
			t.Errorf("%+v after a reload, %+v before", r, c)
		}
	})
}
