// Package kubernetes_test decodes the manifests against Kubernetes' own types, and
// runs their container without a cluster.
package kubernetes_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// decode runs ./check, which is a module of its own, on a manifest.
func decode(manifest string) (said string, err error) {
	check := exec.Command("go", "run", ".")
	check.Dir = "check"
	check.Stdin = strings.NewReader(manifest)
	out, err := check.Output()
	return string(out), err
}

func TestTheManifestsAreOfKubernetesOwnTypes(t *testing.T) {
	for _, test := range []struct {
		file, is string
		misspelt map[string]string
	}{
		{"daemonset.yaml", "DaemonSet haproxy-reaper\n", map[string]string{
			"hostPID: true":  "hostPid: true",
			"memory: 256Mi":  "memory: 256Mb",
			"httpGet: {path": "httpGet: {paht",
		}},
		{"podmonitor.yaml", "PodMonitor haproxy-reaper\n", map[string]string{
			"podMetricsEndpoints": "podMetricsEndpoint",
			"targetLabel":         "target_label",
		}},
	} {
		manifest, err := os.ReadFile(test.file)
		if err != nil {
			t.Fatal(err)
		}
		if said, err := decode(string(manifest)); err != nil || said != test.is {
			t.Fatalf("%s decoded: %q, %v", test.file, said, err)
		}
		for old, misspelt := range test.misspelt {
			edited := strings.Replace(string(manifest), old, misspelt, 1)
			if edited == string(manifest) {
				t.Errorf("%s has no %q", test.file, old)
			}
			if said, err := decode(edited); err == nil || !strings.HasPrefix(said, "refused:") {
				t.Errorf("%s: %q is not refused: %q, %v", test.file, misspelt, said, err)
			}
		}
	}
}
