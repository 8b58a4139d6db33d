package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// strayAge is how long after its last write a temporary file of ours belongs to
// nobody: writing one takes milliseconds.
const strayAge = time.Minute

// ReplaceFile writes a file so that readers see the old one or the new one,
// also after a crash: a temporary file beside it, opened O_EXCL, fsync(2),
// rename(2). The mode is perm whatever the umask. The directory may belong to
// another user: no link planted in it is followed, what lay in the file's place
// is replaced. Written by root, the file is the directory's owner's, so that a
// run by hand leaves nothing behind that the agent's own user cannot open.
// Temporary files of runs that were killed are removed. The error does not name
// the path.
func ReplaceFile(path string, content []byte, perm fs.FileMode) error {
	dir, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return cause(err)
	}
	defer dir.Close()
	name := filepath.Base(path)
	sweep(dir, name)
	file, err := renameio.NewPendingFile(name, renameio.WithRoot(dir), renameio.WithStaticPermissions(perm))
	if err != nil {
		return cause(err)
	}
	defer file.Cleanup()
	if d, err := dir.Open("."); err == nil {
		giveToOwner(d, file.File)
		d.Close()
	}
	if _, err := file.Write(content); err != nil {
		return cause(err)
	}
	return cause(file.CloseAtomicallyReplace())
}

// sweep removes the temporary files of name that a killed run left: renameio
// calls them .nameNUMBER.
func sweep(dir *os.Root, name string) {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return // tidying up is no reason to fail
	}
	for _, entry := range entries {
		number, ok := strings.CutPrefix(entry.Name(), "."+name)
		if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
			continue
		}
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > strayAge {
			dir.Remove(entry.Name())
		}
	}
}

// giveToOwner gives a file that root has just made in a directory of another
// user to that user. Without CAP_CHOWN, and for everybody else, it stays as it
// is: then the directory is ours, or we could not have made the file.
func giveToOwner(dir, file *os.File) {
	var st unix.Stat_t
	if os.Geteuid() == 0 && unix.Fstat(int(dir.Fd()), &st) == nil && st.Uid != 0 {
		file.Chown(int(st.Uid), int(st.Gid))
	}
}

// cause is an error without the temporary file's name, which tells nothing.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
