package flags

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

const (
	defaultConfigFile = "/etc/haproxy-reaper/haproxy-reaper.conf"
	defaultStateDir   = "/var/lib/haproxy-reaper"
)

// Config is what the defaults, the configuration file, the environment and the
// flags come to, each laid over the one before. The methods Policy and Timing return
// the settings of what decides and of what acts.
type Config struct {
	Command string // the first word that is no flag, or the default command

	DryRun, Yes, Clients bool
	Instances, Exes      []string
	Output               string // text, json or none
	Textfile             string // "" for none
	StateDir             string
	SavedReport          string // of --from: a file, "-" for standard input, "" for none
	MasterSocket         string // "" is to be found, "none" is not to be used
	LogLevel, LogFormat  string

	// Of serve.
	Interval        time.Duration
	ListenAddresses []string
	WebConfigFile   string
	SystemdSocket   bool
	PassArgs        []string // arguments of the passes that it runs

	deadline, killAfter, settle, passTimeout time.Duration
	maxTerminations                          int
	deadlineFor                              []portDeadline
	deadlineJitter, activeWithin             time.Duration
	hardDeadline, emptyAfter, idleAfter      optionalValue
	maxResidual                              int
	minAvailableMemory                       int // in percent
	drainRate                                float64
	drainTimeout                             time.Duration
	configFile                               string

	// from tells for each flag that was set where its value came from: the
	// flag, the variable, or the file and line.
	from map[string]string
}

// flagSet defines every flag with its default, in the order of --help. Each is a
// variable and a line of the configuration file too, see variable.
func (c *Config) flagSet() *pflag.FlagSet {
	fs := pflag.NewFlagSet("haproxy-reaper", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}

	boolean := func(v *bool, name, short, help string) {
		fs.VarPF((*switchValue)(v), name, short, help).NoOptDefVal = "true"
	}
	duration := func(v *time.Duration, name string, value time.Duration, help string) {
		*v = value
		fs.Var((*durationValue)(v), name, help)
	}
	count := func(v *int, name, help string) { fs.Var((*countValue)(v), name, help) }
	text := func(v *string, name, value, kind string, check func(string) error, help string) {
		*v = value
		fs.Var(textValue{v, kind, check}, name, help)
	}
	list := func(v *[]string, name string, value []string, kind string, check func(string) error, help string) {
		*v = value
		fs.Var(&listValue[string]{values: v, kind: kind, parse: func(s string) (string, error) { return s, check(s) }}, name, help)
	}
	choice := func(v *string, name, short, value string, choices []string, help string) {
		*v = value
		fs.VarP(choiceValue{v, choices}, name, short, help)
	}

	boolean(&c.DryRun, "dry-run", "n", "decide and report as usual, signal nobody; DRYRUN=1 does the same")
	boolean(&c.Yes, "yes", "y", "reap without asking")
	duration(&c.deadline, "deadline", 30*time.Minute, "time since superseded at which a residual process is terminated; 0s = at once")
	fs.Var(&listValue[portDeadline]{values: &c.deadlineFor, kind: "PORT=DURATION", parse: parsePortDeadline}, "deadline-for", "deadline of the client connections of a local port, such as 22=24h (repeatable)")
	duration(&c.deadlineJitter, "deadline-jitter", 0, "put every deadline off by a part of this, always the same on one host")
	fs.Var(&c.hardDeadline, "hard-deadline", "spare a process past its deadline until this, while clients are active; off = spare none")
	duration(&c.activeWithin, "active-within", time.Minute, "a client is active if a byte moved on its connection within this")
	fs.Var(&c.emptyAfter, "empty-after", "time since superseded at which one without client connections is terminated; off = never early")
	fs.Var(&c.idleAfter, "idle-after", "time without a byte on any client connection at which one is terminated; off = never early")
	count(&c.maxResidual, "max-residual", "terminate the oldest residual processes of an instance beyond so many; 0 = no limit")
	fs.Var((*percentValue)(&c.minAvailableMemory), "min-available-memory", "with less, terminate the one that frees most for each client, one a pass; 0 = never")
	fs.Var((*rateValue)(&c.drainRate), "drain-rate", "before SIGTERM close the clients' connections one by one, so many a second; off = do not")
	duration(&c.drainTimeout, "drain-timeout", 5*time.Minute, "drain for at most this long; then SIGTERM")
	duration(&c.killAfter, "kill-after", 0, "SIGKILL this long after SIGTERM; 0s = never")
	count(&c.maxTerminations, "max-terminations", "terminate at most so many per instance and pass; 0 = no cap")
	duration(&c.settle, "settle", 5*time.Second, "how long an unclear picture may take to clear before its instance is refused")
	duration(&c.passTimeout, "pass-timeout", time.Minute, "a pass looks, decides and signals within this")
	list(&c.Instances, "instance", nil, "NAME", notEmpty, "only this instance, by the name that status prints (repeatable)")
	list(&c.Exes, "exe", []string{"haproxy"}, "NAME", executable, "base name or absolute path of HAProxy's executable (repeatable)")
	text(&c.configFile, "config", defaultConfigFile, "FILE", notEmpty, "NAME=value lines, the names being those of the variables")
	boolean(&c.Clients, "clients", "", "status lists who holds each residual process, by peer and local port")
	text(&c.SavedReport, "from", "", "FILE", notEmpty, "status decides again what -o json saved, under these flags; - = standard input")
	choice(&c.Output, "output", "o", "text", []string{"text", "json", "none"}, "what to print on standard output")
	text(&c.Textfile, "textfile", "", "FILE", textfilePath, "write metrics to this .prom file for node_exporter")
	text(&c.StateDir, "state-dir", "", "DIR", notEmpty, "counters and first-seen times; unset = $STATE_DIRECTORY, else "+defaultStateDir)
	text(&c.MasterSocket, "master-socket", "", "PATH", notEmpty, "master CLI; unset = found from the master's arguments, none = not used")
	choice(&c.LogLevel, "log.level", "", "info", []string{"debug", "info", "warn", "error"}, "the least severe messages to log")
	choice(&c.LogFormat, "log.format", "", "text", []string{"text", "json"}, "format of the log on standard error")
	duration(&c.Interval, "interval", 15*time.Second, "serve runs a pass this often")
	list(&c.ListenAddresses, "web.listen-address", []string{"127.0.0.1:12101"}, "ADDRESS", notEmpty, "where serve listens (repeatable)")
	text(&c.WebConfigFile, "web.config.file", "", "FILE", notEmpty, "TLS and basic auth of serve, in the format of Prometheus's exporter-toolkit")
	boolean(&c.SystemdSocket, "web.systemd-socket", "", "serve listens on the sockets that systemd hands over, instead of --web.listen-address")
	return fs
}

