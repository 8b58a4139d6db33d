package e2e

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/check"
)

// HAProxy's addresses of -S are its own: no library reads `*:9999`. Where they tell
// the socket, it is asked; where they do not, status says why it is not, and no
// name is looked up by DNS.
func TestTheMasterCLIIsFoundWhereverItIsBound(t *testing.T) {
	for _, test := range []struct {
		name, address string
		unasked       string // why it is not asked; "" where it is
	}{
		{"any address", "*:9999", ""},
		{"any of IPv4", "ipv4@*:9997", ""},
		{"any of IPv6", "ipv6@:::9995", ""},
		{"any of IPv6, with bind options", "ipv6@*:9995,v4v6,level,admin", ""},
		{"one address", "127.0.0.1:9992", ""},
		{"a path", bedDir + "/own.sock", ""},
		{"a path through a link", "/var/run/bed/own.sock", ""},
		{"a path with its family", "unix@" + bedDir + "/own.sock", ""},
		{"an abstract name", "abns@own", ""},
		{"a descriptor", "fd@3", "a descriptor"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inEveryRelease(t, func(t *testing.T, b *bed) {
				with := setup{masterCLI: test.address}
				if test.name == "a descriptor" {
					with.inherit = []*os.File{b.listener("127.0.0.1:9990")}
				}
				s := b.startService("web", with)
				in := b.agent("status").exits(0).instance(s.active())
				if asked := slices.Contains(in.Witnesses, "cli"); asked != (test.unasked == "") {
					t.Errorf("-S %s: asked %v (%s)", test.address, asked, in.CLIError)
				}
				if !strings.Contains(in.CLIError, test.unasked) || test.unasked == "" && in.CLIError != "" {
					t.Errorf("-S %s: the error is %q, want %q", test.address, in.CLIError, test.unasked)
				}
			})
		})
	}
}

// The kernel says which process listens on a socket. With -D that is the one that HAProxy
// forks its master from, and it has gone.
func TestTheMasterCLIIsAskedHoweverTheMasterWasStarted(t *testing.T) {
	for name, with := range map[string]setup{
		"in the background": {flags: []string{"-D"}},
		"in a container":    {container: true},
		"for systemd":       {notify: true},
	} {
		t.Run(name, func(t *testing.T) {
			inEveryRelease(t, func(t *testing.T, b *bed) {
				s := b.startService("web", with)
				old := s.makeResidual(1, 1)[0]
				in := b.agent("status").exits(0).instance(old)
				if !slices.Contains(in.Witnesses, "cli") || in.CLIError != "" || !slices.Contains(b.agent("status").process(old).Evidence, "stopping") {
					t.Errorf("checked by %v; the error is %q", in.Witnesses, in.CLIError)
				}
			})
		})
	}
}

// Root asks masters of root's, and those of the user that owns the socket that the
// operator named.
func TestTheMasterCLIOfAnotherUserIsAskedWhereTheOperatorNamedIt(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.ownedBy(uidOf(t, "haproxy"), bedDir+"/own")
	text := strings.ReplaceAll(tcpOnly, "    user haproxy\n    group haproxy\n", "")
	s := b.startService("own/web", setup{uid: uidOf(t, "haproxy"), text: text})
	in := b.agent("status").exits(0).instance(s.active())
	if slices.Contains(in.Witnesses, "cli") || !strings.Contains(in.CLIError, "the master runs as haproxy, which is neither root nor the user of this program") {
		t.Errorf("by its arguments: checked by %v; the error is %q", in.Witnesses, in.CLIError)
	}
	b.advises("master CLI not asked: the master runs as haproxy, which is neither root nor the user of this program")
	b.check(command{}).exits(0).finds(check.FindMasterCLI, check.Warning, "the master runs as haproxy")
	in = b.agent("status", "--master-socket", s.cli).exits(0).instance(s.active())
	if !slices.Contains(in.Witnesses, "cli") || in.CLIError != "" {
		t.Errorf("by --master-socket: checked by %v; the error is %q", in.Witnesses, in.CLIError)
	}
}

// HAProxy finds localhost in /etc/hosts, and another name with a name server.
func TestTheMasterCLIOfANameIsNotAsked(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{masterCLI: "localhost:9991"})
	in := b.agent("status").exits(0).instance(s.active())
	if slices.Contains(in.Witnesses, "cli") || !strings.Contains(in.CLIError, "the name of a host") {
		t.Errorf("checked by %v; the error is %q", in.Witnesses, in.CLIError)
	}
	b.advises("no master CLI: -S localhost:9991 is by the name of a host, which is not looked up")
	b.check(command{}).exits(0).finds(check.FindMasterCLI, check.Warning, "the name of a host, which is not looked up")
}

// listener is a listening TCP socket of the bed, to be handed to a process.
func (b *bed) listener(address string) (f *os.File) {
	b.t.Helper()
	err := b.inside(func() error {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		defer l.Close()
		f, err = l.(*net.TCPListener).File()
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { f.Close() })
	return f
}
