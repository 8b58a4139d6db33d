package inspect

import (
	"bytes"
	"cmp"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// UnitSettings are settings of a systemd service as its files have them, with
// systemd's defaults for those that they leave out. systemd itself goes by what
// it read at the last daemon-reload.
//
// The files are read because that needs no privilege, no bus and no other
// program, and is the same within a container that sees the host. Asking systemd
// (`systemctl show`, D-Bus) would tell what is in force, at the price of running
// or speaking to something as root.
type UnitSettings struct {
	Files                   []string // the unit and its drop-ins, in the order they apply
	Type, KillMode, Restart string
	User                    string // "" is root's
}

// unitDirs are the folders of system units, those that win first (systemd.unit(5),
// "Unit File Load Path").
var unitDirs = []string{
	"/etc/systemd/system.control", "/run/systemd/system.control", "/run/systemd/transient", "/run/systemd/generator.early",
	"/etc/systemd/system", "/etc/systemd/system.attached", "/run/systemd/system", "/run/systemd/system.attached", "/run/systemd/generator",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/generator.late",
}

// UnitSettings reads the files of a unit: in the root of process 1, which is
// systemd's, else in ours.
func (h *Host) UnitSettings(unit string) (UnitSettings, error) {
	var first error
	for _, root := range systemdRoots() {
		u, err := h.unitSettings(root, unit)
		if err == nil {
			return u, nil
		}
		// "May not look" in the one says more than "is not there" in the other.
		if first == nil || IsPermission(err) {
			first = err
		}
	}
	return UnitSettings{}, first
}

// systemdRoots are where its files are looked for: in the root of process 1, else
// in ours.
func systemdRoots() []string { return []string{procPath(1, "root"), ""} }

// maxPasswd bounds what is read of /etc/passwd, in bytes: a hundred thousand users.
const maxPasswd = 16 << 20

// UserID is the uid that User= of a unit stands for: a number, "" for root, or a
// name in /etc/passwd (passwd(5)) of process 1's root, else of ours. It is not
// found where that file has no such name. Other databases of users
// (nsswitch.conf(5)) are not asked: that takes a C library.
func (h *Host) UserID(name string) (uid uint32, found bool, err error) {
	if name == "" {
		return 0, true, nil
	}
	if number, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(number), true, nil
	}
	const file = "/etc/passwd"
	for _, root := range systemdRoots() {
		b, readErr := h.kernel.ReadFile(root+file, maxPasswd)
		if readErr != nil {
			err = readError("users", file, readErr)
			continue
		}
		for line := range bytes.Lines(b) {
			fields := strings.Split(string(line), ":")
			if len(fields) < 3 || fields[0] != name {
				continue
			}
			if number, err := strconv.ParseUint(fields[2], 10, 32); err == nil {
				return uint32(number), true, nil
			}
		}
		return 0, false, nil
	}
	return 0, false, err
}

func (h *Host) unitSettings(root, unit string) (UnitSettings, error) {
	u := UnitSettings{Type: "simple", KillMode: "control-group", Restart: "no"}
	names := []string{unit}
	if prefix, _, isInstance := strings.Cut(unit, "@"); isInstance {
		names = append(names, prefix+"@"+path.Ext(unit))
	}
	file, text, err := h.unitFile(root, names)
	if err != nil {
		return u, err
	}
	u.apply(file, text)
	for _, dropIn := range h.dropIns(root, names) {
		text, err := h.kernel.ReadFile(root+dropIn, factLimit)
		if err != nil {
			return u, readError("unit", dropIn, err)
		}
		u.apply(dropIn, text)
	}
	return u, nil
}

// unitFile finds the unit's own file, or that of its template.
func (h *Host) unitFile(root string, names []string) (file string, text []byte, err error) {
	for _, name := range names {
		for _, dir := range unitDirs {
			file := dir + "/" + name
			text, err := h.kernel.ReadFile(root+file, factLimit)
			if err == nil {
				return file, text, nil
			}
			if !isGone(err) {
				return "", nil, readError("unit", file, err)
			}
		}
	}
	return "", nil, readError("unit", names[0], unix.ENOENT)
}

// dropIns are the unit's drop-ins in the order of their names. Of two of one name
// that of the more particular unit counts, then that of the stronger folder.
func (h *Host) dropIns(root string, names []string) []string {
	found := map[string]string{}
	for _, name := range slices.Concat(names, wider(names[len(names)-1])) {
		for _, dir := range unitDirs {
			dir := dir + "/" + name + ".d"
			files, err := h.kernel.ReadDir(root + dir)
			if err != nil {
				continue
			}
			for _, file := range files {
				if strings.HasSuffix(file, ".conf") && found[file] == "" {
					found[file] = dir + "/" + file
				}
			}
		}
	}
	var list []string
	for _, file := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[file])
	}
	return list
}

// wider are the names that drop-ins of whole families of units go by: "a-.service"
// for a-b.service, and "service".
func wider(unit string) []string {
	kind := path.Ext(unit)
	var names []string
	base := strings.TrimSuffix(unit, kind)
	for i := len(base) - 2; i > 0; i-- {
		if base[i] == '-' {
			names = append(names, base[:i+1]+kind)
		}
	}
	return append(names, strings.TrimPrefix(kind, "."))
}

// apply lays the settings of one file over those of the files before.
func (u *UnitSettings) apply(file string, text []byte) {
	u.Files = append(u.Files, file)
	for _, s := range parseUnit(text) {
		switch s.key {
		case "Type":
			u.Type = cmp.Or(s.value, "simple")
		case "KillMode":
			u.KillMode = cmp.Or(s.value, "control-group")
		case "Restart":
			u.Restart = cmp.Or(s.value, "no")
		case "User":
			u.User = s.value
		}
	}
}

// unitSetting is one assignment of a unit's section Service.
type unitSetting struct{ key, value string }

// parseUnit reads the assignments of the section Service of a unit file
// (systemd.syntax(7)): comments are lines of their own, also among continued
// lines.
func parseUnit(b []byte) []unitSetting {
	var list []unitSetting
	section, pending := "", ""
	for line := range bytes.Lines(b) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "#") || strings.HasPrefix(text, ";") {
			continue
		}
		text = pending + text
		pending = ""
		if more, continued := strings.CutSuffix(text, `\`); continued {
			pending = more + " "
			continue
		}
		if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
			section = text
			continue
		}
		key, value, isSetting := strings.Cut(text, "=")
		if isSetting && section == "[Service]" {
			list = append(list, unitSetting{strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return list
}