// serveFlags are the flags that only serve knows; in variables and the
// configuration file they stand beside all others.
var serveFlags = []string{"interval", "web.listen-address", "web.config.file", "web.systemd-socket"}

// actFlags are those that say how a pass acts, which a check has no use for.
var actFlags = []string{"yes", "deadline", "kill-after", "max-terminations", "settle", "textfile"}

// ErrHelp is the error of Parse when help was asked for.
var ErrHelp = pflag.ErrHelp

// Parse reads the command line, the configuration file and the environment. The
// commands are the words that the command line may have besides flags, the default
// first. An error is one line that names the flag, the variable, or the file and
// line, and wraps the errno of a file that could not be read.
func Parse(args, commands []string, lookupEnv func(string) (string, bool), readFile func(path string, limit int) ([]byte, error)) (*Config, error) {
	// A word that is no command is told before flags that only it would know.
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		if _, err := selectCommand(args[:1], commands); err != nil {
			return nil, err
		}
	}
	// The first reading tells which command, which file, and that all flags are
	// good; the second lays them over what file and variables say.
	first := Config{}
	given := first.flagSet()
	if err := given.Parse(args); err != nil {
		return nil, err
	}
	command, err := selectCommand(given.Args(), commands)
	if err != nil {
		return nil, err
	}
	c := &Config{Command: command, from: map[string]string{}}
	fs := c.flagSet()
	if command == "version" {
		return c, nil
	}
	path, named := configFile(given, lookupEnv)
	if err := c.applyFile(fs, path, named, readFile); err != nil {
		return nil, err
	}
	if err := c.applyEnvironment(fs, lookupEnv); err != nil {
		return nil, err
	}
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	fs.Visit(func(f *pflag.Flag) { c.from[f.Name] = "--" + f.Name })
	if c.StateDir == "" {
		c.StateDir = stateDir(lookupEnv)
	}
	if command == "serve" {
		c.PassArgs = passArgs(c, given)
	}
	return c, c.validate()
}

