// Package metrics tells Prometheus what a pass found and did.
//
// Every metric is in one table, families.go. All are const metrics made from
// one Input, never long-lived vectors: nothing of an earlier pass can linger in
// them, and no label value outlives its instance by accident.
//
//   - Gauges describe the end of the pass: a process that has left is not
//     counted. One that could not be read is absent, never 0.
//   - Counters come from the state that is kept from run to run.
//   - Every state, and every counter of each instance ever seen, always stands,
//     with 0, so that rate() and alerts have something to start from.
//   - No timestamps on samples and no go_ or process_ metrics: node_exporter's
//     textfile collector refuses the one and has the other itself.
package metrics
