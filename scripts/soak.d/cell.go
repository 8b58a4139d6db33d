package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The ways to run HAProxy that the soak runs each release in.
const (
	plain         = "master-worker"
	externalCheck = "external-check"
	shards        = "shards"
	daemonMode    = "daemon"
)

var kinds = []string{plain, externalCheck, shards, daemonMode}

// cell is one service of the soak: a release of HAProxy, run in one way.
type cell struct {
	root         string // of the release
	major, minor int
	kind         string
	port         int
}

// cells finds the releases in these roots, and makes a service of each kind.
func cells(roots []string) (list []cell, err error) {
	for _, root := range roots {
		text, err := exec.Command("chroot", root, "/usr/sbin/haproxy", "-v").Output()
		if err != nil {
			return nil, fmt.Errorf("HAProxy of %s: %w", root, err)
		}
		number := regexp.MustCompile(`version (\d+)\.(\d+)`).FindStringSubmatch(string(text))
		if number == nil {
			return nil, fmt.Errorf("HAProxy of %s: no version in %q", root, text)
		}
		c := cell{root: root}
		c.major, _ = strconv.Atoi(number[1])
		c.minor, _ = strconv.Atoi(number[2])
		for _, c.kind = range kinds {
			c.port = 8000 + len(list)
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no release of HAProxy to run")
	}
	return list, nil
}

func (c cell) release() string { return fmt.Sprintf("%d.%d", c.major, c.minor) }
func (c cell) name() string    { return "soak-" + c.release() + "-" + c.kind }
func (c cell) unit() string    { return c.name() + ".service" }
func (c cell) daemon() bool    { return c.kind == daemonMode }
func (c cell) address() string { return fmt.Sprintf("127.0.0.1:%d", c.port) }

// mountedRoot is where the machine has the release.
func (c cell) mountedRoot() string { return "/opt/haproxy/" + c.release() }

// sharedDir is the machine's folder for all services, which each release has at
// releaseDir.
const (
	sharedDir  = "/run/soak"
	releaseDir = "/run/bed"
)

func (c cell) file(suffix string) string { return filepath.Join(releaseDir, c.name()+suffix) }

// checkTimeout is when HAProxy itself ends an external check: at its inter, or
// timeout connect, whichever is the shorter.
const checkTimeout = 5 * time.Second

// configuration is the service's: a page that tells who answers. The listening
// sockets are handed on at a reload, so that HAProxy itself loses no connection;
// no old worker is ended by HAProxy for the number of reloads that it has seen.
// An upload that never ends keeps its worker. A connection is taken with its
// request only: one that has sent nothing yet is closed by a worker that is told
// to stop, and a starved client would count that as lost.
func (c cell) configuration() string {
	global, binds, sections, maxconn := "", []string{"bind " + c.address() + " defer-accept"}, "", 900
	switch c.kind {
	case externalCheck:
		// The child of a check closes each descriptor that there may be before it
		// becomes the check, and is the youngest HAProxy with a listener meanwhile.
		maxconn = 2000
		global = "    external-check\n    insecure-fork-wanted\n"
		sections = `
backend checked
    option external-check
    external-check command /bin/true
    server-template s 1-10 127.0.0.1:9 check inter 5s
`
	case shards:
		binds[0] += " shards 4"
		if c.major == 2 && c.minor < 5 {
			// Before there were shards, a line for each socket.
			line := "bind " + c.address() + " defer-accept process 1/"
			binds = []string{line + "1", line + "1", line + "2", line + "2"}
		}
	}
	if c.daemon() {
		global += "    stats socket " + c.file("-stats.sock") + " mode 600 level admin expose-fd listeners\n"
	} else {
		global += "    mworker-max-reloads 100000\n"
		if c.major == 2 && c.minor < 6 {
			global += "    stats socket " + c.file("-stats.sock") + " mode 600 level admin expose-fd listeners\n"
		}
	}
	return `global
    uid 101
    gid 102
    nbthread 2
    maxconn ` + strconv.Itoa(maxconn) + `
` + global + `
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout http-request 1h

frontend web
    ` + strings.Join(binds, "\n    ") + `
    option http-buffer-request
    http-request return status 200 content-type text/plain lf-string "pid %pid\n"
` + sections
}

// service is the unit of the service, as HAProxy ships it, in the root of the
// release; for daemons what an administrator writes.
func (c cell) service() string {
	run := fmt.Sprintf("-f %s -p %s", c.file(".cfg"), c.file(".pid"))
	kind := fmt.Sprintf(`Type=notify
ExecStart=/usr/sbin/haproxy -Ws %[1]s -S %[2]s
ExecReload=/usr/sbin/haproxy -Ws %[1]s -c -q -S %[2]s
ExecReload=/bin/sh -c 'kill -USR2 $MAINPID'
`, run, c.file("-master.sock")+",mode,660,gid,102")
	if c.daemon() {
		kind = fmt.Sprintf(`Type=forking
PIDFile=%[3]s
ExecStart=/usr/sbin/haproxy -D %[1]s
ExecReload=/bin/sh -c 'exec /usr/sbin/haproxy -D %[1]s -x %[2]s -sf $(cat %[4]s)'
`, run, c.file("-stats.sock"), filepath.Join(sharedDir, c.name()+".pid"), c.file(".pid"))
	}
	return `[Unit]
StartLimitIntervalSec=0
[Service]
RootDirectory=` + c.mountedRoot() + `
MountAPIVFS=yes
BindPaths=` + sharedDir + `:` + releaseDir + `
` + kind + `KillMode=mixed
Restart=always
RestartSec=100ms
SuccessExitStatus=143
LimitNOFILE=5000
`
}

// roots are the folders that scripts/soak has prepared, divided by colons.
func roots() []string { return filepath.SplitList(os.Getenv("HAPROXY_REAPER_HAPROXY_ROOTS")) }
