# shellcheck shell=bash
# What a script tells its reader.

# fail MESSAGE...: one line on standard error, and the end.
fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# stage TITLE COMMAND...: runs COMMAND under a heading with the time so far.
stage() {
    echo "=== $1 (${SECONDS}s)"
    "${@:2}"
}
