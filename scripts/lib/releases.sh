# shellcheck shell=bash
# The HAProxys that are tested: Debian's of several suites, each in a root of its
# own, kept in the cache (scripts/lib/cache.sh).

# prepare_releases gets each HAProxy that the tests run, and exports where they
# are. Suites come and go: one that is gone is named, and who uses them says how
# many there must be.
prepare_releases() {
    local suite root roots=()
    for suite in bullseye bookworm trixie forky experimental; do
        if root=$(cached haproxy "$suite"); then
            roots+=("$root")
        else
            echo "!!! Debian's $suite gave no HAProxy: nothing is tested on its release" >&2
        fi
    done
    HAPROXY_REAPER_HAPROXY_ROOTS=$(IFS=:; echo "${roots[*]}")
    export HAPROXY_REAPER_HAPROXY_ROOTS
}
