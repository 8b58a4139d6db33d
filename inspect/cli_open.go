package inspect

import (
	"strings"

	"golang.org/x/sys/unix"
)

// maxDepth is how many directories a path may lead down to.
const maxDepth = 64

// openIn opens the place that a path leads to (O_PATH), with a directory for its root:
// an absolute link leads there, and ".." does not lead above it. It follows links by
// their text, so a magic link of /proc leads nowhere else. openat2(2) would do the
// same in one call. systemd's RestrictSUIDSGID= refuses it with ENOSYS (seen with
// 252), since a filter cannot look at its arguments.
func openIn(root, path string) (int, error) {
	const place = unix.O_PATH | unix.O_CLOEXEC
	top, err := retry(func() (int, error) { return unix.Open(root, place|unix.O_DIRECTORY, 0) })
	if err != nil {
		return -1, err
	}
	way := []int{top} // the directories down to where we are
	back := func(to int) {
		for _, fd := range way[to:] {
			unix.Close(fd)
		}
		way = way[:to]
	}
	defer func() { back(0) }()
	for rest, links := path, 0; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		switch name {
		case "", ".":
			continue
		case "..":
			back(max(1, len(way)-1))
			continue
		}
		next, err := retry(func() (int, error) { return unix.Openat(way[len(way)-1], name, place|unix.O_NOFOLLOW, 0) })
		if err != nil {
			return -1, err
		}
		way = append(way, next)
		var st unix.Stat_t
		if err := unix.Fstat(next, &st); err != nil {
			return -1, err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			var target [4096]byte
			n, err := retry(func() (int, error) { return unix.Readlinkat(next, "", target[:]) })
			if err != nil {
				return -1, err
			}
			if links++; links > maxLinks {
				return -1, unix.ELOOP
			}
			back(len(way) - 1)
			if n > 0 && target[0] == '/' {
				back(1)
			}
			rest = string(target[:n]) + "/" + rest
		}
		if len(way) > maxDepth {
			return -1, unix.ENAMETOOLONG
		}
	}
	found := way[len(way)-1]
	way = way[:len(way)-1]
	return found, nil
}
