package flags

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-envparse"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// maxConfigFile is far more than every setting on a line of its own.
const maxConfigFile = 1 << 20

// applyFile sets the flags that the configuration file names. Every line is
// checked, also where a variable or a flag will have the last word; a line that
// is not understood is an error, since it may be the one that kept us from
// going live. A file that nobody named need not exist.
func (c *Config) applyFile(fs *pflag.FlagSet, path string, named bool, readFile func(string, int) ([]byte, error)) error {
	b, err := readFile(path, maxConfigFile)
	if err != nil {
		if !named && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)) {
			return nil
		}
		return fmt.Errorf("read configuration file: %s: %w", path, err)
	}
	known := map[string]*pflag.Flag{}
	fs.VisitAll(func(f *pflag.Flag) { known[variable(f.Name)] = f })

	number := 0
	for line := range strings.Lines(string(b)) {
		number++
		place := fmt.Sprintf("%s:%d", path, number)
		name, value, err := parseLine(line)
		if err != nil {
			return fmt.Errorf("%s: %w", place, err)
		}
		if name == "" {
			continue
		}
		flag := known[name]
		switch {
		case flag == nil:
			return fmt.Errorf("%s: unknown setting %s", place, name)
		case flag.Name == "config":
			return fmt.Errorf("%s: %s cannot be set in the file itself", place, name)
		case c.from[flag.Name] != "":
			return fmt.Errorf("%s: %s is set twice, first at %s", place, name, c.from[flag.Name])
		}
		if err := setWhole(flag.Value, value); err != nil {
			return fmt.Errorf("%s: %s: invalid value %q: %w", place, name, value, err)
		}
		c.from[flag.Name] = place
	}
	return nil
}

// parseLine reads one line as a dotenv file has it. The name is empty for a
// blank line and a comment.
func parseLine(line string) (name, value string, err error) {
	settings, err := envparse.Parse(strings.NewReader(line))
	if err != nil {
		var parseErr *envparse.ParseError
		if errors.As(err, &parseErr) {
			err = parseErr.Err // its line number is always 1
		}
		return "", "", err
	}
	for name, value := range settings {
		return name, value, nil
	}
	return "", "", nil
}
