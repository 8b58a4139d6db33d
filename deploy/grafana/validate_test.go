package grafana_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/grafana"
)

// parse gives expressions to Prometheus's own parser, and returns what it refuses.
func parse(t *testing.T, exprs ...string) (refused string) {
	t.Helper()
	list, err := json.Marshal(exprs)
	if err != nil {
		t.Fatal(err)
	}
	check := exec.Command("go", "run", ".")
	check.Dir = "check"
	check.Stdin = bytes.NewReader(list)
	var out, errors bytes.Buffer
	check.Stdout, check.Stderr = &out, &errors
	if err := check.Run(); err != nil && out.Len() == 0 {
		t.Fatalf("go run ./check: %v\n%s", err, &errors)
	}
	return out.String()
}

func TestPrometheusParsesEveryExpression(t *testing.T) {
	values := map[string]string{
		"job": "haproxy-reaper|node", "instance": ".+", "unit": `haproxy\\.service`,
		"__range": "6h", "__rate_interval": "1m0s", "__interval": "15s",
	}
	var exprs []string
	for _, q := range queries(t) {
		expr, err := grafana.Fill(q.Expr, values)
		if err != nil {
			t.Errorf("%s: %v", q.Where, err)
		}
		exprs = append(exprs, expr)
	}
	if refused := parse(t, exprs...); refused != "" {
		t.Errorf("Prometheus would refuse:\n%s", refused)
	}
}

func TestAnExpressionThatIsNoneIsRefused(t *testing.T) {
	for _, expr := range []string{`sum(up`, `rate(up[$__rate_interval])`, `sum bye (job) (up)`} {
		if refused := parse(t, "up", expr); !strings.HasPrefix(refused, expr) {
			t.Errorf("%q is not refused: %q", expr, refused)
		}
	}
	if _, err := grafana.Fill(`up{job="$jbo"}`, map[string]string{"job": "x"}); err == nil {
		t.Error("a misspelt variable is filled in")
	}
}

// validate holds a dashboard against the schema of Grafana's own published types,
// which scripts/recipes/grafana makes, and returns what that has against it.
func validate(t *testing.T, content []byte) (complaints string) {
	t.Helper()
	dir := os.Getenv("GRAFANA_SCHEMA")
	if dir == "" {
		t.Fatal("GRAFANA_SCHEMA does not say where scripts/recipes/grafana has made a schema; scripts/test does")
	}
	file := filepath.Join(t.TempDir(), "dashboard.json")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	node := exec.Command("node", filepath.Join(dir, "validate.mjs"), file)
	var out, errors bytes.Buffer
	node.Stdout, node.Stderr = &out, &errors
	if err := node.Run(); err != nil && out.Len() == 0 {
		t.Fatalf("validate.mjs: %v\n%s", err, &errors)
	}
	return out.String()
}

func TestTheDashboardIsOfGrafanasOwnTypes(t *testing.T) {
	if complaints := validate(t, grafana.JSON); complaints != "" {
		t.Errorf("Grafana's types do not allow:\n%s", complaints)
	}
}

func TestWhatIsMisspeltIsNotOfGrafanasTypes(t *testing.T) {
	for name, edit := range map[string][2]string{
		"a key of the dashboard":        {`"refresh":`, `"refesh":`},
		"a key of a panel":              {`"type": "stat"`, `"tpye": "stat"`},
		"a width in words":              {`"w": 3`, `"w": "six"`},
		"a type of panel":               {`"type": "timeseries"`, `"type": "timeserie"`},
		"a key of a panel's options":    {`"colorMode":`, `"colourMode":`},
		"a value of a panel's options":  {`"displayMode": "table"`, `"displayMode": "tabel"`},
		"a key of a series' style":      {`"drawStyle":`, `"drawStlye":`},
		"a value of a series' style":    {`"lineInterpolation": "stepAfter"`, `"lineInterpolation": "step"`},
		"a key of a query":              {`"legendFormat":`, `"legend":`},
		"a key of an annotation":        {`"useValueForTime":`, `"useValueAsTime":`},
		"a key of a variable":           {`"includeAll":`, `"includesAll":`},
		"a missing option of the stats": {`"justifyMode": "auto",`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			edited := strings.Replace(string(grafana.JSON), edit[0], edit[1], 1)
			if edited == string(grafana.JSON) {
				t.Fatalf("there is no %s in the dashboard", edit[0])
			}
			if validate(t, []byte(edited)) == "" {
				t.Errorf("%s instead of %s is allowed", edit[1], edit[0])
			}
		})
	}
}
