package inspect

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Command is a command line of HAProxy, read by HAProxy's own grammar (1.5 to
// 3.5): the first letters name the option, and a value is always the next
// argument, whatever it looks like. A process may overwrite its command line,
// so it is evidence only together with what the kernel says.
type Command struct {
	Args []string // all of them, the program's name first

	Config       []string // values of -f and what follows --, files or directories
	ChangeDir    string   // value of the last -C, which relative paths start from; "" without one
	Finish       []int    // pids of -sf and -st, in the PID namespace of the process; sorted, each once
	MasterSocket string   // address of the first -S without its bind options, "" without one
	MasterWorker bool     // -W, -Ws; the configuration keyword master-worker cannot be seen here
	Daemon       bool     // -D
	CheckOnly    bool     // -c, -cc, -v, -vv, -dC, -h: checks or prints something and leaves

	// What is compared with others is a digest that is made once: arguments may be
	// as long as a megabyte.
	sum         string // of Args
	independent string // of the options whose order does not matter
}

// Sum is a digest (SHA-256) of all arguments, in their order.
func (c Command) Sum() string { return c.sum }

// digest is the SHA-256 of a list of texts, none of which holds a NUL.
func digest(texts []string) string {
	h := sha256.New()
	for _, text := range texts {
		io.WriteString(h, text)
		h.Write([]byte{0})
	}
	return string(h.Sum(nil))
}

// ParseCommand reads /proc/PID/cmdline: arguments, each ended by a NUL. The
// last NUL may be missing.
func ParseCommand(cmdline []byte) Command {
	if len(cmdline) == 0 {
		return Command{}
	}
	cmdline = bytes.TrimSuffix(cmdline, []byte{0})
	c := Command{Args: strings.Split(string(cmdline), "\x00")}
	c.sum = digest(c.Args)
	var independent []string
	for _, o := range options(c.Args[1:]) {
		switch o.name {
		case "-sf", "-st", "-x", "-p", "-C", "-f", "--":
		default:
			independent = append(independent, strings.Join(append([]string{o.arg}, o.values...), "\x00"))
		}
		switch {
		case o.name == "--":
			c.Config = append(c.Config, o.values...)
		case o.name == "-sf", o.name == "-st":
			for _, v := range o.values {
				pid, _ := oldPID(v)
				c.Finish = append(c.Finish, pid)
			}
		case o.name == "-f":
			c.Config = append(c.Config, o.values...)
		case o.name == "-C" && len(o.values) > 0:
			c.ChangeDir = o.values[0]
		case o.name == "-S" && c.MasterSocket == "" && len(o.values) > 0:
			c.MasterSocket, _, _ = strings.Cut(o.values[0], ",")
		case o.name == "-W":
			c.MasterWorker = true
		case o.name == "-D":
			c.Daemon = true
		case o.name == "-c", o.name == "-cc", o.name == "-v", o.name == "-dC", o.name == "-h":
			c.CheckOnly = true
		}
	}
	slices.Sort(c.Finish)
	c.Finish = slices.Compact(c.Finish)
	slices.Sort(independent)
	c.independent = digest(slices.Compact(independent))
	return c
}

// Identity is a digest of what the starts of one service have in common, as parsed
// options; "" without arguments. It leaves out the program's path, -sf, -st, -x, the pid file and the order of
// independent options. Configuration paths are resolved from dir, see
// ConfigPaths, and keep their order. Two services may have one identity: a
// variable in the configuration can set their ports apart.
func (c Command) Identity(dir string) string {
	if len(c.Args) == 0 {
		return ""
	}
	return digest(append([]string{c.independent}, c.ConfigPaths(dir)...))
}

// ConfigPaths are the configuration's paths, made absolute by -C or by dir, the
// working directory of the process. A relative path stays as it is where both
// are unknown.
func (c Command) ConfigPaths(dir string) []string {
	if path.IsAbs(c.ChangeDir) {
		dir = c.ChangeDir
	}
	list := make([]string, 0, len(c.Config))
	for _, name := range c.Config {
		if dir != "" && !path.IsAbs(name) {
			name = path.Join(dir, name)
		}
		list = append(list, path.Clean(name))
	}
	return list
}

// needsDir tells whether the working directory is part of what the arguments
// mean.
func (c Command) needsDir() bool {
	return !path.IsAbs(c.ChangeDir) && slices.ContainsFunc(c.Config, func(name string) bool { return !path.IsAbs(name) })
}

// option is one argument and those that belong to it.
type option struct {
	name   string // what HAProxy takes it for: "-f" for "-foo" too, "" for no option
	arg    string // as it was written
	values []string
}

// options groups the arguments after the program's name.
func options(args []string) []option {
	var list []option
	for len(args) > 0 {
		o := option{name: optionName(args[0]), arg: args[0]}
		args = args[1:]
		n := 0
		switch o.name {
		case "--":
			n = len(args)
		case "-sf", "-st":
			for n < len(args) {
				if _, ok := oldPID(args[n]); !ok {
					break
				}
				n++
			}
		case "-f", "-p", "-n", "-m", "-N", "-C", "-L", "-S", "-x", "-cc":
			n = min(1, len(args))
		}
		// The value that -dt (3.1 and later) may have is no option: it stands for itself.
		o.values, args = args[:n:n], args[n:]
		list = append(list, o)
	}
	return list
}

// optionName reduces an argument to the letters that HAProxy looks at.
func optionName(arg string) string {
	if len(arg) < 2 || arg[0] != '-' {
		return ""
	}
	if arg == "--" {
		return arg
	}
	for _, two := range []string{"-sf", "-st", "-cc", "-dC"} {
		if strings.HasPrefix(arg, two) {
			return two
		}
	}
	return arg[:2]
}

// oldPID reads a member of a -sf or -st list; the list ends before the first
// argument that is none.
func oldPID(arg string) (int, bool) {
	pid, err := strconv.Atoi(strings.Trim(arg, " \t\n\v\f\r"))
	return pid, err == nil && pid > 0 && pid <= math.MaxInt32
}
