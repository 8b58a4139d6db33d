package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// contract is every field of version 1 of the JSON, and what it may be.
const contract = `
version number
host string
boot_id string
time string
dry_run boolean
deadline_seconds number
memory_available_bytes number null
memory_total_bytes number null
host_share number null
what_if boolean
instances array
instances.name string
instances.model string
instances.confirmed boolean
instances.refusal string
instances.refusal_detail string
instances.witnesses array
instances.memory_limit_bytes number null
instances.memory_limit_available_bytes number null
instances.processes array
instances.processes.pid number
instances.processes.start_ticks number
instances.processes.role string
instances.processes.user string
instances.processes.args array
instances.processes.signalled_before boolean
instances.processes.stranded_reason string
instances.processes.started string
instances.processes.superseded string null
instances.processes.due string null
instances.processes.due_reason string
instances.processes.deadline string null
instances.processes.deadline_port number
instances.processes.idle_due string null
instances.processes.age_seconds number
instances.processes.residual_seconds number null
instances.processes.listeners array null
instances.processes.connections object
instances.processes.connections.client number null
instances.processes.connections.server number null
instances.processes.connections.other number null
instances.processes.connections.former number null
instances.processes.connections.unknown number null
instances.processes.ports array
instances.processes.ports.port number
instances.processes.ports.clients number
instances.processes.ports.min_idle_seconds number null
instances.processes.ports.max_idle_seconds number null
instances.processes.idle_seconds number null
instances.processes.private_bytes number null
instances.processes.verdict string
instances.processes.reason string
instances.processes.outcome string
instances.processes.signals array
instances.processes.error string
summary.active number
summary.residual number
summary.due number
summary.terminated number
summary.refused number
`

func TestReportHasEveryFieldOfTheContract(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.startService("web", setup{})
	s.makeResidual(1, 3)
	for _, args := range [][]string{{"status"}, {"reap", "--dry-run", "--deadline", "0s"}, {"reap", "--deadline", "0s"}} {
		a := b.agent(args...).exits(0)
		var report any
		if err := json.Unmarshal([]byte(a.stdout.String()), &report); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(strings.TrimSpace(contract)) {
			path, kinds, _ := strings.Cut(strings.TrimSpace(line), " ")
			values := lookUp(report, strings.Split(path, "."))
			if len(values) == 0 {
				t.Errorf("%q: the report has no %s", args, path)
			}
			for _, v := range values {
				if got := jsonKind(v); !strings.Contains(kinds, got) {
					t.Errorf("%q: %s is %s, want %s", args, path, got, kinds)
				}
			}
		}
	}
}

type missing struct{}

// lookUp finds every value of a path, which goes through arrays.
func lookUp(v any, path []string) []any {
	if list, is := v.([]any); is && len(path) > 0 {
		var all []any
		for _, element := range list {
			all = append(all, lookUp(element, path)...)
		}
		return all
	}
	if len(path) == 0 {
		return []any{v}
	}
	object, is := v.(map[string]any)
	if !is {
		return []any{missing{}}
	}
	value, is := object[path[0]]
	if !is {
		return []any{missing{}}
	}
	return lookUp(value, path[1:])
}

func jsonKind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "missing"
}
