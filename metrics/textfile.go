package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/prometheus/common/expfmt"

	"github.com/haproxy-reaper/haproxy-reaper/reaper/state"
)

// CheckTextfile tells whether node_exporter reads a file of that name, as an error
// that says what the name must be.
func CheckTextfile(path string) error {
	if filepath.Ext(path) != ".prom" {
		return errors.New("must end in .prom")
	}
	return nil
}

// WriteTextfile writes the metrics for node_exporter's textfile collector, mode
// 0644, as state.ReplaceFile does. The temporary file does not end in .prom.
func WriteTextfile(path string, in Input) error {
	if err := CheckTextfile(path); err != nil {
		return fmt.Errorf("--textfile %q: the name %w, node_exporter reads no other", path, err)
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
