package agent

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

// config is what the defaults, the configuration file, the environment and the
// flags come to, each laid over the one before.
type config struct {
	command subcommand

	dryRun, yes, clients                     switchValue
	deadline, killAfter, settle, passTimeout durationValue
	maxTerminations                          countValue
	deadlineFor                              []string
	deadlineJitter, activeWithin             durationValue
	hardDeadline, emptyAfter, idleAfter      optionalValue
	maxResidual                              countValue
	minAvailableMemory                       percentValue
	drainRate                                rateValue
	drainTimeout                             durationValue
	instances, exes                          []string
	configFile, output, textfile, stateDir   string
	savedReport                              string
	masterSocket, logLevel, logFormat        string

	// Of serve.
	interval        durationValue
	listenAddresses []string
	webConfigFile   string
	systemdSocket   switchValue
	passArgs        []string // arguments of the passes that it runs

	// from tells for each flag that was set where its value came from: the
	// flag, the variable, or the file and line.
	from map[string]string
}

// flags defines every flag with its default, in the order of --help. Each is a
// variable and a line of the configuration file too, see variable.
func (c *config) flags() *pflag.FlagSet {
	fs := pflag.NewFlagSet("haproxy-reaper", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Usage = func() {}

	boolean := func(v *switchValue, name, short, help string) {
		fs.VarPF(v, name, short, help).NoOptDefVal = "true"
	}
	duration := func(v *durationValue, name string, value time.Duration, help string) {
		*v = durationValue(value)
		fs.Var(v, name, help)
	}
	text := func(v *string, name, value, kind string, check func(string) error, help string) {
		*v = value
		fs.Var(textValue{v, kind, check}, name, help)
	}
	list := func(v *[]string, name string, value []string, kind string, check func(string) error, help string) {
		*v = value
		fs.Var(&listValue{values: v, kind: kind, check: check}, name, help)
	}
	choice := func(v *string, name, short, value string, choices []string, help string) {
		*v = value
		fs.VarP(choiceValue{v, choices}, name, short, help)
	}

	boolean(&c.dryRun, "dry-run", "n", "decide and report as usual, signal nobody; DRYRUN=1 does the same")
	boolean(&c.yes, "yes", "y", "reap without asking")
	duration(&c.deadline, "deadline", 30*time.Minute, "time since superseded at which a residual process is terminated; 0s = at once")
	list(&c.deadlineFor, "deadline-for", nil, "PORT=DURATION", portDeadline, "deadline of the client connections of a local port, such as 22=24h (repeatable)")
	duration(&c.deadlineJitter, "deadline-jitter", 0, "put every deadline off by a part of this, always the same on one host")
	fs.Var(&c.hardDeadline, "hard-deadline", "spare a process past its deadline until this, while clients are active; off = spare none")
	duration(&c.activeWithin, "active-within", time.Minute, "a client is active if a byte moved on its connection within this")
	fs.Var(&c.emptyAfter, "empty-after", "time since superseded at which one without client connections is terminated; off = never early")
	fs.Var(&c.idleAfter, "idle-after", "time without a byte on any client connection at which one is terminated; off = never early")
	fs.Var(&c.maxResidual, "max-residual", "terminate the oldest residual processes of an instance beyond so many; 0 = no limit")
	fs.Var(&c.minAvailableMemory, "min-available-memory", "with less, terminate the one that frees most for each client, one a pass; 0 = never")
	fs.Var(&c.drainRate, "drain-rate", "before SIGTERM close the clients' connections one by one, so many a second; off = do not")
	duration(&c.drainTimeout, "drain-timeout", 5*time.Minute, "drain for at most this long; then SIGTERM")
	duration(&c.killAfter, "kill-after", 0, "SIGKILL this long after SIGTERM; 0s = never")
	fs.Var(&c.maxTerminations, "max-terminations", "terminate at most so many per instance and pass; 0 = no cap")
	duration(&c.settle, "settle", 5*time.Second, "how long an unclear picture may take to clear before its instance is refused")
	duration(&c.passTimeout, "pass-timeout", time.Minute, "a pass looks, decides and signals within this")
	list(&c.instances, "instance", nil, "NAME", notEmpty, "only this instance, by the name that status prints (repeatable)")
	list(&c.exes, "exe", []string{"haproxy"}, "NAME", executable, "base name or absolute path of HAProxy's executable (repeatable)")
	text(&c.configFile, "config", defaultConfigFile, "FILE", notEmpty, "NAME=value lines, the names being those of the variables")
	boolean(&c.clients, "clients", "", "status lists who holds each residual process, by peer and local port")
	text(&c.savedReport, "from", "", "FILE", notEmpty, "status decides again what -o json saved, under these flags; - = standard input")
	choice(&c.output, "output", "o", "text", []string{"text", "json", "none"}, "what to print on standard output")
	text(&c.textfile, "textfile", "", "FILE", textfilePath, "write metrics to this .prom file for node_exporter")
	text(&c.stateDir, "state-dir", "", "DIR", notEmpty, "counters and first-seen times; unset = $STATE_DIRECTORY, else "+defaultStateDir)
	text(&c.masterSocket, "master-socket", "", "PATH", notEmpty, "master CLI; unset = found from the master's arguments, none = not used")
	choice(&c.logLevel, "log.level", "", "info", []string{"debug", "info", "warn", "error"}, "the least severe messages to log")
	choice(&c.logFormat, "log.format", "", "text", []string{"text", "json"}, "format of the log on standard error")
	duration(&c.interval, "interval", 15*time.Second, "serve runs a pass this often")
	list(&c.listenAddresses, "web.listen-address", []string{"127.0.0.1:12101"}, "ADDRESS", notEmpty, "where serve listens (repeatable)")
	text(&c.webConfigFile, "web.config.file", "", "FILE", notEmpty, "TLS and basic auth of serve, in the format of Prometheus's exporter-toolkit")
	boolean(&c.systemdSocket, "web.systemd-socket", "", "serve listens on the sockets that systemd hands over, instead of --web.listen-address")
	return fs
}

// serveFlags are the flags that only serve knows; in variables and the
// configuration file they stand beside all others.
var serveFlags = []string{"interval", "web.listen-address", "web.config.file", "web.systemd-socket"}

// actFlags are those that say how a pass acts, which a check has no use for.
var actFlags = []string{"yes", "deadline", "kill-after", "max-terminations", "settle", "textfile"}

// parseConfig reads the command line, the configuration file and the
// environment. The error is one line that names the flag, the variable, or the
// file and line; it is pflag.ErrHelp when help was asked for.
func parseConfig(args []string, lookupEnv func(string) (string, bool), readFile func(string, int) ([]byte, error)) (*config, error) {
	// A word that is no command is told before flags that only it would know.
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		if _, err := selectCommand(args[:1]); err != nil {
			return nil, err
		}
	}
	// The first reading tells which command, which file, and that all flags are
	// good; the second lays them over what file and variables say.
	first := config{}
	given := first.flags()
	if err := given.Parse(args); err != nil {
		return nil, err
	}
	command, err := selectCommand(given.Args())
	if err != nil {
		return nil, err
	}
	c := &config{command: command, from: map[string]string{}}
	fs := c.flags()
	if command.name == "version" {
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
	if c.stateDir == "" {
		c.stateDir = stateDir(lookupEnv)
	}
	if command.name == "serve" {
		c.passArgs = passArgs(c, given)
	}
	return c, c.validate()
}

// selectCommand finds the command in the words that are not flags.
func selectCommand(words []string) (subcommand, error) {
	known := commands()
	if len(words) == 0 {
		return known[0], nil
	}
	for _, c := range known {
		if c.name != words[0] {
			continue
		}
		if len(words) > 1 {
			return subcommand{}, fmt.Errorf("unexpected argument %q after %s", words[1], c.name)
		}
		return c, nil
	}
	return subcommand{}, fmt.Errorf("unknown command %q; the commands are %s", words[0], commandNames())
}

// validate refuses what no single value shows.
func (c *config) validate() error {
	acts := slices.Concat(actFlags, policyFlags, drainFlags)
	switch {
	case c.passTimeout == 0:
		return fmt.Errorf("%s: must be longer than 0s", c.source("pass-timeout"))
	case c.settle > c.passTimeout && c.from["settle"] != "" && c.from["pass-timeout"] != "":
		return fmt.Errorf("%s (%s) is longer than %s (%s)", c.source("settle"), &c.settle, c.source("pass-timeout"), &c.passTimeout)
	case c.interval == 0:
		return fmt.Errorf("%s: must be longer than 0s", c.source("interval"))
	case c.command.name != "serve" && slices.ContainsFunc(serveFlags, c.onCommandLine):
		return fmt.Errorf("--%s: only serve has it", serveFlags[slices.IndexFunc(serveFlags, c.onCommandLine)])
	case c.command.name == "serve" && c.onCommandLine("output"):
		return errors.New("--output: serve prints nothing, it serves")
	case c.command.name != "status" && c.onCommandLine("clients"):
		return fmt.Errorf("--clients: %s does not list them, status does", c.command.name)
	case c.command.name != "status" && c.onCommandLine("from"):
		return fmt.Errorf("--from: %s is about this host as it is, status decides again what was saved", c.command.name)
	case c.command.name == "status" && c.onCommandLine("textfile"):
		return errors.New("--textfile: status writes nothing, reap --dry-run does")
	case c.command.name == "check" && slices.ContainsFunc(acts, c.onCommandLine):
		return fmt.Errorf("--%s: check changes nothing, and reap alone has a use for it", acts[slices.IndexFunc(acts, c.onCommandLine)])
	}
	if err := c.validateDrain(); err != nil {
		return err
	}
	return c.validatePolicy()
}

// source says where a setting's value came from.
func (c *config) source(name string) string {
	if from := c.from[name]; from != "" {
		return from
	}
	return "default"
}

// onCommandLine tells whether a flag was given on the command line.
func (c *config) onCommandLine(name string) bool { return c.from[name] == "--"+name }
