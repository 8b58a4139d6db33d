package inspect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Configuration is what the files of an instance say now. What its processes
// read when they were started may have been something else; Changed is all that
// is known of that.
type Configuration struct {
	Files    []string // as HAProxy was told them, directories opened, in the order it reads them
	Settings Settings
	// Err is the first failure to read: then a setting that was not found may
	// stand where we did not get to.
	Err error

	// Changed is when one of the files, or of the names that lead to them, last
	// changed (Kernel.Changed, wall clock). A process that was started later read
	// what is there now, as far as this goes: HAProxy up to 3.0 reads in the
	// moments before its worker is started, a clock that was set makes the two
	// times strangers, and a directory on the way that was moved into place keeps
	// its files' times. That is evidence, no proof.
	Changed time.Time
	// ChangedErr says that it is unknown, and then Changed says nothing.
	ChangedErr error
}

// The most that is read of the configuration of one process: bytes, and files.
// HAProxy since 3.1 takes no file of more than 10 MiB.
const (
	configLimit = 64 << 20
	configFiles = 1000
)

// errNoConfig says that a process names no configuration in its arguments.
var errNoConfig = errors.New("no configuration in its arguments")

var errManyFiles = fmt.Errorf("not read: it comes after %d others", configFiles)

// Configuration reads the settings of the configuration that a process was
// started with, until the context ends. Its files may be of any kind and size, and
// a file system may not answer: then the reading goes on by itself, and
// Configuration returns with the context's cause.
//
// The files are opened with this program's rights. The caller sees to it that the
// process is not a stranger's.
func (h *Host) Configuration(ctx context.Context, s Snapshot, p *Process) Configuration {
	if len(p.Command.Config) == 0 {
		return unreadConfiguration(errNoConfig)
	}
	done := make(chan Configuration, 1)
	go func() { done <- h.readConfiguration(ctx, s, p) }()
	select {
	case c := <-done:
		return c
	case <-ctx.Done():
		return unreadConfiguration(readError("configuration", p.Command.Config[0], context.Cause(ctx)))
	}
}

func unreadConfiguration(err error) Configuration { return Configuration{Err: err, ChangedErr: err} }

func (h *Host) readConfiguration(ctx context.Context, s Snapshot, p *Process) Configuration {
	var c Configuration
	left := configLimit
	for _, named := range configNames(s, p) {
		files, isDirectory := h.openDirectory(named)
		h.noteChange(&c, named) // of a directory too: a file that is gone has no time of its own
		for _, file := range files {
			if len(c.Files) == configFiles {
				c.Err = cmp.Or(c.Err, readError("configuration", file.name, errManyFiles))
				return c
			}
			c.Files = append(c.Files, file.name)
			if isDirectory {
				h.noteChange(&c, file)
			}
			err := h.readSettings(ctx, &c.Settings, file, &left)
			if err != nil && c.Err == nil {
				c.Err = readError("configuration", file.name, err)
			}
			if ctx.Err() != nil {
				return c
			}
		}
	}
	return c
}

// readSettings reads one file, of which left bytes may be read.
func (h *Host) readSettings(ctx context.Context, all *Settings, file configFile, left *int) error {
	f, err := h.kernel.OpenNamed(file.path())
	if err != nil {
		return err
	}
	defer f.Close()
	return all.parseSettings(file.name, boundedReader{ctx, f, left})
}

// boundedReader reads until the context ends, or left bytes were read.
type boundedReader struct {
	ctx  context.Context
	file io.Reader
	left *int
}

func (r boundedReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	n, err := r.file.Read(p[:min(len(p), *r.left+1)]) // one more tells a longer file
	if *r.left -= n; *r.left < 0 {
		*r.left = 0
		return 0, unix.EFBIG
	}
	return n, err
}

func (h *Host) noteChange(c *Configuration, file configFile) {
	at, err := h.lastChange(file)
	switch {
	case err != nil && c.ChangedErr == nil:
		c.ChangedErr = readError("time of its last change", file.name, err)
	case at.After(c.Changed):
		c.Changed = at
	}
}

// maxLinks is how many symbolic links a path is followed through, as the kernel
// does (path_resolution(7)).
const maxLinks = 40

// lastChange is the last change of a file and of each symbolic link on the way to
// it: a link that is turned to an older file makes a new configuration.
func (h *Host) lastChange(file configFile) (time.Time, error) {
	root := file.base
	if strings.HasSuffix(file.base, "/cwd") {
		root = path.Dir(file.base) + "/root"
	}
	at, rest := file.base, strings.TrimPrefix(file.name, "/")
	var latest time.Time
	for links := 0; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			switch at {
			case root: // is above itself
			case file.base:
				return latest, unix.EXDEV // above a working directory: we have no name for that
			default:
				at = at[:strings.LastIndexByte(at, '/')]
			}
			continue
		}
		next := at + "/" + name
		target, err := h.kernel.Readlink(next)
		isLink := err == nil
		if err != nil && !errors.Is(err, unix.EINVAL) {
			return latest, err
		}
		if isLink || strings.Trim(rest, "/.") == "" {
			changed, err := h.kernel.Changed(next)
			if err != nil {
				return latest, err
			}
			if changed.After(latest) {
				latest = changed
			}
		}
		if !isLink {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return latest, unix.ELOOP
		}
		rest = target + "/" + rest
		if strings.HasPrefix(target, "/") {
			at = root
		}
	}
	return latest, nil
}

// configFile is a configuration file as HAProxy was told it, and the directory
// that this name is to be followed from: "" for our root.
type configFile struct{ base, name string }

func (f configFile) path() string {
	if strings.HasPrefix(f.name, "/") {
		return f.base + f.name
	}
	return f.base + "/" + f.name
}

// configNames are the paths in a process's arguments. A worker may have changed
// its root (chroot) since it read them, so a process of our own mount namespace
// is taken to mean our root; a master, and a process of another mount namespace,
// its own.
func configNames(s Snapshot, p *Process) []configFile {
	var names []configFile
	for _, name := range p.Command.Config {
		file := configFile{procPath(p.PID, "root"), name}
		switch {
		case !strings.HasPrefix(name, "/"):
			file.base = procPath(p.PID, "cwd")
		case !p.Signals.Master() && p.MntNS == s.MntNS:
			file.base = ""
		}
		names = append(names, file)
	}
	return names
}

// openDirectory is the file itself, or the .cfg files of that directory, as
// HAProxy's -f takes either.
func (h *Host) openDirectory(file configFile) (files []configFile, isDirectory bool) {
	names, err := h.kernel.ReadDir(file.path())
	if err != nil {
		return []configFile{file}, false
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".cfg") && !strings.HasPrefix(n, ".") {
			files = append(files, configFile{file.base, path.Join(file.name, n)})
		}
	}
	return files, true
}
