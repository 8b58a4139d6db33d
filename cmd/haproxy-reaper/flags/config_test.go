package flags

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

// files is a file system of a test: absent files do not exist.
type files map[string]string

func (f files) read(path string, _ int) ([]byte, error) {
	content, ok := f[path]
	switch {
	case !ok:
		return nil, unix.ENOENT
	case content == "unreadable":
		return nil, unix.EACCES
	}
	return []byte(content), nil
}

// commands are those of the program, the default first.
var commands = []string{"status", "reap", "serve", "check", "version"}

func parse(args string, env map[string]string, f files) (*Config, error) {
	lookup := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	return Parse(strings.Fields(args), commands, lookup, f.read)
}

func TestFlagBeatsVariableBeatsFileBeatsDefault(t *testing.T) {
	file := files{defaultConfigFile: "# how old is too old\n\nHAPROXY_REAPER_DEADLINE=1h # an hour\n"}
	variables := map[string]string{"HAPROXY_REAPER_DEADLINE": "2h"}
	for name, row := range map[string]struct {
		args string
		env  map[string]string
		file files
		want time.Duration
		from string
	}{
		"nothing says it":                       {want: 30 * time.Minute, from: "default"},
		"the file says it":                      {file: file, want: time.Hour, from: defaultConfigFile + ":3"},
		"the variable beats the file":           {env: variables, file: file, want: 2 * time.Hour, from: "HAPROXY_REAPER_DEADLINE"},
		"the flag beats both":                   {args: "--deadline 1d", env: variables, file: file, want: 24 * time.Hour, from: "--deadline"},
		"an empty variable is not set":          {env: map[string]string{"HAPROXY_REAPER_DEADLINE": ""}, file: file, want: time.Hour, from: defaultConfigFile + ":3"},
		"a named file takes the default's":      {args: "--config /my.conf", file: files{"/my.conf": "HAPROXY_REAPER_DEADLINE=3h", defaultConfigFile: "nonsense"}, want: 3 * time.Hour, from: "/my.conf:1"},
		"the variable names the file":           {env: map[string]string{"HAPROXY_REAPER_CONFIG": "/my.conf"}, file: files{"/my.conf": "export HAPROXY_REAPER_DEADLINE=\"3h\""}, want: 3 * time.Hour, from: "/my.conf:1"},
		"0 needs no unit":                       {args: "--deadline=0", want: 0, from: "--deadline"},
		"the flag stands before the command":    {args: "--deadline 5m reap", want: 5 * time.Minute, from: "--deadline"},
		"the default file lies under no folder": {file: files{}, want: 30 * time.Minute, from: "default"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parse(row.args, row.env, row.file)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.deadline; got != row.want || c.Source("deadline") != row.from {
				t.Errorf("got %v from %s, want %v from %s", got, c.Source("deadline"), row.want, row.from)
			}
		})
	}
}

func TestDryRunIsSaidInManyWays(t *testing.T) {
	for name, row := range map[string]struct {
		args string
		env  map[string]string
		file string
		want bool
	}{
		"by nobody":                              {want: false},
		"by -n":                                  {args: "-n", want: true},
		"by --dry-run":                           {args: "--dry-run", want: true},
		"by the variable":                        {env: map[string]string{"HAPROXY_REAPER_DRY_RUN": "1"}, want: true},
		"by the file":                            {file: "HAPROXY_REAPER_DRY_RUN=true", want: true},
		"by DRYRUN=1":                            {env: map[string]string{"DRYRUN": "1"}, want: true},
		"by DRYRUN=no, which is any value":       {env: map[string]string{"DRYRUN": "no"}, want: true},
		"by DRYRUN over its variable":            {env: map[string]string{"DRYRUN": "1", "HAPROXY_REAPER_DRY_RUN": "false"}, want: true},
		"not by an empty DRYRUN":                 {env: map[string]string{"DRYRUN": ""}, want: false},
		"not with the flag against DRYRUN":       {args: "--dry-run=false", env: map[string]string{"DRYRUN": "1"}, want: false},
		"not with the flag against the file":     {args: "--dry-run=false", file: "HAPROXY_REAPER_DRY_RUN=true", want: false},
		"not with the variable against the file": {env: map[string]string{"HAPROXY_REAPER_DRY_RUN": "false"}, file: "HAPROXY_REAPER_DRY_RUN=true", want: false},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parse("reap "+row.args, row.env, files{defaultConfigFile: row.file})
			if err != nil {
				t.Fatal(err)
			}
			if c.DryRun != row.want {
				t.Errorf("dry run is %v, want %v", c.DryRun, row.want)
			}
		})
	}
}

