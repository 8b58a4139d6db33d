// Package check tells whether reap could do its work on a host, and what HAProxy
// itself does about its old workers there. Look reads what a report does not have;
// Judge makes findings of both and reads nothing.
package check
