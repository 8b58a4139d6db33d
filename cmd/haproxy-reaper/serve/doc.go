// Package serve runs passes as child processes, and tells what they told over HTTP
// and to systemd: metrics, health, a page, a line of status. A pass that it started
// says by Stepper that it gets on.
//
// The package knows how a pass is started, and neither the commands nor their exit
// statuses.
package serve
