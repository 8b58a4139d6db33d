package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// bedFloodName is the name the test binary runs under to become a flood: `bed-flood
// ADDRESS REQUEST`.
const bedFloodName = "bed-flood"

// A flood has so many connections at once, and ends by itself after so long.
const (
	floodClients = 3000
	floodTime    = 2 * time.Minute
)

// bedFlood connects, says the same each time, and connects again as soon as it is
// hung up on. It prints how many connections that were so far, when there are
// floodClients more.
func bedFlood() {
	address, request := os.Args[1], os.Args[2]
	time.AfterFunc(floodTime, func() { os.Exit(0) })
	var all atomic.Int64
	var clients sync.WaitGroup
	for range floodClients {
		clients.Go(func() {
			for {
				c, err := net.DialTimeout("tcp", address, floodTime)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				io.WriteString(c, request)
				if n := all.Add(1); n >= floodClients && n%500 == 0 {
					fmt.Println(n)
				}
				io.Copy(io.Discard, c)
				c.Close()
			}
		})
	}
	clients.Wait()
}
