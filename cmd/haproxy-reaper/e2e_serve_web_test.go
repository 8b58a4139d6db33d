package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"testing"

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