func TestALaterSourceReplacesAList(t *testing.T) {
	for name, row := range map[string]struct {
		args string
		env  map[string]string
		file string
		want []string
	}{
		"the default":                {want: []string{"haproxy"}},
		"flags add up":               {args: "--exe hapee-lb --exe=/opt/haproxy", want: []string{"hapee-lb", "/opt/haproxy"}},
		"commas in the file":         {file: "HAPROXY_REAPER_EXE=haproxy, hapee-lb", want: []string{"haproxy", "hapee-lb"}},
		"the variable over the file": {env: map[string]string{"HAPROXY_REAPER_EXE": "one"}, file: "HAPROXY_REAPER_EXE=two", want: []string{"one"}},
		"the flag over the variable": {args: "--exe three", env: map[string]string{"HAPROXY_REAPER_EXE": "one"}, want: []string{"three"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parse(row.args, row.env, files{defaultConfigFile: row.file})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, c.Exes); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestTheStateDirectoryIsSystemdsWhereThatSaysSo(t *testing.T) {
	for name, row := range map[string]struct {
		args string
		env  map[string]string
		want string
	}{
		"by default":                   {want: "/var/lib/haproxy-reaper"},
		"by systemd":                   {env: map[string]string{"STATE_DIRECTORY": "/var/lib/private/x"}, want: "/var/lib/private/x"},
		"by systemd, first of several": {env: map[string]string{"STATE_DIRECTORY": "/a:/b"}, want: "/a"},
		"by the variable over systemd": {env: map[string]string{"STATE_DIRECTORY": "/a", "HAPROXY_REAPER_STATE_DIR": "/c"}, want: "/c"},
		"by the flag":                  {args: "--state-dir /d", env: map[string]string{"STATE_DIRECTORY": "/a"}, want: "/d"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parse(row.args, row.env, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.StateDir != row.want {
				t.Errorf("got %q, want %q", c.StateDir, row.want)
			}
		})
	}
}

// TestBadInputIsOneLineThatNamesItsPlace holds the words of every usage error.
func TestBadInputIsOneLineThatNamesItsPlace(t *testing.T) {
	inFile := func(content string) files { return files{defaultConfigFile: content} }
	for name, row := range map[string]struct {
		args string
		env  map[string]string
		file files
		want string
	}{
		"an unknown command":                {args: "purge", want: `unknown command "purge"; the commands are status, reap, serve, check, version`},
		"an unknown command with flags":     {args: "drain --rate 5", want: `unknown command "drain"; the commands are status, reap, serve, check, version`},
		"an unknown command after a flag":   {args: "-n purge", want: `unknown command "purge"; the commands are status, reap, serve, check, version`},
		"a word too many":                   {args: "reap now", want: `unexpected argument "now" after reap`},
		"an unknown flag":                   {args: "reap --deadlin 5m", want: `unknown flag: --deadlin`},
		"an unknown short flag":             {args: "reap -z", want: `unknown shorthand flag: 'z' in -z`},
		"a flag without its value":          {args: "reap --deadline", want: `flag needs an argument: --deadline`},
		"a bad duration":                    {args: "--deadline soon", want: `invalid argument "soon" for "--deadline" flag: must be a duration such as 0s, 30m, 2h or 1d`},
		"a duration without a unit":         {args: "--deadline 1800", want: `invalid argument "1800" for "--deadline" flag: must be a duration such as 0s, 30m, 2h or 1d`},
		"a duration beyond all":             {args: "--deadline 300y", want: `invalid argument "300y" for "--deadline" flag: must be a duration such as 0s, 30m, 2h or 1d`},
		"a negative duration":               {args: "--kill-after -5s", want: `invalid argument "-5s" for "--kill-after" flag: must not be negative`},
		"a negative count":                  {args: "--max-terminations=-1", want: `invalid argument "-1" for "--max-terminations" flag: must not be negative`},
		"half a count":                      {args: "--max-terminations 1.5", want: `invalid argument "1.5" for "--max-terminations" flag: must be a whole number`},
		"a switch that is neither":          {args: "--dry-run=maybe", want: `invalid argument "maybe" for "-n, --dry-run" flag: must be true or false`},
		"an empty instance":                 {args: "--instance=", want: `invalid argument "" for "--instance" flag: must not be empty`},
		"a relative executable":             {args: "--exe sbin/haproxy", want: `invalid argument "sbin/haproxy" for "--exe" flag: must be a base name or an absolute path`},
		"an empty executable":               {args: "--exe=", want: `invalid argument "" for "--exe" flag: must not be empty`},
		"an output of no kind":              {args: "-o yaml", want: `invalid argument "yaml" for "-o, --output" flag: must be one of text, json, none`},
		"a textfile nobody reads":           {args: "reap --textfile /tmp/metrics.txt", want: `invalid argument "/tmp/metrics.txt" for "--textfile" flag: must end in .prom`},
		"an empty master socket":            {args: "--master-socket=", want: `invalid argument "" for "--master-socket" flag: must not be empty`},
		"an empty state directory":          {args: "--state-dir=", want: `invalid argument "" for "--state-dir" flag: must not be empty`},
		"a level of no kind":                {args: "--log.level loud", want: `invalid argument "loud" for "--log.level" flag: must be one of debug, info, warn, error`},
		"a pass of no time":                 {args: "--pass-timeout 0s", want: `--pass-timeout: must be longer than 0s`},
		"a settle longer than the pass":     {args: "--settle 2m --pass-timeout 1m", want: `--settle (2m) is longer than --pass-timeout (1m)`},
		"such a settle from two places":     {args: "--settle 2m", env: map[string]string{"HAPROXY_REAPER_PASS_TIMEOUT": "1m"}, want: `--settle (2m) is longer than HAPROXY_REAPER_PASS_TIMEOUT (1m)`},
		"status told to write":              {args: "status --textfile /x.prom", want: `--textfile: status writes nothing, reap --dry-run does`},
		"status told to serve":              {args: "status --interval 5s", want: `--interval: only serve has it`},
		"serve told to print":               {args: "serve -o json", want: `--output: serve prints nothing, it serves`},
		"serve told to rest never":          {args: "serve --interval 0s", want: `--interval: must be longer than 0s`},
		"serve told to listen nowhere":      {args: "serve --web.listen-address=", want: `invalid argument "" for "--web.listen-address" flag: must not be empty`},
		"check told to write":               {args: "check --textfile /x.prom", want: `--textfile: check changes nothing, and reap alone has a use for it`},
		"check told how to act":             {args: "check --deadline 1h", want: `--deadline: check changes nothing, and reap alone has a use for it`},
		"check told to go on":               {args: "check -y", want: `--yes: check changes nothing, and reap alone has a use for it`},
		"check asked who":                   {args: "check --clients", want: `--clients: check does not list them, status does`},
		"a bad variable":                    {env: map[string]string{"HAPROXY_REAPER_DEADLINE": "-1m"}, want: `HAPROXY_REAPER_DEADLINE: invalid value "-1m": must not be negative`},
		"a bad variable under a good flag":  {args: "--log.level info", env: map[string]string{"HAPROXY_REAPER_LOG_LEVEL": "x"}, want: `HAPROXY_REAPER_LOG_LEVEL: invalid value "x": must be one of debug, info, warn, error`},
		"an empty item in a list":           {env: map[string]string{"HAPROXY_REAPER_INSTANCE": "a,,b"}, want: `HAPROXY_REAPER_INSTANCE: invalid value "a,,b": must not be empty`},
		"a named file that is missing":      {args: "--config /no.conf", want: `read configuration file: /no.conf: no such file or directory`},
		"such a file named by a variable":   {env: map[string]string{"HAPROXY_REAPER_CONFIG": "/no.conf"}, want: `read configuration file: /no.conf: no such file or directory`},
		"the default file unreadable":       {file: inFile("unreadable"), want: `read configuration file: ` + defaultConfigFile + `: permission denied`},
		"an unknown line":                   {file: inFile("\nHAPROXY_REAPER_DEADLIN=1h\n"), want: defaultConfigFile + `:2: unknown setting HAPROXY_REAPER_DEADLIN`},
		"a line of another program":         {file: inFile("PATH=/bin\n"), want: defaultConfigFile + `:1: unknown setting PATH`},
		"DRYRUN in the file":                {file: inFile("DRYRUN=1\n"), want: defaultConfigFile + `:1: unknown setting DRYRUN`},
		"a line without =":                  {file: inFile("# x\nHAPROXY_REAPER_DRY_RUN\n"), want: defaultConfigFile + `:2: missing =`},
		"a line with an open quote":         {file: inFile("HAPROXY_REAPER_DEADLINE=\"1h\n"), want: defaultConfigFile + `:1: unmatched "`},
		"a bad value in the file":           {file: inFile("HAPROXY_REAPER_DRY_RUN=yes\n"), want: defaultConfigFile + `:1: HAPROXY_REAPER_DRY_RUN: invalid value "yes": must be true or false`},
		"a bad value under a good flag":     {args: "--deadline 1h", file: inFile("HAPROXY_REAPER_DEADLINE=x\n"), want: defaultConfigFile + `:1: HAPROXY_REAPER_DEADLINE: invalid value "x": must be a duration such as 0s, 30m, 2h or 1d`},
		"an empty value in the file":        {file: inFile("HAPROXY_REAPER_DEADLINE=\n"), want: defaultConfigFile + `:1: HAPROXY_REAPER_DEADLINE: invalid value "": must be a duration such as 0s, 30m, 2h or 1d`},
		"a line said twice":                 {file: inFile("HAPROXY_REAPER_DRY_RUN=true\nHAPROXY_REAPER_DRY_RUN=false\n"), want: defaultConfigFile + `:2: HAPROXY_REAPER_DRY_RUN is set twice, first at ` + defaultConfigFile + `:1`},
		"a file that names a file":          {file: inFile("HAPROXY_REAPER_CONFIG=/x\n"), want: defaultConfigFile + `:1: HAPROXY_REAPER_CONFIG cannot be set in the file itself`},
		"a file that is a program":          {file: inFile("\x7fELF\x00\x01"), want: defaultConfigFile + `:1: missing =`},
		"a control character in a value":    {file: inFile("HAPROXY_REAPER_DEADLINE=1\x00h"), want: defaultConfigFile + `:1: 0x00 is an invalid value character`},
		"a zero pass-timeout from the file": {file: inFile("HAPROXY_REAPER_PASS_TIMEOUT=0s"), want: defaultConfigFile + `:1: must be longer than 0s`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(row.args, row.env, row.file)
			if err == nil {
				t.Fatal("was accepted")
			}
			if diff := cmp.Diff(row.want, err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestADefaultSettleMayBeLongerThanAShortPass(t *testing.T) {
	if _, err := parse("reap --pass-timeout 2s", nil, nil); err != nil {
		t.Errorf("%v, though nobody set --settle", err)
	}
}

// An empty FIFO reads like an empty file, and an empty file means live.
func TestOnlyARegularFileIsAConfiguration(t *testing.T) {
	dir := t.TempDir()
	fifo, file, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(unix.Mkfifo(fifo, 0o600), os.WriteFile(file, []byte("HAPROXY_REAPER_DRY_RUN=true\n"), 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	for path, row := range map[string]struct {
		dryRun bool
		want   string
	}{
		file:        {dryRun: true},
		link:        {dryRun: true},
		"/dev/null": {}, // which says in so many words that there is none
		fifo:        {want: "read configuration file: " + fifo + ": not a regular file"},
		dir:         {want: "read configuration file: " + dir + ": not a regular file"},
		"/dev/zero": {want: "read configuration file: /dev/zero: not a regular file"},
	} {
		c, err := Parse([]string{"--config", path}, commands, func(string) (string, bool) { return "", false }, inspect.Linux{}.ReadFile)
		switch {
		case row.want != "":
			if err == nil || err.Error() != row.want {
				t.Errorf("%s: %v, want %q", path, err, row.want)
			}
		case err != nil || c.DryRun != row.dryRun:
			t.Errorf("%s: %v, want a dry run: %v", path, err, row.dryRun)
		}
	}
}

func TestVersionNeedsNoConfiguration(t *testing.T) {
	if _, err := parse("version", nil, files{defaultConfigFile: "nonsense"}); err != nil {
		t.Error(err)
	}
}

func TestHelpIsAskedForAnywhere(t *testing.T) {
	for _, args := range []string{"-h", "--help", "reap --help", "reap -n -h", "status --deadline 1h --help"} {
		if _, err := parse(args, nil, nil); !errors.Is(err, ErrHelp) {
			t.Errorf("%s: %v, want help", args, err)
		}
	}
}

func FuzzConfigurationFileIsTakenWholeOrRefusedInOneLine(f *testing.F) {
	f.Add("HAPROXY_REAPER_DEADLINE=1h\n# x\n\nexport HAPROXY_REAPER_EXE='a,b'\n")
	f.Add("HAPROXY_REAPER_DRY_RUN=\"\\u00e9\"")
	f.Add("=\n\x00\r\n")
	f.Fuzz(func(t *testing.T, content string) {
		c, err := parse("", nil, files{defaultConfigFile: content})
		if err != nil {
			if line := text.Escape(err.Error()); strings.ContainsAny(line, "\n\r\x00\x1b") {
				t.Errorf("the error is not one clean line: %q", line)
			}
			return
		}
		if c.deadline < 0 || c.passTimeout <= 0 || c.maxTerminations < 0 || len(c.Exes) == 0 {
			t.Errorf("accepted %q as %+v", content, c)
		}
	})
}
