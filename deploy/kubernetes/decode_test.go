// Package kubernetes_test decodes the manifest against Kubernetes' own types. It
// runs in no cluster.
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

func TestTheManifestIsOfKubernetesOwnTypes(t *testing.T) {
	manifest, err := os.ReadFile("daemonset.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if said, err := decode(string(manifest)); err != nil || said != "DaemonSet haproxy-reaper\n" {
		t.Fatalf("decoded: %q, %v", said, err)
	}
	for old, misspelt := range map[string]string{
		"hostPID: true":  "hostPid: true",
		"memory: 256Mi":  "memory: 256Mb",
		"httpGet: {path": "httpGet: {paht",
	} {
		edited := strings.Replace(string(manifest), old, misspelt, 1)
		if edited == string(manifest) {
			t.Errorf("the manifest has no %q", old)
		}
		if said, err := decode(edited); err == nil || !strings.HasPrefix(said, "refused:") {
			t.Errorf("%q is not refused: %q, %v", misspelt, said, err)
		}
	}
}
