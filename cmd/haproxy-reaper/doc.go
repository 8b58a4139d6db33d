// Command haproxy-reaper terminates residual HAProxy processes: old workers
// that a reload left behind and that still serve old connections. It looks at
// the host (package inspect), decides (package reaper), and prints what it saw,
// decided and did; run it with --help for its commands and flags.
//
// Standard output carries the result, standard error the log. This package
// alone knows flags, exit statuses, words for people and where files lie; the
// packages below return what happened and never print or exit.
package main
