// Package grafana is the dashboard for what the agent exports, and reads it for
// those who test it. Grafana imports haproxy-reaper.json as it is.
package grafana

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
)

// JSON is the dashboard, in the classic model that every Grafana imports. It is
// kept by hand: import it, edit it, and put here what Grafana exports.
//
//go:embed haproxy-reaper.json
var JSON []byte

// Dashboard is what tests want of the JSON; deploy/grafana/schema knows the rest.
type Dashboard struct {
	UID        string
	ID         *int
	Panels     []Panel
	Templating struct{ List []Variable }
	// The first is Grafana's own, which asks nobody.
	Annotations struct{ List []Annotation }
}

// Panel is one panel, or the heading of a row of them.
type Panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	Datasource  Datasource
	GridPos     struct{ X, Y, W, H int }
	Targets     []Target
	Panels      []Panel // of a row that is folded up
	Options     map[string]any
	FieldConfig FieldConfig
}

// FieldConfig is how a panel shows its values.
type FieldConfig struct {
	Defaults map[string]any
}

// Datasource is where an answer is to come from.
type Datasource struct{ Type, UID string }

// Target is one query of a panel.
type Target struct {
	Datasource   Datasource
	Expr         string
	Format       string
	Instant      bool
	LegendFormat string
	RefID        string
}

// Variable is one of the lists at the top of the dashboard.
type Variable struct {
	Type, Name, Query string
	Datasource        Datasource
}

// Annotation marks moments on the panels.
type Annotation struct {
	Name, Expr string
	Datasource Datasource
}

// Query is one expression of the dashboard that Prometheus is asked for.
type Query struct {
	Where   string // in the dashboard, for people
	Expr    string // with variables in it
	Instant bool   // asked for the end of the time range, and not over all of it
}

// Load reads a dashboard.
func Load(content []byte) (d Dashboard, err error) {
	if err := json.Unmarshal(content, &d); err != nil {
		return Dashboard{}, fmt.Errorf("read a dashboard: %w", err)
	}
	return d, nil
}

// labelValues is Grafana's own function, which Prometheus does not know: the
// values that a label has in the samples of an expression.
var labelValues = regexp.MustCompile(`^label_values\((.*), *(\w+)\)$`)

// Queries is every query of the panels, annotations and variables. A variable
// must be a list of the values of a label.
func (d Dashboard) Queries() (list []Query, err error) {
	for _, p := range d.Panels {
		for _, t := range p.Targets {
			list = append(list, Query{fmt.Sprintf("panel %q, query %s", p.Title, t.RefID), t.Expr, t.Instant})
		}
	}
	for _, a := range d.Annotations.List {
		if a.Datasource.Type == "prometheus" {
			list = append(list, Query{fmt.Sprintf("annotation %q", a.Name), a.Expr, false})
		}
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		call := labelValues.FindStringSubmatch(v.Query)
		if call == nil {
			return nil, fmt.Errorf("variable %s: %q is no label_values(expression, label)", v.Name, v.Query)
		}
		list = append(list, Query{fmt.Sprintf("variable %q", v.Name), fmt.Sprintf("count by (%s) (%s)", call[2], call[1]), true})
	}
	return list, nil
}

// reference is a use of a variable in an expression. $1 is label_replace's.
var reference = regexp.MustCompile(`\$([a-z_]\w*|\{\w+(:\w+)?\})`)

// Fill puts values in place of the variables of an expression, by their names:
// "job", or "__rate_interval" for one of Grafana's own.
func Fill(expr string, values map[string]string) (filled string, err error) {
	filled = reference.ReplaceAllStringFunc(expr, func(found string) string {
		name := regexp.MustCompile(`\w+`).FindString(found)
		value, known := values[name]
		if !known {
			err = fmt.Errorf("%s in %q is no variable of the dashboard", found, expr)
		}
		return value
	})
	return filled, err
}
