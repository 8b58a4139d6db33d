package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// ParseReport reads a report that `-o json` printed. The error is one line that
// says what is wrong with it: another version, another document, cut short.
func ParseReport(b []byte) (Report, error) {
	var head struct {
		Version   *int             `json:"version"`
		Instances *json.RawMessage `json:"instances"`
	}
	var r Report
	decoder := json.NewDecoder(bytes.NewReader(b))
	if err := decoder.Decode(&head); err != nil {
		return r, malformed(err)
	}
	switch _, err := decoder.Token(); {
	case !errors.Is(err, io.EOF):
		return r, errors.New("malformed: something follows the report")
	case head.Version != nil && *head.Version != 1:
		return r, fmt.Errorf("a report of version %d, and this program knows version 1", *head.Version)
	case head.Version == nil || head.Instances == nil:
		return r, errNoReport
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, malformed(err)
	}
	return r, r.validate()
}

var errNoReport = errors.New("no report of status or reap")

// malformed says where a document breaks off or goes wrong.
func malformed(err error) error {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("malformed: cut short")
	case errors.As(err, &kind) && kind.Field == "":
		return errNoReport
	case errors.As(err, &kind):
		return fmt.Errorf("malformed: %s has a value of another kind, %s", kind.Field, kind.Value)
	}
	return fmt.Errorf("malformed: %w", err)
}

// validate refuses what no report of ours says, and what cannot be decided on.
func (r *Report) validate() error {
	const lastYear = 9000 // leaves room for the longest duration before year 10,000, where JSON's times end
	if r.Time.IsZero() || r.Time.Year() > lastYear {
		return errors.New("malformed: it does not say when it was made")
	}
	for i := range r.Instances {
		for j := range r.Instances[i].Processes {
			p := &r.Instances[i].Processes[j]
			c := p.Connections
			negative := slices.ContainsFunc([]*int{c.Client, c.Server, c.Other, c.Former, c.Unknown}, func(n *int) bool { return n != nil && *n < 0 }) ||
				slices.ContainsFunc(p.Ports, func(u PortUse) bool { return u.Clients < 0 })
			switch {
			case !slices.Contains(Roles, p.Role):
				return fmt.Errorf("malformed: process %d has no role that this program knows", p.PID)
			case negative:
				return fmt.Errorf("malformed: process %d has less than no connections", p.PID)
			}
		}
	}
	return nil
}

// Reconsider decides a saved report again: as of its own time, and as if nobody
// had been signalled. Who would be has the outcome of a dry run.
func Reconsider(r Report, policy Policy) Report {
	r.WhatIf = true
	r.Instances = slices.Clone(r.Instances)
	if len(policy.Instances) > 0 {
		r.Instances = slices.DeleteFunc(r.Instances, func(in Instance) bool { return !slices.Contains(policy.Instances, in.Name) })
	}
	r = Decide(r, policy)
	for i := range r.Instances {
		for j := range r.Instances[i].Processes {
			p := &r.Instances[i].Processes[j]
			if p.Outcome == OutcomeFailed || p.Outcome == OutcomeSurvived {
				p.Error = "" // of its signal
			}
			p.Outcome, p.Signals, p.DrainedConnections = "", []string{}, 0
			if p.Verdict == VerdictTerminate {
				p.Outcome = OutcomeDryRun
			}
		}
	}
	r.Summary = Summarize(r)
	return r
}
