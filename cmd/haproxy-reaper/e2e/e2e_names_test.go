package e2e

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// holding is a configuration that keeps its clients without a backend: it waits
// for more than they send.
const holding = `
defaults
    mode tcp
    timeout client 1h
frontend fe
    bind BIND
    tcp-request inspect-delay 1h
    tcp-request content accept if { req.len gt 10000 }
`

// namesakes are ways to have two services of one configuration path.
type namesakes struct {
	name    string
	net     bool // the second in a network namespace of its own
	uid     [2]int
	address [2]string
}

// served is one of two services of the same configuration path.
type served struct {
	b    *bed
	with namesakes
	n    int
}

// brings starts a process of the service, and tells others to finish.
func (s served) brings(told ...process) process {
	b := s.b
	b.t.Helper()
	flags := ""
	for _, p := range told {
		flags += " " + strconv.Itoa(p.PID)
	}
	if flags != "" {
		flags = " -sf" + flags
	}
	before := ids(b.processes())
	b.run(command{
		args: b.shell(s.with.uid[s.n], "exec /usr/sbin/haproxy -D -f "+bedDir+"/web.cfg"+flags),
		env:  []string{"ADDRESS=" + s.with.address[s.n]},
		log:  b.log,
		net:  s.with.net && s.n == 1,
	})
	return b.came(before, true)
}

// hold keeps a client of the service until the test ends.
func (s served) hold() {
	b := s.b
	b.t.Helper()
	enter := b.inside
	if s.with.net && s.n == 1 {
		enter = b.amongClients
	}
	var c net.Conn
	err := enter(func() (err error) {
		if c, err = dialHere(s.with.address[s.n]); err == nil {
			_, err = io.WriteString(c, "hello\n")
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
}

// Two services of one configuration path are told apart by what does not change
// when one of them is reloaded: an operator's --instance, and what was counted,
// go on to mean the same one.
func TestNamesOfTwoServicesOfOnePathStayTheirs(t *testing.T) {
	for _, with := range []namesakes{
		{"in two network namespaces", true, [2]int{102, 102}, [2]string{"127.0.0.1:8000", "127.0.0.1:8000"}},
		{"of two users", false, [2]int{102, 33}, [2]string{"127.0.0.1:8000", "127.0.0.1:8001"}},
		{"at two addresses", false, [2]int{102, 102}, [2]string{"127.0.0.1:8000", "127.0.0.1:8001"}},
	} {
		t.Run(with.name, func(t *testing.T) {
			inEveryRelease(t, func(t *testing.T, b *bed) {
				b.write(bedDir+"/web.cfg", strings.ReplaceAll(holding, "BIND", `"${ADDRESS}"`))
				if with.net {
					b.moveClients()
				}
				one, other := served{b, with, 0}, served{b, with, 1}
				first := one.brings()
				b.until(func() error { return b.age(first, oldEnough) })
				second := other.brings()
				a := b.agent("status").exits(0).raisesNoAlert()
				nameOne, nameOther := a.serves(first), a.serves(second)
				if nameOne == nameOther {
					t.Fatalf("both are %q", nameOne)
				}
				same := func(when string) {
					t.Helper()
					a := b.agent("status").exits(0).raisesNoAlert()
					if got, gotOther := a.serves(first), a.serves(second); got != nameOne || gotOther != nameOther {
						t.Errorf("%s: the services were %q and %q, and are %q and %q", when, nameOne, nameOther, got, gotOther)
					}
				}
				reload := func(s served, p *process, held bool) (old process) {
					t.Helper()
					old = *p
					*p = s.brings(old)
					b.until(func() error {
						if held {
							return b.silent(old)
						}
						return b.gone(old)
					})
					return old
				}

				// With nobody left of it, the first service is the younger one now.
				reload(one, &first, false)
				same("after a reload of the first")
				reload(other, &second, false)
				same("after a reload of the second")

				one.hold()
				other.hold()
				oldOne, oldOther := reload(one, &first, true), reload(other, &second, true)
				same("with a client of each")
				before := b.processes()
				const files = bedDir + "/files"
				b.mkdir(files)
				reap := func(name string) *answer {
					t.Helper()
					return b.agent("reap", "--deadline", "0s", "--instance", name, "--state-dir", files, "--textfile", files+"/reaper.prom").exits(0)
				}
				reap(nameOther).finds(oldOther, isTerminated)
				b.stay(without(before, oldOther)...)
				reload(one, &first, false)
				reload(other, &second, false)
				same("after both were reloaded again")
				before = b.processes()
				reap(nameOne).finds(oldOne, isTerminated)
				b.stay(without(before, oldOne)...)
				for _, name := range []string{nameOne, nameOther} {
					want := fmt.Sprintf("haproxy_reaper_terminated_processes_total{unit=%q} 1\n", name)
					if text := b.read(files + "/reaper.prom"); !strings.Contains(text, want) {
						t.Errorf("no %q in\n%s", want, text)
					}
				}
			})
		})
	}
}
