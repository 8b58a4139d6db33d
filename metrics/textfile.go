package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"github.com/prometheus/common/expfmt"
)

// CheckTextfile tells whether node_exporter would read a file of that name.
func CheckTextfile(path string) error {
	if filepath.Ext(path) != ".prom" {
		return fmt.Errorf("--textfile %q: the name must end in .prom, node_exporter reads no other", path)
	}
	return nil
}

// WriteTextfile writes the metrics for node_exporter's textfile collector, mode
// 0644. Readers see the old file or the new one, also after a crash. The
// directory may belong to another user: nothing planted in it is followed.
func WriteTextfile(path string, in Input) error {
	if err := CheckTextfile(path); err != nil {
		return err
	}
	content, err := encode(in)
	if err != nil {
		return fmt.Errorf("--textfile %s: %w", path, err)
	}
	if err := replace(path, content); err != nil {
		return fmt.Errorf("--textfile %s: %w", path, cause(err))
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

// replace is renameio.WriteFile but for the mode, which that takes from the
// file already there. The temporary file is beside the final one and does not
// end in .prom.
func replace(path string, content []byte) error {
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return err
	}
	defer file.Cleanup()
	if _, err := file.Write(content); err != nil {
		return err
	}
	return file.CloseAtomicallyReplace()
}

// cause is the error without the temporary file's name, which tells nothing.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
