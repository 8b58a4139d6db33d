// Package e2e holds the end-to-end tests and the beds that they run in: a bed is
// a small host of its own with a real HAProxy. Files named bed_ furnish a bed,
// files named e2e_ test the agent in it. The package has no code but tests.
package e2e