// selectCommand returns the command that the words which are not flags name, the
// first one where there is no word.
func selectCommand(words, commands []string) (string, error) {
	if len(words) == 0 {
		return commands[0], nil
	}
	if !slices.Contains(commands, words[0]) {
		return "", fmt.Errorf("unknown command %q; the commands are %s", words[0], strings.Join(commands, ", "))
	}
	if len(words) > 1 {
		return "", fmt.Errorf("unexpected argument %q after %s", words[1], words[0])
	}
	return words[0], nil
}

// passArgs returns the arguments of a pass of serve: the flags of serve that reap
// has too, and what makes it a pass of serve. The flags of the command line are
// handed on as flags, since these alone beat the environment and the file, which
// each pass reads anew. They are written from their parsed values: a command line
// can say the same in many ways.
func passArgs(c *Config, given *pflag.FlagSet) []string {
	args := []string{"reap"}
	given.Visit(func(f *pflag.Flag) {
		if slices.Contains(serveFlags, f.Name) {
			return
		}
		if list, ok := f.Value.(repeatable); ok {
			for _, value := range list.all() {
				args = append(args, "--"+f.Name+"="+value)
			}
			return
		}
		args = append(args, "--"+f.Name+"="+f.Value.String())
	})
	// A dry run keeps its state only where the command line names it.
	return append(args, "--yes", "--output=json", "--state-dir="+c.StateDir)
}

// validate refuses what no single value shows.
func (c *Config) validate() error {
	acts := slices.Concat(actFlags, policyFlags, drainFlags)
	switch {
	case c.passTimeout == 0:
		return fmt.Errorf("%s: must be longer than 0s", c.Source("pass-timeout"))
	case c.settle > c.passTimeout && c.from["settle"] != "" && c.from["pass-timeout"] != "":
		return fmt.Errorf("%s (%s) is longer than %s (%s)", c.Source("settle"), durationText(c.settle), c.Source("pass-timeout"), durationText(c.passTimeout))
	case c.Interval == 0:
		return fmt.Errorf("%s: must be longer than 0s", c.Source("interval"))
	case c.Command != "serve" && slices.ContainsFunc(serveFlags, c.OnCommandLine):
		return fmt.Errorf("--%s: only serve has it", serveFlags[slices.IndexFunc(serveFlags, c.OnCommandLine)])
	case c.Command == "serve" && c.OnCommandLine("output"):
		return errors.New("--output: serve prints nothing, it serves")
	case c.Command != "status" && c.OnCommandLine("clients"):
		return fmt.Errorf("--clients: %s does not list them, status does", c.Command)
	case c.Command != "status" && c.OnCommandLine("from"):
		return fmt.Errorf("--from: %s is about this host as it is, status decides again what was saved", c.Command)
	case c.Command == "status" && c.OnCommandLine("textfile"):
		return errors.New("--textfile: status writes nothing, reap --dry-run does")
	case c.Command == "check" && slices.ContainsFunc(acts, c.OnCommandLine):
		return fmt.Errorf("--%s: check changes nothing, and reap alone has a use for it", acts[slices.IndexFunc(acts, c.OnCommandLine)])
	}
	if err := c.validateDrain(); err != nil {
		return err
	}
	return c.validatePolicy()
}

// Source says where the value of a flag came from: the flag, the variable, the file
// and line, or "default". It takes the name without dashes.
func (c *Config) Source(name string) string {
	if from := c.from[name]; from != "" {
		return from
	}
	return "default"
}

// OnCommandLine tells whether a flag was given on the command line. It takes the name
// without dashes.
func (c *Config) OnCommandLine(name string) bool { return c.from[name] == "--"+name }
