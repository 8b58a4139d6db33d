package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func TestServeWithTLSAndAPasswordTellsNobodyElse(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	cert := certificate(t)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	b.write(bedDir+"/web.pem", cert)
	b.write(bedDir+"/web.yml", fmt.Sprintf("tls_server_config:\n  cert_file: %[1]s/web.pem\n  key_file: %[1]s/web.pem\nbasic_auth_users:\n  prometheus: %s\n", bedDir, hash))
	serve := b.newServer(serveAddress, command{args: []string{bedAgent, "serve", "--interval", "1h", "--dry-run", "--web.config.file", bedDir + "/web.yml"}})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(cert))
	client := http.Client{Timeout: bedPatience, Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return b.dial(serveAddress) },
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		DisableKeepAlives: true,
	}}
	ask := func(path, password string) (status int) {
		request, err := http.NewRequest("GET", "https://"+serveAddress+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			request.SetBasicAuth("prometheus", password)
		}
		response, err := client.Do(request)
		if err != nil {
			return 0
		}
		response.Body.Close()
		return response.StatusCode
	}
	b.until(func() error {
		if got := ask("/-/ready", "secret"); got != http.StatusOK {
			return fmt.Errorf("/-/ready answers %d", got)
		}
		return nil
	})
	for _, path := range []string{"/", "/metrics", "/-/healthy"} {
		for password, want := range map[string]int{"secret": http.StatusOK, "guess": http.StatusUnauthorized, "": http.StatusUnauthorized} {
			if got := ask(path, password); got != want {
				t.Errorf("%s with password %q answers %d, want %d", path, password, got, want)
			}
		}
	}
	if status, text := serve.get("/metrics"); status == http.StatusOK {
		t.Errorf("without TLS it answers %q", text)
	}
	serve.stop()
}

// Whoever may run programs on the host may connect, as fast as it goes. The agent is
// as it ships: the race detector would take ten times its memory.
func TestEveryScrapeGetsThroughAFloodOfConnections(t *testing.T) {
	agent := buildAgent(t, "0")
	for name, request := range map[string]string{
		"that say nothing":         "",
		"that say half of it":      "GET /metrics HTTP/1.1\r\nHost: ",
		"that ask as scrapes do":   "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
		"that ask and are done":    "GET /metrics HTTP/1.0\r\n\r\n",
		"that announce a body":     "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
		"that ask for what is not": "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			// Not in parallel: it takes all of the machine.
			b := newBed(t)
			b.startService("web", setup{})
			b.put(agent)
			serve := b.startServeAs(command{args: append([]string{"prlimit", "--nofile=1024:1024", "--"},
				b.shipped(bedBuilt, "serve", "--interval", "15s", "--state-dir", "/run/state")...)})
			serve.client.Timeout = 10 * time.Second // Prometheus's
			flood := b.start(command{args: []string{bedFloodName, serveAddress, request}})
			b.until(func() error {
				if flood.stdout.String() == "" {
					return fmt.Errorf("the flood has not come: %s", flood.stderr.String())
				}
				return nil
			})
			const scrapes, atOnce = 40, 8
			var through, slowest atomic.Int64
			var all sync.WaitGroup
			for range atOnce {
				all.Go(func() {
					for range scrapes / atOnce {
						began := time.Now()
						status, text := serve.get("/metrics")
						if status == http.StatusOK && strings.Contains(text, "haproxy_reaper_active_confirmed{") {
							through.Add(1)
						} else {
							t.Logf("a scrape: %d, %.200s", status, text)
						}
						if took := int64(time.Since(began)); took > slowest.Load() {
							slowest.Store(took)
						}
					}
				})
			}
			all.Wait()
			select {
			case <-flood.done:
				t.Error("the flood ended before the scrapes did")
			default:
			}
			if n := through.Load(); n < scrapes {
				t.Errorf("%d of %d scrapes got through", n, scrapes)
			}
			status, err := os.ReadFile(b.path(fmt.Sprintf("/proc/%d/status", serve.pid(b))))
			if err != nil {
				t.Fatal(err)
			}
			_, peak, _ := strings.Cut(string(status), "VmHWM:")
			peak, _, _ = strings.Cut(strings.TrimSpace(peak), " kB")
			if kib, err := strconv.Atoi(peak); err != nil || kib > 200<<10 {
				t.Errorf("serve took %s KiB, %v: its unit has 256 MiB", peak, err)
			}
			lines := strings.Fields(flood.stdout.String())
			t.Logf("%d of %d scrapes, the slowest in %v, beside %s connections; %s KiB", through.Load(), scrapes, time.Duration(slowest.Load()), lines[len(lines)-1], peak)
			flood.cmd.Process.Kill()
			<-flood.done
			serve.stop()
		})
	}
}
