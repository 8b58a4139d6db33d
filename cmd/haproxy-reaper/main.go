// Command haproxy-reaper terminates residual HAProxy processes: old workers
// that a reload left behind and that still serve old connections. Run it with
// --help for its commands and flags. Package agent has the commands.
package main

import (
	"os"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/agent"
	"github.com/haproxy-reaper/haproxy-reaper/inspect"
)

func main() { os.Exit(agent.Main(inspect.DropEffectiveCapabilities)) }
