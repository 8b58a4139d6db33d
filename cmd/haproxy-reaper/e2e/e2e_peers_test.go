package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

// An old worker pushes its stick tables to the new one over connections of the
// peers section. They are no clients, their listener is nobody's to keep, and
// what was pushed outlives who pushed it.
func TestStickTablesOfAResidualAreWithTheActiveWhenItIsReaped(t *testing.T) {
	inEveryModel(t, func(t *testing.T, b *bed, model judge.Model) {
		s := b.startService("web", setup{
			model:    model,
			flags:    []string{"-L", "here"},
			sections: "    stick-table type ip size 1k expire 1h store gpc0 peers others\n    stick on src\npeers others\n    peer here 127.0.0.1:10000\n",
		})
		old := s.makeResidual(1, 1)[0]
		learned := func() error {
			if b.number() == 206 {
				return nil // of 2.6.12 nothing arrived in 40 seconds, with no agent about
			}
			if table := b.ask(bedDir+"/web-stats.sock", "show table be"); !strings.Contains(table, "key=127.0.0.1") {
				return fmt.Errorf("the active worker's table: %q", table)
			}
			return nil
		}
		b.until(learned)
		a := s.reapsExactly(old)
		if got := a.process(old).Connections.Client; got == nil || *got != 1 {
			t.Errorf("clients of %v: %v, want 1", old.ProcID, got)
		}
		if err := learned(); err != nil {
			t.Error(err)
		}
	})
}
