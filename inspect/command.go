package inspect

import (
	"bytes"
	"math"
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
	Finish       []int    // pids of -sf and -st, in the PID namespace of the process
	MasterSocket string   // address of the first -S without its bind options, "" without one
	MasterWorker bool     // -W, -Ws; the configuration keyword master-worker cannot be seen here
	Daemon       bool     // -D
	CheckOnly    bool     // -c, -cc, -v, -vv, -dC, -h: checks or prints something and leaves
}

// ParseCommand reads /proc/PID/cmdline: arguments, each ended by a NUL. The
// last NUL may be missing.
func ParseCommand(cmdline []byte) Command {
	if len(cmdline) == 0 {
		return Command{}
	}
	cmdline = bytes.TrimSuffix(cmdline, []byte{0})
	c := Command{Args: strings.Split(string(cmdline), "\x00")}
	for _, o := range options(c.Args[1:]) {
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
	return c
}

// Identity is what stays the same from one reload of a service to the next: its
// arguments without -sf and -st and their pids, and without -x and its socket,
// joined by NULs. The program's name is left out, because the same service is
// started by path here and by name there.
func (c Command) Identity() string {
	if len(c.Args) == 0 {
		return ""
	}
	var same []string
	for _, o := range options(c.Args[1:]) {
		if o.name != "-sf" && o.name != "-st" && o.name != "-x" {
			same = append(append(same, o.arg), o.values...)
		}
	}
	return strings.Join(same, "\x00")
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
