package agent

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/prometheus/common/version"

	"github.com/haproxy-reaper/haproxy-reaper/cmd/haproxy-reaper/flags"
)

// version prints the build information that the metric build_info carries too.
func (p *program) version(_ context.Context, _ *flags.Config, log *slog.Logger) int {
	if _, err := fmt.Fprintln(p.stdout, version.Print("haproxy-reaper")); err != nil {
		log.Error("print the version", "error", err)
		return ExitFailed
	}
	return ExitOK
}

// nameBuild gives a build that was linked without a version (go build, go
// install) the one of its module.
func nameBuild() {
	if version.Version != "" {
		return
	}
	version.Version = "unknown"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version.Version = info.Main.Version
	}
}
