// Command check reads PromQL expressions, a JSON list of texts, from standard
// input and parses each as Prometheus does. It prints one line for each that
// Prometheus would refuse, and then exits with 1.
//
// It is a module of its own: Prometheus's parser brings more modules than the
// agent has.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	var exprs []string
	if err := json.NewDecoder(os.Stdin).Decode(&exprs); err != nil {
		fmt.Fprintln(os.Stderr, "check: read expressions:", err)
		os.Exit(2)
	}
	prometheus := parser.NewParser(parser.Options{})
	refused := false
	for _, expr := range exprs {
		if _, err := prometheus.ParseExpr(expr); err != nil {
			fmt.Printf("%s: %v\n", expr, err)
			refused = true
		}
	}
	if refused {
		os.Exit(1)
	}
}
