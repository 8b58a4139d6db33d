package flags

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// variablePrefix begins the name of every environment variable.
const variablePrefix = "HAPROXY_REAPER_"

// variable is the name of a flag in the environment and the configuration file.
func variable(flag string) string {
	return variablePrefix + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(flag))
}

// applyEnvironment sets every flag whose variable is not empty. DRYRUN, of any
// value at all, means dry run: one who sets it to "no" or "0" is asked to use
// the flag, rather than surprised by a live run.
func (c *Config) applyEnvironment(fs *pflag.FlagSet, lookupEnv func(string) (string, bool)) error {
	var err error
	fs.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value, _ := lookupEnv(name)
		if value == "" || err != nil {
			return
		}
		if setErr := setWhole(f.Value, value); setErr != nil {
			err = fmt.Errorf("%s: invalid value %q: %w", name, value, setErr)
			return
		}
		c.from[f.Name] = name
	})
	if value, _ := lookupEnv("DRYRUN"); value != "" {
		c.DryRun = true
		c.from["dry-run"] = "DRYRUN"
	}
	return err
}

// configFile is the configuration file's path, and whether someone named it.
func configFile(given *pflag.FlagSet, lookupEnv func(string) (string, bool)) (path string, named bool) {
	flag := given.Lookup("config")
	if flag.Changed {
		return flag.Value.String(), true
	}
	if value, _ := lookupEnv(variable("config")); value != "" {
		return value, true
	}
	return defaultConfigFile, false
}

// stateDir is where systemd (StateDirectory=, a list separated by colons) or
// tradition puts our state.
func stateDir(lookupEnv func(string) (string, bool)) string {
	list, _ := lookupEnv("STATE_DIRECTORY")
	if dir, _, _ := strings.Cut(list, ":"); dir != "" {
		return dir
	}
	return defaultStateDir
}
