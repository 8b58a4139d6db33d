package inspect_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/haproxy-reaper/haproxy-reaper/inspect"
	"github.com/haproxy-reaper/haproxy-reaper/inspect/fakehost"
)

func TestSettingsOfAUnit(t *testing.T) {
	const shipped = "[Unit]\nType=no setting of this section\n[Service]\nType=notify\nKillMode=mixed\nRestart=always\n[Install]\nRestart=neither is this\n"
	const lib, etc = "/usr/lib/systemd/system/", "/etc/systemd/system/"
	for _, c := range []struct {
		name, unit string
		files      map[string]string
		want       inspect.UnitSettings
	}{
		{"as shipped", "haproxy.service", map[string]string{lib + "haproxy.service": shipped},
			inspect.UnitSettings{Files: []string{lib + "haproxy.service"}, Type: "notify", KillMode: "mixed", Restart: "always"}},
		{"systemd's defaults", "haproxy.service", map[string]string{lib + "haproxy.service": "[Service]\nExecStart=/bin/haproxy\n"},
			inspect.UnitSettings{Files: []string{lib + "haproxy.service"}, Type: "simple", KillMode: "control-group", Restart: "no"}},
		{"comments, continued lines, and blanks", "haproxy.service", map[string]string{lib + "haproxy.service": "[Service]\n#Type=forking\n; Restart=no\nExecStart=a \\\n# still\n Restart=b\n  Type = exec \nKillMode=process"},
			inspect.UnitSettings{Files: []string{lib + "haproxy.service"}, Type: "exec", KillMode: "process", Restart: "no"}},
		{"values in brackets, and what begins with one, are no sections", "haproxy.service", map[string]string{lib + "haproxy.service": "[Service]\nExecStartPre=/bin/[ -e /x ]\n[no section\nType=notify\n"},
			inspect.UnitSettings{Files: []string{lib + "haproxy.service"}, Type: "notify", KillMode: "control-group", Restart: "no"}},
		{"the administrator's file instead", "haproxy.service", map[string]string{lib + "haproxy.service": shipped, etc + "haproxy.service": "[Service]\nType=exec\n"},
			inspect.UnitSettings{Files: []string{etc + "haproxy.service"}, Type: "exec", KillMode: "control-group", Restart: "no"}},
		{"drop-ins by their names, an empty value being the default", "haproxy.service", map[string]string{
			lib + "haproxy.service": shipped, etc + "haproxy.service.d/20-b.conf": "[Service]\nRestart=\n", lib + "haproxy.service.d/10-a.conf": "[Service]\nRestart=on-failure\nKillMode=none\n",
			etc + "haproxy.service.d/README": "[Service]\nType=oneshot\n"},
			inspect.UnitSettings{Files: []string{lib + "haproxy.service", lib + "haproxy.service.d/10-a.conf", etc + "haproxy.service.d/20-b.conf"}, Type: "notify", KillMode: "none", Restart: "no"}},
		{"of two drop-ins of one name the administrator's", "haproxy.service", map[string]string{
			lib + "haproxy.service": shipped, lib + "haproxy.service.d/a.conf": "[Service]\nRestart=on-abort\n", etc + "haproxy.service.d/a.conf": "[Service]\nKillMode=process\n"},
			inspect.UnitSettings{Files: []string{lib + "haproxy.service", etc + "haproxy.service.d/a.conf"}, Type: "notify", KillMode: "process", Restart: "always"}},
		{"an instance of a template, with drop-ins of either", "haproxy@web.service", map[string]string{
			lib + "haproxy@.service": shipped, etc + "haproxy@.service.d/a.conf": "[Service]\nKillMode=process\nRestart=no\n", etc + "haproxy@web.service.d/b.conf": "[Service]\nRestart=on-success\n"},
			inspect.UnitSettings{Files: []string{lib + "haproxy@.service", etc + "haproxy@.service.d/a.conf", etc + "haproxy@web.service.d/b.conf"}, Type: "notify", KillMode: "process", Restart: "on-success"}},
		{"drop-ins of a family of units", "haproxy-edge.service", map[string]string{
			lib + "haproxy-edge.service": shipped, etc + "haproxy-.service.d/a.conf": "[Service]\nRestart=no\n", etc + "service.d/b.conf": "[Service]\nKillMode=control-group\n"},
			inspect.UnitSettings{Files: []string{lib + "haproxy-edge.service", etc + "haproxy-.service.d/a.conf", etc + "service.d/b.conf"}, Type: "notify", KillMode: "control-group", Restart: "no"}},
		{"a user, and none", "haproxy.service", map[string]string{lib + "haproxy.service": "[Service]\nUser=haproxy\n", etc + "haproxy.service.d/a.conf": "[Service]\nUser=\nUser=www-data\n"},
			inspect.UnitSettings{Files: []string{lib + "haproxy.service", etc + "haproxy.service.d/a.conf"}, Type: "simple", KillMode: "control-group", Restart: "no", User: "www-data"}},
		{"in the root of process 1 rather than ours", "haproxy.service", map[string]string{lib + "haproxy.service": "[Service]\nType=oneshot\n", "/proc/1/root" + lib + "haproxy.service": shipped},
			inspect.UnitSettings{Files: []string{lib + "haproxy.service"}, Type: "notify", KillMode: "mixed", Restart: "always"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := fakehost.New()
			for file, text := range c.files {
				w.Write(file, text)
			}
			got, err := inspect.NewHost(w, nil).UnitSettings(c.unit)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestTheUserOfAUnitIsLookedUpWhereSystemdIs(t *testing.T) {
	const users = "root:x:0:0::/root:/bin/sh\n# haproxy:x:1:\nhaproxy2:x:7:7:::\nhaproxy:x:106:112::/var/lib/haproxy:/usr/sbin/nologin\nbad:x:y:::\n"
	for _, root := range []string{"", "/proc/1/root"} {
		w := fakehost.New()
		w.Write(root+"/etc/passwd", users)
		h := inspect.NewHost(w, nil)
		for name, want := range map[string]struct {
			uid   uint32
			found bool
		}{
			"": {0, true}, "root": {0, true}, "33": {33, true}, "haproxy": {106, true}, "haproxy2": {7, true},
			"haprox": {}, "bad": {}, "-1": {}, "4294967296": {},
		} {
			if uid, found, err := h.UserID(name); uid != want.uid || found != want.found || err != nil {
				t.Errorf("%q is %d, %v, %v; want %+v", name, uid, found, err, want)
			}
		}
	}
	if _, found, err := inspect.NewHost(fakehost.New(), nil).UserID("haproxy"); found || err == nil {
		t.Errorf("where there is no such file: %v, %v", found, err)
	}
}

func TestAUnitThatCannotBeReadIsAnError(t *testing.T) {
	w := fakehost.New()
	if u, err := inspect.NewHost(w, nil).UnitSettings("haproxy.service"); err == nil {
		t.Errorf("settings of a unit without a file: %+v", u)
	}
	w.Write("/etc/systemd/system/haproxy.service", "[Service]\n")
	w.Before = func(_ int, call, about string) error {
		if call == "ReadFile" && about == "/etc/systemd/system/haproxy.service" {
			return unix.EACCES
		}
		return nil
	}
	if u, err := inspect.NewHost(w, nil).UnitSettings("haproxy.service"); !inspect.IsPermission(err) {
		t.Errorf("settings of a file that may not be read: %+v, %v", u, err)
	}
}
