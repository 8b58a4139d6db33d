package serve

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/common/version"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/text"
	"github.com/haproxy-reaper/haproxy-reaper/reaper/judge"
)

var (
	//go:embed web/page.html
	pageHTML string
	//go:embed web/style.css
	pageCSS []byte

	// pageTemplate is parsed when the first page is asked for: a pass never is.
	pageTemplate = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageHTML)) })
)

// page is what the page shows: the last pass, in the words of the table.
type page struct {
	Title, Host, Summary, When, Empty, Version string
	Refresh                                    int
	DryRun, Healthy                            bool
	Errors                                     []string
	Columns                                    []string
	Instances                                  []pageInstance
}

type pageInstance struct {
	Name, Line string
	Refused    bool
	Rows       []pageRow
}

type pageRow struct {
	Role  string
	Cells []pageCell
	Why   []string
}

// pageCell names its column for the narrow layout.
type pageCell struct{ Column, Text string }

// page answers with the page. The template escapes what a process chose.
func (s *serving) page(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := pageTemplate().Execute(&b, s.newPage(time.Now())); err != nil {
		s.log.Error("write the page", "error", err)
		http.Error(w, "the page could not be written", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	w.Write(b.Bytes())
}

func style(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(pageCSS)
}

func (s *serving) newPage(now time.Time) page {
	r := s.input.Load().Report
	p := page{
		Title: "haproxy-reaper", Host: text.Escape(r.Host), DryRun: r.DryRun, Healthy: s.isHealthy(),
		Summary: text.StatusLine(r), Empty: text.EmptyLine(&r, s.options.Wanted), Version: "version " + version.Version,
		Refresh: max(5, int(s.options.Interval.Seconds())), Columns: text.Headings[:],
	}
	if r.Version == 0 {
		p.Summary, p.When, p.Empty = "no pass has ended yet", "the first one is under way", ""
		return p
	}
	p.Title = fmt.Sprintf("%s: %s", p.Host, p.Summary)
	p.When = fmt.Sprintf("seen %s ago, deadline %s", text.Duration(now.Sub(r.Time)), text.Duration(judge.Seconds(r.DeadlineSeconds)))
	for _, e := range r.Errors {
		p.Errors = append(p.Errors, text.Escape(e))
	}
	for i := range r.Instances {
		p.Instances = append(p.Instances, newPageInstance(&r.Instances[i], r.Time))
	}
	return p
}

func newPageInstance(i *judge.Instance, at time.Time) pageInstance {
	shown := pageInstance{Name: text.Escape(i.Name), Line: text.InstanceState(i), Refused: i.Refusal != ""}
	for j := range i.Processes {
		p := &i.Processes[j]
		row := pageRow{Role: string(p.Role), Why: text.Explain(i, p, at)}
		for n, content := range text.Cells(p) {
			row.Cells = append(row.Cells, pageCell{text.Headings[n], content})
		}
		shown.Rows = append(shown.Rows, row)
	}
	return shown
}
