package metrics

import (
	"bytes"
	"fmt"
	"path/filepath"

	"github.com/prometheus/common/expfmt"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// CheckTextfile tells whether node_exporter would read a file of that name.
func CheckTextfile(path string) error {
	if filepath.Ext(path) != ".prom" {
		return fmt.Errorf("--textfile %q: the name must end in .prom, node_exporter reads no other", path)
	}
	return nil
}

// WriteTextfile writes the metrics for node_exporter's textfile collector, mode
// 0644, as reaper.ReplaceFile does. The temporary file does not end in .prom.
func WriteTextfile(path string, in Input) error {
	if err := CheckTextfile(path); err != nil {
		return err
	}
	content, err := encode(in)
	if err != nil {
		return fmt.Errorf("--textfile %s: %w", path, err)
	}
	if err := state.ReplaceFile(path, content, 0o644); err != nil {
		return fmt.Errorf("--textfile %s: %w", path, err)
	}
	return nil
}

// encode renders the text format 0.0.4, the one that textfiles are in.
func encode(in Input) ([]byte, error) {
	list, err := NewRegistry(in).Gather()
	if err != nil {
		return nil, fmt.Errorf("gather metrics: %w", err)
	}
	var out bytes.Buffer
	for _, family := range list {
		if _, err := expfmt.MetricFamilyToText(&out, family); err != nil {
			return nil, fmt.Errorf("encode metrics: %w", err)
		}
	}
	return out.Bytes(), nil
}
