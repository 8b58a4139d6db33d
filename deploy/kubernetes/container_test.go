package kubernetes_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"

	"github.com/haproxy-reaper/haproxy-reaper/deploy/systemd/machine"
)

// daemonSet is of the manifest what its container is run by. Kubernetes' own
// types are for the decoder of ./check.
type daemonSet struct {
	Spec struct {
		Template struct {
			Spec struct {
				HostPID     bool `yaml:"hostPID"`
				HostNetwork bool `yaml:"hostNetwork"`
				Containers  []container
				Volumes     []struct {
					Name     string
					HostPath struct{ Path string } `yaml:"hostPath"`
				}
			}
		}
	}
}

type container struct {
	Args            []string
	Env             []struct{ Name, Value string }
	LivenessProbe   probe `yaml:"livenessProbe"`
	ReadinessProbe  probe `yaml:"readinessProbe"`
	SecurityContext struct {
		RunAsUser    int `yaml:"runAsUser"`
		Capabilities struct{ Drop, Add []string }
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct{ Path string } `yaml:"httpGet"`
}

// There is no kubelet here. The machine's systemd gives the container of the
// manifest what a kubelet would: the files of the image,
// which it may not write to, the node's processes and network, these volumes,
// variables and capabilities.
func TestTheContainerOfTheManifestWatchesItsNodeAndReapsWhenLive(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("daemonset.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var manifest daemonSet
	if err := yaml.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	pod := manifest.Spec.Template.Spec
	if !pod.HostPID || !pod.HostNetwork || len(pod.Containers) != 1 {
		t.Fatalf("the pod is not in the namespaces of its node, or has not one container: %+v", pod)
	}
	c := pod.Containers[0]

	m := machine.Boot(t)
	image := buildImage(t)
	if got := contents(t, image); !slices.Equal(got, []string{"/haproxy-reaper"}) {
		t.Fatalf("the image holds %q, want the binary and nothing else", got)
	}
	content, err := os.ReadFile(image + "/haproxy-reaper")
	if err != nil {
		t.Fatal(err)
	}
	m.Write("/image/haproxy-reaper", string(content), 0o755)

	start := func(variables ...string) {
		t.Helper()
		args := []string{
			"systemd-run", "--quiet", "--unit=pod",
			"--property=RootDirectory=/image", "--property=MountAPIVFS=yes", "--property=ReadOnlyPaths=/",
			fmt.Sprintf("--property=User=%d", c.SecurityContext.RunAsUser), "--property=NoNewPrivileges=yes",
			"--property=CapabilityBoundingSet=CAP_" + strings.Join(c.SecurityContext.Capabilities.Add, " CAP_"),
		}
		for _, mount := range c.VolumeMounts {
			for _, volume := range pod.Volumes {
				if volume.Name == mount.Name {
					m.Must("mkdir", "--parents", volume.HostPath.Path)
					args = append(args, "--property=BindPaths="+volume.HostPath.Path+":"+mount.MountPath)
				}
			}
		}
		for _, variable := range c.Env {
			args = append(args, "--setenv="+variable.Name+"="+variable.Value)
		}
		for _, variable := range variables {
			args = append(args, "--setenv="+variable)
		}
		m.Must(append(append(args, "/haproxy-reaper"), c.Args...)...)
		for _, probe := range []probe{c.LivenessProbe, c.ReadinessProbe} {
			m.Until(func() error {
				if answer := get(m, probe.HTTPGet.Path); !strings.Contains(answer, " 200 OK") {
					return fmt.Errorf("%s: %q", probe.HTTPGet.Path, answer)
				}
				return nil
			})
		}
	}
	until := func(sample string) {
		t.Helper()
		m.Until(func() error {
			if answer := get(m, "/metrics"); !strings.Contains(answer, "\nhaproxy_reaper_"+sample+"\n") {
				return fmt.Errorf("there is no %s in\n%s", sample, answer)
			}
			return nil
		})
	}

	m.ServeTunnel()
	old, _ := m.ReloadHolding(1)
	active := m.Answering()
	start("HAPROXY_REAPER_DEADLINE=0s")
	until(`dry_run 1`)
	until(`overdue_processes{unit="haproxy.service"} 1`)
	if got, want := m.Workers(), append(old, active); !slices.Equal(got, want) {
		t.Fatalf("as it ships, it leaves workers %q, want %q", got, want)
	}
	m.Must("systemctl", "stop", "pod")

	start("HAPROXY_REAPER_DEADLINE=0s", "HAPROXY_REAPER_DRY_RUN=false")
	until(`terminated_processes_total{unit="haproxy.service"} 1`)
	if got := m.Workers(); !slices.Equal(got, []string{active}) {
		t.Errorf("live, it leaves workers %q, want %s alone", got, active)
	}
}

// get is the answer to a request of the agent's page, "" if nobody answers.
func get(m *machine.Machine, path string) string {
	var answer []byte
	m.Inside(func() error {
		c, err := net.DialTimeout("tcp", "127.0.0.1:12101", machine.Patience)
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Fprintf(c, "GET %s HTTP/1.0\r\n\r\n", path)
		answer, err = io.ReadAll(c)
		return err
	})
	return string(answer)
}
