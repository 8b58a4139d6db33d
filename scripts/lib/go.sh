# shellcheck shell=bash
# Go itself: the one thing these scripts do not install.

# require_go: puts Go in PATH, and stops with one line where it is missing or
# older than go.mod asks for. Run from the repository's root.
require_go() {
    local want have
    # sudo and systemd leave a HOME out, Go's caches need one.
    [[ -d ${HOME:-} ]] || HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
    export HOME
    # Where Go's own installation guide puts it; sudo's PATH lacks it.
    command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
    want=$(awk '$1 == "go" { print $2 }' go.mod)
    command -v go >/dev/null || fail "Go $want or newer is needed, and there is none in PATH or /usr/local/go/bin"
    # Inside the module go may fetch a newer toolchain; where it may not, this
    # fails or names the old one.
    have=$(go env GOVERSION 2>/dev/null) || have=$(go version | awk '{ print $3 }')
    have=${have#go}
    [[ $(printf '%s\n' "$want" "$have" | sort -V | head -n 1) == "$want" ]] ||
        fail "Go $want or newer is needed, and $(command -v go) is $have"
    # A build must not depend on who owns the checkout, nor on git.
    export GOFLAGS="${GOFLAGS:+$GOFLAGS }-buildvcs=false"
}
